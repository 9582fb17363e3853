//! Policies of an organisation at one level: the policies themselves, and what says which there are. Source:
//! Organizations API Reference, `ListPoliciesForTarget`, `DescribePolicy`.

use std::{collections::BTreeSet, path::Path};

use kms_policies::{Kind, Policy};
use serde::Deserialize;

use super::{
    document::{self, Document},
    reading,
};
use crate::error::Error;

/// AWS's own, which allows everything. Source: Organizations User Guide, "SCP evaluation".
const FULL: [&str; 2] = ["p-FullAWSAccess", "p-RCPFullAWSAccess"];

/// `aws organizations list-policies-for-target`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    policies: Vec<Summary>,
    #[serde(default)]
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    id: String,
}

/// `aws organizations describe-policy`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    policy: Whole,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Whole {
    policy_summary: Summary,
}

/// The policies of a level. Each that a list names has to be there.
pub(super) fn level(kind: Kind, files: &[&Path]) -> Result<Vec<Document>, Error> {
    let (mut listed, mut there) = (BTreeSet::new(), BTreeSet::new());
    let mut documents = Vec::new();
    for file in files {
        let text = reading::text(file)?;
        if let Ok(List { policies, next_token }) = serde_json::from_str(&text) {
            if next_token.is_some() {
                return Err(Error::input(
                    file.display(),
                    "all policies were expected, not a page of them (NextToken)",
                ));
            }
            listed.extend(policies.into_iter().map(|policy| policy.id));
            continue;
        }
        if let Ok(Described { policy }) = serde_json::from_str(&text) {
            there.insert(policy.policy_summary.id);
        }
        documents.push(document::read(kind, file)?);
    }
    let (mut full, list) = (false, files.first().map(|file| file.display().to_string()).unwrap_or_default());
    if let (Some(id), false) = (there.difference(&listed).next(), listed.is_empty()) {
        let expected =
            format!("policies that the list of this level names were expected, found {id} besides");
        return Err(Error::input(list, expected));
    }
    for id in listed.difference(&there) {
        full |= FULL.contains(&id.as_str());
        if !FULL.contains(&id.as_str()) {
            let expected = format!(
                "the policy {id} was expected beside the list of this level: aws organizations describe-policy --policy-id {id}"
            );
            return Err(Error::input(list, expected));
        }
    }
    if full {
        documents.push(Document {
            policy: everything(kind)?,
            file: Path::new(FULL[0]).to_owned(),
            in_place: false,
        });
    }
    Ok(documents)
}

fn everything(kind: Kind) -> Result<Policy, Error> {
    let principal = if kind == Kind::ResourceControl { r#""Principal": "*", "# } else { "" };
    let text =
        format!(r#"{{"Statement": {{"Effect": "Allow", {principal}"Action": "*", "Resource": "*"}}}}"#);
    Policy::parse_as(kind, &text)
        .map(|policy| policy.named(format!("{kind} {}", FULL[0])))
        .map_err(|error| Error::Failed(error.to_string()))
}
