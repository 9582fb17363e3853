//! Policies as files: bare, or as the aws program prints them.

use std::path::{Path, PathBuf};

use kms_policies::{Kind, Policy, audit::Endpoint};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::reading;
use crate::error::Error;

/// A policy's text, and where it stands in its file.
struct Text {
    text: String,
    /// Whether lines and columns of the text are those of the file.
    in_place: bool,
}

/// A policy that was read.
pub(super) struct Document {
    pub(super) policy: Policy,
    pub(super) file: PathBuf,
    /// Whether its lines and columns are those of the file.
    pub(super) in_place: bool,
}

/// What the aws program prints around a policy.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    /// `kms get-key-policy` (a text), `organizations describe-policy`.
    #[serde(borrow)]
    policy: Option<&'a RawValue>,
    /// `iam get-role-policy`, `iam get-user-policy`.
    #[serde(borrow)]
    policy_document: Option<&'a RawValue>,
    /// `iam get-policy-version`.
    policy_version: Option<Version<'a>>,
    /// A policy itself.
    #[serde(borrow)]
    statement: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version<'a> {
    #[serde(borrow)]
    document: &'a RawValue,
}

/// `ec2 describe-vpc-endpoints`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List<'a> {
    #[serde(borrow)]
    vpc_endpoints: Vec<Printed<'a>>,
    #[serde(default)]
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed<'a> {
    vpc_endpoint_id: Option<String>,
    vpc_id: Option<String>,
    service_name: Option<String>,
    #[serde(borrow)]
    policy_document: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
}

/// Reads a policy of this kind; findings call it by its file, too, unless it is the only one of its
/// kind.
pub(super) fn read(kind: Kind, file: &Path) -> Result<Document, Error> {
    let whole = reading::text(file)?;
    let Text { text, in_place } = unwrapped(&whole);
    let policy = Policy::parse_as(kind, &text).map_err(|error| Error::input(file.display(), error))?;
    let policy = match (kind, file.file_name()) {
        (Kind::Resource, _) | (_, None) => policy,
        (_, Some(name)) => policy.named(format!("{kind} {}", name.to_string_lossy())),
    };
    Ok(Document { policy, file: file.to_owned(), in_place })
}

/// Reads VPC endpoints: all of KMS that `aws ec2 describe-vpc-endpoints` prints, or the policy of one.
pub(super) fn endpoints(file: &Path) -> Result<Vec<(Document, Endpoint)>, Error> {
    let whole = reading::text(file)?;
    let Ok(List { vpc_endpoints, next_token }) = serde_json::from_str::<List<'_>>(&whole) else {
        let document = read(Kind::Endpoint, file)?;
        let endpoint = Endpoint { policy: document.policy.clone(), id: None, vpc: None };
        return Ok(vec![(document, endpoint)]);
    };
    reading::unambiguous(file, &whole)?;
    let wrong = |error: &dyn std::fmt::Display| Error::input(file.display(), error);
    if next_token.is_some() {
        return Err(wrong(&"all endpoints were expected, not a page of them (NextToken)"));
    }
    let of_kms = |endpoint: &Printed<'_>| {
        let service = endpoint.service_name.as_deref();
        service.is_none_or(|name| name.ends_with(".kms") || name.ends_with(".kms-fips"))
    };
    let read = |endpoint: Printed<'_>| {
        let id = endpoint.vpc_endpoint_id.as_deref().unwrap_or("without an id");
        let raw = endpoint.policy_document.get();
        let text = serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned());
        let text = reading::url_decoded(&text).unwrap_or(text);
        let policy =
            Policy::parse_as(Kind::Endpoint, &text).map_err(|error| wrong(&format!("{id}: {error}")))?;
        let policy = policy.named(format!("{} {id}", Kind::Endpoint));
        let document = Document { policy: policy.clone(), file: file.to_owned(), in_place: false };
        Ok((document, Endpoint { policy, id: endpoint.vpc_endpoint_id, vpc: endpoint.vpc_id }))
    };
    vpc_endpoints.into_iter().filter(of_kms).map(read).collect()
}

