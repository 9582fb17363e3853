use super::*;
use crate::{Caller, Request, json::Json};

const KEY: &str = "kms:RecipientAttestation:PCR0";

/// Whether `operator: {KEY: expected}` holds for a request with these values of KEY.
fn holds(operator: &str, expected: &str, found: &[&str]) -> bool {
    let text = format!(r#"{{"{operator}": {{"{KEY}": {expected}}}}}"#);
    let json = Json::parse(&text).unwrap();
    let conditions = Condition::parse(&Node::root(&json, &text), Kind::Resource, true).unwrap();
    let caller = Caller::parse("arn:aws:iam::000000000000:role/r").unwrap();
    let key = "arn:aws:kms:eu-central-1:000000000000:key/k".parse().unwrap();
    let mut request = Request::new(caller, "kms:Decrypt", key);
    for value in found {
        request = request.with(KEY, *value);
    }
    conditions.iter().all(|condition| condition.holds(&request) == Truth::Yes)
}

#[test]
fn a_missing_key_matches_only_negated_operators() {
    for positive in ["StringEquals", "StringEqualsIgnoreCase", "StringLike", "Bool", "ArnEquals", "ArnLike"] {
        let value = match positive {
            "Bool" => "\"true\"",
            name if name.starts_with("Arn") => "\"arn:aws:iam::0:role/x\"",
            _ => "\"x\"",
        };
        assert!(!holds(positive, value, &[]), "{positive}");
        assert!(holds(&format!("{positive}IfExists"), value, &[]), "{positive}IfExists");
    }
    for negated in ["StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike"] {
        assert!(holds(negated, "\"x\"", &[]), "{negated}");
        assert!(holds(&format!("{negated}IfExists"), "\"x\"", &[]), "{negated}IfExists");
    }
    for negated in ["ArnNotEquals", "ArnNotLike"] {
        assert!(holds(negated, "\"arn:aws:iam::0:role/x\"", &[]), "{negated}");
    }
}

#[test]
fn values_are_alternatives_and_negated_ones_are_not() {
    assert!(holds("StringEquals", r#"["a", "b"]"#, &["b"]));
    assert!(!holds("StringEquals", r#"["a", "b"]"#, &["B"]));
    assert!(holds("StringEqualsIgnoreCase", r#"["a", "b"]"#, &["B"]));
    assert!(!holds("StringNotEquals", r#"["a", "b"]"#, &["b"]));
    assert!(holds("StringNotEquals", r#"["a", "b"]"#, &["c"]));
    assert!(!holds("StringNotEqualsIgnoreCase", r#"["a", "b"]"#, &["B"]));
    assert!(holds("StringLike", r#""a*""#, &["abc"]));
    assert!(!holds("StringEquals", r#""a*""#, &["abc"]));
    assert!(holds("StringNotLike", r#""a*""#, &["bc"]));
    assert!(holds("ArnNotLike", r#""arn:aws:iam::*:role/x""#, &["arn:aws:iam::0:role/y"]));
    assert!(holds("ArnNotLike", r#""arn:aws:iam::*:role/x""#, &["no ARN"]));
}

#[test]
fn booleans_and_numbers_are_compared_as_text() {
    assert!(holds("Bool", "true", &["true"]));
    assert!(holds("Bool", "\"TRUE\"", &["true"]));
    assert!(!holds("Bool", "true", &["false"]));
    assert!(holds("StringEquals", "3", &["3"]));
}

#[test]
fn null_asks_whether_the_key_is_missing() {
    assert!(holds("Null", "\"true\"", &[]));
    assert!(!holds("Null", "\"true\"", &["x"]));
    assert!(holds("Null", "\"false\"", &["x"]));
    assert!(!holds("Null", "false", &[]));
}

#[test]
fn set_operators_quantify_over_the_requests_values() {
    let ab = r#"["a", "b"]"#;
    for (operator, found, expected) in [
        ("ForAllValues:StringEquals", &["a", "b"][..], true),
        ("ForAllValues:StringEquals", &["a", "c"], false),
        ("ForAllValues:StringEquals", &[], true),
        ("ForAnyValue:StringEquals", &["a", "c"], true),
        ("ForAnyValue:StringEquals", &["c"], false),
        ("ForAnyValue:StringEquals", &[], false),
        ("ForAnyValue:StringEqualsIfExists", &[], false),
        ("ForAllValues:StringNotEquals", &["c", "d"], true),
        ("ForAllValues:StringNotEquals", &["a", "d"], false),
        ("ForAllValues:StringNotEquals", &[], true),
        ("ForAnyValue:StringNotEquals", &["a", "d"], true),
        ("ForAnyValue:StringNotEquals", &["a", "b"], false),
        ("ForAnyValue:StringNotEquals", &[], false),
    ] {
        assert_eq!(holds(operator, ab, found), expected, "{operator} on {found:?}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_an_error_with_its_path() {
    for (text, path, problem) in [
        (r#"{"StringMatches": {"aws:x": "y"}}"#, "StringMatches", Problem::UnknownOperator),
        (r#"{"stringequals": {"aws:x": "y"}}"#, "stringequals", Problem::UnknownOperator),
        (r#"{"NullIfExists": {"aws:x": "true"}}"#, "NullIfExists", Problem::UnknownOperator),
        (r#"{"ForSome:StringEquals": {"aws:x": "y"}}"#, "ForSome:StringEquals", Problem::UnknownOperator),
        (r#"{"NumericLike": {"aws:x": "1"}}"#, "NumericLike", Problem::UnknownOperator),
        (r#"{"NumericEquals": {"aws:x": "one"}}"#, "NumericEquals.aws:x", Problem::Expected("a number")),
        (r#"{"StringEquals": {"aws:x": "${username}"}}"#, "StringEquals.aws:x", Problem::Variable),
        (r#"{"BinaryEquals": {"aws:x": "a"}}"#, "BinaryEquals.aws:x", Problem::Expected("base64")),
        (
            r#"{"IpAddress": {"aws:x": "10.0.0.0/33"}}"#,
            "IpAddress.aws:x",
            Problem::Expected("an IP address or a network in CIDR form"),
        ),
        (
            r#"{"DateLessThan": {"aws:x": "yesterday"}}"#,
            "DateLessThan.aws:x",
            Problem::Expected("a date of ISO 8601, or seconds since 1970,"),
        ),
        (r#"{"StringLike": {"aws:x": ["a", "${x"]}}"#, "StringLike.aws:x[1]", Problem::Variable),
        (r#"{"StringEquals": {"aws:x": []}}"#, "StringEquals.aws:x", Problem::Expected("at least one value")),
        (
            r#"{"StringEquals": {"aws:x": [["a"]]}}"#,
            "StringEquals.aws:x[0]",
            Problem::Expected("a string, a number or a boolean"),
        ),
        (r#"{"Bool": {"aws:x": "yes"}}"#, "Bool.aws:x", Problem::Expected("true or false")),
        (r#"{"ArnLike": {"aws:x": "role/*"}}"#, "ArnLike.aws:x", Problem::Expected("an ARN of six parts")),
        (
            r#"{"StringEquals": {"aws:x": "a", "AWS:X": "b"}}"#,
            "StringEquals.AWS:X",
            Problem::Expected("a key that this operator has only once"),
        ),
    ] {
        let json = Json::parse(text).unwrap();
        let error = Condition::parse(&Node::root(&json, text), Kind::Resource, true).unwrap_err();
        assert_eq!((error.path.as_str(), error.problem), (path, problem));
    }
}

#[test]
fn numbers_dates_and_networks_are_compared_as_such() {
    let june = "\"2026-06-01T00:00:00Z\"";
    for (operator, expected, found, holding) in [
        ("NumericEquals", "10", "10.0", true),
        ("NumericNotEquals", "10", "10.0", false),
        ("NumericLessThan", "\"10\"", "9", true),
        ("NumericLessThanEquals", "10", "10", true),
        ("NumericGreaterThan", "10", "9", false),
        ("NumericGreaterThanEquals", "10", "ten", false),
        ("NumericNotEquals", "10", "ten", true),
        ("DateLessThan", june, "2026-05-31T23:59:59Z", true),
        ("DateLessThan", june, "2026-06-01T01:00:00+02:00", true),
        ("DateGreaterThan", june, "1780272001", true),
        ("DateGreaterThanEquals", "\"2026-06-01\"", "2026-06-01T00:00:00Z", true),
        ("DateEquals", june, "nonsense", false),
        ("IpAddress", "\"10.1.0.0/16\"", "10.1.255.255", true),
        ("IpAddress", "\"10.1.0.0/16\"", "10.2.0.0", false),
        ("IpAddress", "\"0.0.0.0/0\"", "::1", false),
        ("IpAddress", "\"2001:db8::/32\"", "2001:db8:ffff::1", true),
        ("NotIpAddress", "\"2001:db8::/32\"", "2001:db9::", true),
        ("IpAddress", "\"10.1.2.3\"", "10.1.2.3", true),
        ("BinaryEquals", "\"AAE=\"", "AAE=", true),
        ("BinaryEquals", "\"AAE=\"", "AAA=", false),
    ] {
        assert_eq!(holds(operator, expected, &[found]), holding, "{operator} {expected} on {found}");
    }
}
