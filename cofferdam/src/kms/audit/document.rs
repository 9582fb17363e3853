//! Policies as files: bare, or as the aws program prints them.

use std::path::{Path, PathBuf};

use kms_policies::{Kind, Policy};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    error::Error,
    input::{self, MAX_TEXT},
};

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
    /// `ec2 describe-vpc-endpoints`.
    #[serde(borrow)]
    vpc_endpoints: Option<Vec<Endpoint<'a>>>,
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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint<'a> {
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
    let whole = input::read_text(file, MAX_TEXT)?;
    let Text { text, in_place } = unwrapped(&whole);
    let policy = Policy::parse_as(kind, &text).map_err(|error| Error::input(file.display(), error))?;
    let policy = match (kind, file.file_name()) {
        (Kind::Resource | Kind::Endpoint, _) | (_, None) => policy,
        (_, Some(name)) => policy.named(format!("{kind} {}", name.to_string_lossy())),
    };
    Ok(Document { policy, file: file.to_owned(), in_place })
}

/// The policy without what stands around it. What is neither is left as it is: its parser says what
/// is wrong with it, and where.
fn unwrapped(whole: &str) -> Text {
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
        Answer { vpc_endpoints: Some(endpoints), .. } => match endpoints.as_slice() {
            [Endpoint { policy_document }] => Some(*policy_document),
            _ => None,
        },
        _ => None,
    };
    let Some(inner) = inner else { return bare() };
    match serde_json::from_str::<String>(inner.get()) {
        Ok(text) => Text { text, in_place: false },
        Err(_) => Text { text: at_its_place(whole, inner.get()), in_place: true },
    }
}

/// A part of a text behind as many lines and columns as it has before it there.
fn at_its_place(whole: &str, part: &str) -> String {
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
            format!(r#"{{"VpcEndpoints": [{{"VpcEndpointId": "x", "PolicyDocument": {text}}}]}}"#),
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
    fn two_policies_in_one_answer_are_no_policy() {
        let two = format!(r#"{{"Policy": "{{}}", "Policy": {}}}"#, serde_json::to_string(POLICY).unwrap());
        assert!(Policy::parse(&unwrapped(&two).text).is_err());
        let both = format!(r#"{{"Policy": "{{}}", {}"#, &POLICY[1..]);
        assert!(Policy::parse(&unwrapped(&both).text).is_err());
        let endpoints = r#"{"VpcEndpoints": []}"#;
        assert!(Policy::parse(&unwrapped(endpoints).text).is_err());
    }
}
