use super::*;
use proptest::prelude::*;
use serde_json::json;

const OWNER: &str = "000000000000";

fn caller(arn: &str) -> Caller {
    Caller::parse(arn).unwrap()
}

fn decide(statement: Value, who: Option<&str>, context: &[(&'static str, &str)]) -> Decision {
    let policy = BucketPolicy::parse(&json!({ "Statement": statement }).to_string()).unwrap();
    let caller = who.map(caller);
    let mut all: BTreeMap<&'static str, String> =
        context.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    if let Some(caller) = &caller {
        all.insert("aws:principalarn", caller.principal().unwrap().to_string());
    }
    let (action, resource) = ("s3:GetObject", "arn:aws:s3:::store/keys/v1/x");
    let request = Request { caller: caller.as_ref(), action, resource, context: all };
    policy.evaluate(&request, &OWNER.parse().unwrap())
}

fn statement(effect: &str, change: impl FnOnce(&mut Map<String, Value>)) -> Value {
    let mut statement = json!({"Sid": "s", "Effect": effect, "Principal": "*", "Action": "s3:Get*",
        "Resource": "arn:aws:s3:::store/*"});
    change(statement.as_object_mut().unwrap());
    statement
}

const ROLE: &str = "arn:aws:iam::000000000000:role/r";
const FOREIGN: &str = "arn:aws:iam::999999999999:role/r";

#[test]
fn a_denial_wins_and_who_is_of_the_account_needs_no_statement() {
    let (yes, no) = (statement("Allow", |_| {}), statement("Deny", |_| {}));
    assert_eq!(decide(yes.clone(), None, &[]), Decision::Allowed("s".into()));
    assert_eq!(decide(json!([yes, no]), Some(ROLE), &[]), Decision::Denied("s".into()));
    let other = |s: &mut Map<String, Value>| drop(s.insert("Action".into(), "s3:PutObject".into()));
    assert_eq!(decide(statement("Deny", other), Some(ROLE), &[]), Decision::Open);
    assert_eq!(decide(statement("Deny", other), Some(FOREIGN), &[]), Decision::NotAllowed);
    assert_eq!(decide(statement("Deny", other), None, &[]), Decision::NotAllowed);
}

#[test]
fn principals_actions_and_resources_are_matched_as_iam_does() {
    let with = |name: &'static str, value: Value| {
        let change = move |s: &mut Map<String, Value>| {
            s.remove(name.trim_start_matches("Not"));
            s.insert(name.into(), value);
        };
        |who| decide(statement("Allow", change), who, &[]) == Decision::Allowed("s".into())
    };
    assert!(with("Principal", json!({"AWS": "999999999999"}))(Some(FOREIGN)));
    assert!(with("Principal", json!({"AWS": "arn:aws:iam::999999999999:root"}))(Some(FOREIGN)));
    assert!(!with("Principal", json!({"AWS": FOREIGN}))(Some(ROLE)));
    assert!(with("Principal", json!({"AWS": [ROLE, FOREIGN]}))(Some(FOREIGN)));
    assert!(!with("Principal", json!({"Service": "logging.s3.amazonaws.com"}))(None));
    assert!(with("Action", json!("S3:GETOBJECT"))(None), "actions have no case");
    assert!(!with("NotAction", json!("s3:*"))(None));
    assert!(with("NotAction", json!(["s3:Put*"]))(None));
    assert!(!with("Resource", json!("arn:aws:s3:::STORE/*"))(None), "resources have");
    assert!(with("Resource", json!("arn:aws:s3:::s?ore/*/x"))(None));
    assert!(!with("NotResource", json!("arn:aws:s3:::store/keys/*"))(None));
}

#[test]
fn a_missing_key_matches_negated_operators_and_null() {
    let denied = |condition: Value, context: &[(&'static str, &str)]| {
        let change = |s: &mut Map<String, Value>| drop(s.insert("Condition".into(), condition));
        decide(statement("Deny", change), Some(ROLE), context) == Decision::Denied("s".into())
    };
    let null = |value: &str| json!({"Null": {"s3:if-none-match": value}});
    assert!(denied(null("true"), &[]) && !denied(null("true"), &[("s3:if-none-match", "*")]));
    assert!(!denied(null("false"), &[]));
    let tls = json!({"Bool": {"aws:SecureTransport": "false"}});
    assert!(denied(tls.clone(), &[("aws:securetransport", "false")]));
    assert!(!denied(tls.clone(), &[("aws:securetransport", "true")]) && !denied(tls, &[]));
    let version = json!({"NumericLessThan": {"s3:TlsVersion": "1.2"}});
    assert!(denied(version.clone(), &[("s3:tlsversion", "1.1")]));
    assert!(!denied(version.clone(), &[("s3:tlsversion", "1.2")]) && !denied(version, &[]));
    assert!(!denied(json!({"ArnNotEquals": {"aws:PrincipalArn": ROLE}}), &[]));
    assert!(denied(json!({"ArnNotEquals": {"aws:PrincipalArn": FOREIGN}}), &[]));
    assert!(denied(json!({"StringNotEquals": {"aws:PrincipalAccount": "1"}}), &[]));
    assert!(!denied(json!({"StringEquals": {"aws:PrincipalAccount": "1"}}), &[]));
}

#[test]
fn what_is_not_known_is_an_error() {
    let parse = |value: Value| BucketPolicy::parse(&value.to_string()).unwrap_err();
    let with = |name: &'static str, value: Value| {
        parse(json!({"Statement": statement("Deny", |s| drop(s.insert(name.into(), value)))}))
    };
    assert!(with("NotPrincipal", json!("*")).contains("NotPrincipal"));
    assert!(
        with("Condition", json!({"StringEqualsIfExists": {"aws:PrincipalArn": "x"}})).contains("IfExists")
    );
    // A request from that endpoint would pass: who says that it is none?
    assert!(with("Condition", json!({"StringNotEquals": {"aws:SourceVpce": "x"}})).contains("SourceVpce"));
    assert!(with("Resource", json!("arn:aws:s3:::store/${aws:username}/*")).contains("variables"));
    assert!(with("Principal", json!({"Federated": "x"})).contains("Federated"));
    assert!(with("Principal", json!({"AWS": "arn:aws:iam::000000000000:role/*"})).contains("Principal"));
    assert!(with("Effect", json!("allow")).contains("Effect"));
    assert!(parse(json!({"Statement": []})).contains("at least one"));
    assert!(parse(json!({"Version": "2020-01-01", "Statement": []})).contains("Version"));
    assert!(BucketPolicy::parse("{").unwrap_err().contains("line 1"));
    assert!(BucketPolicy::parse(&" ".repeat(MAX_POLICY + 1)).is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in ".{0,200}", pattern in "[a*?]{0,12}", other in "[ab]{0,12}") {
        let _ = BucketPolicy::parse(&text);
        let _ = like(&pattern, &other);
    }

    #[test]
    fn patterns_match_as_regular_expressions_would(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
        fn slow(pattern: &[u8], text: &[u8]) -> bool {
            match (pattern, text) {
                ([], []) => true,
                ([b'*', rest @ ..], _) => slow(rest, text) || (!text.is_empty() && slow(pattern, &text[1..])),
                ([p, pattern @ ..], [t, text @ ..]) => (*p == b'?' || p == t) && slow(pattern, text),
                _ => false,
            }
        }
        prop_assert_eq!(like(&pattern, &text), slow(pattern.as_bytes(), text.as_bytes()));
    }
}
