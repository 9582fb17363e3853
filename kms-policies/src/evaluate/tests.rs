use super::*;
use crate::Caller;

const KEY: &str = "arn:aws:kms:eu-central-1:000000000000:key/k";
const ROLE: &str = "arn:aws:iam::000000000000:role/path/enclave";

fn request(caller: &Caller, action: &str) -> Request {
    Request::new(caller.clone(), action, KEY.parse().unwrap())
}

fn policy(statements: &str) -> Policy {
    Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)).unwrap()
}

fn statement(sid: &str, effect: &str, principal: &str, action: &str) -> String {
    format!(
        r#"{{"Sid":"{sid}","Effect":"{effect}","Principal":{principal},"Action":"{action}","Resource":"*"}}"#
    )
}

fn session() -> Caller {
    Caller::role_session(ROLE, "i-1").unwrap()
}

fn aws(principal: &str) -> String {
    format!(r#"{{"AWS":"{principal}"}}"#)
}

#[test]
fn a_statement_for_a_role_covers_its_sessions_and_one_for_a_session_only_that() {
    let to_role = policy(&statement("s", "Allow", &aws(ROLE), "kms:Decrypt"));
    let to_session = policy(&statement(
        "s",
        "Allow",
        &aws("arn:aws:sts::000000000000:assumed-role/enclave/i-1"),
        "kms:Decrypt",
    ));
    let other = Caller::role_session(ROLE, "i-2").unwrap();
    let allow = Outcome::Allow { sid: "s".into() };
    assert_eq!(to_role.evaluate(&request(&session(), "kms:Decrypt")), allow);
    assert_eq!(to_role.evaluate(&request(&other, "kms:Decrypt")), allow);
    assert_eq!(to_session.evaluate(&request(&session(), "kms:Decrypt")), allow);
    assert_eq!(to_session.evaluate(&request(&other, "kms:Decrypt")), Outcome::ImplicitDeny);
}

#[test]
fn an_explicit_deny_wins_over_every_allow_in_any_order() {
    let allow = statement("allow", "Allow", "\"*\"", "*");
    let deny = statement("deny", "Deny", &aws(ROLE), "kms:D*");
    for statements in [format!("{allow},{deny}"), format!("{deny},{allow}")] {
        let outcome = policy(&statements).evaluate(&request(&session(), "kms:decrypt"));
        assert_eq!(outcome, Outcome::ExplicitDeny { sid: "deny".into() });
        assert_eq!(outcome.decide(true), Decision::ExplicitDeny { sid: "deny".into() });
        let outcome = policy(&statements).evaluate(&request(&session(), "kms:Encrypt"));
        assert_eq!(outcome, Outcome::Allow { sid: "allow".into() });
    }
}

#[test]
fn the_account_as_principal_leaves_it_to_iam() {
    for root in ["arn:aws:iam::000000000000:root", "000000000000"] {
        let policy = policy(&statement("iam", "Allow", &aws(root), "kms:*"));
        let outcome = policy.evaluate(&request(&session(), "kms:Decrypt"));
        assert_eq!(outcome, Outcome::Delegated { sid: "iam".into() });
        assert!(!outcome.clone().decide(false).is_allowed());
        assert!(outcome.decide(true).is_allowed());
        let root = Caller::parse("arn:aws:iam::000000000000:root").unwrap();
        assert!(policy.evaluate(&request(&root, "kms:Decrypt")).decide(false).is_allowed());
        let stranger = Caller::parse("arn:aws:iam::111111111111:root").unwrap();
        assert_eq!(policy.evaluate(&request(&stranger, "kms:Decrypt")), Outcome::ImplicitDeny);
    }
}

#[test]
fn a_deny_of_the_account_denies_everyone_in_it() {
    let statements = format!(
        "{},{}",
        statement("a", "Allow", "\"*\"", "*"),
        statement("d", "Deny", &aws("000000000000"), "*")
    );
    let outcome = policy(&statements).evaluate(&request(&session(), "kms:Decrypt"));
    assert_eq!(outcome, Outcome::ExplicitDeny { sid: "d".into() });
}

#[test]
fn a_grant_by_name_needs_no_iam_even_beside_one_of_the_account() {
    let statements = format!(
        "{},{}",
        statement("iam", "Allow", &aws("000000000000"), "kms:*"),
        statement("named", "Allow", &aws(ROLE), "kms:Decrypt")
    );
    let outcome = policy(&statements).evaluate(&request(&session(), "kms:Decrypt"));
    assert_eq!(outcome, Outcome::Allow { sid: "named".into() });
}

#[test]
fn a_caller_of_another_account_needs_its_own_iam_policy_as_well() {
    let foreign = "arn:aws:iam::111111111111:role/r";
    for principal in [aws(foreign), "\"*\"".to_owned()] {
        let policy = policy(&statement("s", "Allow", &principal, "kms:*"));
        let outcome = policy.evaluate(&request(&Caller::parse(foreign).unwrap(), "kms:Decrypt"));
        assert_eq!(outcome, Outcome::Delegated { sid: "s".into() });
    }
}

#[test]
fn a_service_and_a_deleted_principal_are_nobody() {
    for principal in [r#"{"Service":"logs.amazonaws.com"}"#.to_owned(), aws("AROAABCDEFGHIJKLMNOPQ")] {
        let policy = policy(&statement("s", "Allow", &principal, "*"));
        assert_eq!(policy.evaluate(&request(&session(), "kms:Decrypt")), Outcome::ImplicitDeny);
    }
}

#[test]
fn not_action_and_resources_are_respected() {
    let text = |action: &str, resource: &str| {
        format!(r#"{{"Sid":"s","Effect":"Allow","Principal":"*",{action},{resource}}}"#)
    };
    let allowed = |action: &str, resource: &str| {
        let policy = policy(&text(action, resource));
        policy.evaluate(&request(&session(), "kms:Decrypt")).decide(false).is_allowed()
    };
    assert!(allowed(r#""NotAction":"kms:Encrypt""#, r#""Resource":"*""#));
    assert!(!allowed(r#""NotAction":"kms:Dec*""#, r#""Resource":"*""#));
    assert!(allowed(r#""Action":"*""#, &format!(r#""Resource":"{KEY}""#)));
    assert!(!allowed(r#""Action":"*""#, &format!(r#""Resource":"{KEY}x""#)));
    assert!(!allowed(r#""Action":"*""#, &format!(r#""NotResource":["{KEY}"]"#)));
    assert!(!allowed(r#""Action":"s3:*""#, r#""Resource":"*""#));
}

#[test]
fn condition_keys_of_the_caller_are_set() {
    let text = format!(
        r#"{{"Sid":"s","Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{{
           "ArnEquals":{{"AWS:PRINCIPALARN":"{ROLE}"}},"StringEquals":{{"kms:CallerAccount":"000000000000"}}}}}}"#
    );
    assert!(policy(&text).evaluate(&request(&session(), "kms:Decrypt")).decide(false).is_allowed());
    let other = Caller::parse("arn:aws:iam::000000000000:role/other").unwrap();
    assert_eq!(policy(&text).evaluate(&request(&other, "kms:Decrypt")), Outcome::ImplicitDeny);
}