/// The policy without what stands around it. What is neither is left as it is: its parser says what
/// is wrong with it, and where.
fn unwrapped(whole: &str) -> Text {
    if let Some(text) = reading::url_decoded(whole) {
        return Text { text, in_place: false };
    }
    let bare = || Text { text: whole.trim_end().to_owned(), in_place: true };
    let Ok(answer) = serde_json::from_str::<Answer<'_>>(whole) else { return bare() };
    let inner = match answer {
        Answer { statement: Some(_), .. } => None,
        Answer { policy: Some(policy), .. } => {
            Some(match serde_json::from_str::<Content<'_>>(policy.get()) {
                Ok(Content { content }) => content,
                Err(_) => policy,
            })
        }
        Answer { policy_document: Some(document), .. } => Some(document),
        Answer { policy_version: Some(Version { document }), .. } => Some(document),
        _ => None,
    };
    let Some(inner) = inner else { return bare() };
    match serde_json::from_str::<String>(inner.get()) {
        Ok(text) => Text { text: reading::url_decoded(&text).unwrap_or(text), in_place: false },
        Err(_) => Text { text: at_its_place(whole, inner.get()), in_place: true },
    }
}

/// A part of a text behind as many lines and columns as it has before it there.
pub(super) fn at_its_place(whole: &str, part: &str) -> String {
    let offset = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    let before = whole.get(..offset).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    let lines = before.chars().filter(|c| *c == '\n').count();
    format!("{}{}{part}", "\n".repeat(lines), " ".repeat(line.chars().count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str =
        r#"{"Statement": {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}}"#;

    fn policy(whole: &str) -> Policy {
        Policy::parse(&unwrapped(whole).text).unwrap()
    }

    #[test]
    fn what_the_aws_program_prints_is_a_policy() {
        let text = serde_json::to_string(POLICY).unwrap();
        for wrapped in [
            format!(r#"{{"Policy": {text}, "PolicyName": "default"}}"#),
            format!(r#"{{"Policy": {{"PolicySummary": {{"Type": "x"}}, "Content": {text}}}}}"#),
            format!(r#"{{"RoleName": "r", "PolicyName": "p", "PolicyDocument": {POLICY}}}"#),
            format!(r#"{{"PolicyVersion": {{"Document": {POLICY}, "VersionId": "v1"}}}}"#),
            format!(
                r#"{{"PolicyDocument": "{}"}}"#,
                POLICY.bytes().map(|b| format!("%{b:02X}")).collect::<String>()
            ),
            POLICY.bytes().map(|b| format!("%{b:02x}")).collect(),
            format!("{POLICY}\n\n"),
        ] {
            assert_eq!(policy(&wrapped).statements().len(), 1, "{wrapped}");
        }
    }

    #[test]
    fn a_place_within_an_answer_is_that_of_the_file() {
        let whole = format!("{{\n  \"é\": 1, \"PolicyDocument\": {POLICY}}}");
        let at = policy(&whole).statements()[0].position();
        assert_eq!((at.line, at.column), (2, 43));
        assert!(unwrapped(&whole).in_place);
    }

    #[test]
    fn every_endpoint_of_kms_is_read_with_its_id() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let ids = |text: String| {
            std::fs::write(file.path(), text).unwrap();
            let read = endpoints(file.path()).map_err(|error| error.to_string())?;
            Ok::<_, String>(read.into_iter().map(|(_, endpoint)| endpoint.id).collect::<Vec<_>>())
        };
        let text = serde_json::to_string(POLICY).unwrap();
        let one = |id: &str, service: &str| {
            format!(
                r#"{{"VpcEndpointId": "{id}", "VpcId": "vpc-1", "ServiceName": "com.amazonaws.eu-west-1.{service}", "PolicyDocument": {text}}}"#
            )
        };
        let list = format!(
            r#"{{"VpcEndpoints": [{}, {}, {}]}}"#,
            one("vpce-1", "kms"),
            one("vpce-2", "s3"),
            one("vpce-3", "kms-fips")
        );
        assert_eq!(ids(list.clone()), Ok(vec![Some("vpce-1".to_owned()), Some("vpce-3".to_owned())]));
        assert_eq!(ids(POLICY.to_owned()), Ok(vec![None]));
        assert!(
            ids(list.replacen("[{", "[{\"VpcId\": \"x\", ", 1)).unwrap_err().contains("repeated members")
        );
        assert!(ids(list.replacen("]}", "], \"NextToken\": \"x\"}", 1)).unwrap_err().contains("NextToken"));
    }

    #[test]
    fn two_policies_in_one_answer_are_no_policy() {
        let two = format!(r#"{{"Policy": "{{}}", "Policy": {}}}"#, serde_json::to_string(POLICY).unwrap());
        assert!(Policy::parse(&unwrapped(&two).text).is_err());
        let both = format!(r#"{{"Policy": "{{}}", {}"#, &POLICY[1..]);
        assert!(Policy::parse(&unwrapped(&both).text).is_err());
    }
}
