//! `cofferdam kms decide`: one request, decided with every document that was brought, and the statement
//! that decided it.

use clap::Args;
use kms_policies::{
    Arn, Caller, Request, actions,
    audit::{Decided, Place},
};
use serde::Serialize;

use super::audit::subject::{Loaded, SubjectArgs};
use crate::{
    error::Error,
    output::{Screen, Sheet, Show},
};

/// Arguments of `kms decide`.
#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// Who asks: the ARN of a user, of a role or of its session, of an account's root, or a service
    #[arg(long, value_name = "ARN", value_parser = caller)]
    caller: Caller,
    /// What is asked, such as kms:Decrypt
    #[arg(long, value_name = "ACTION", value_parser = action)]
    action: String,
    /// A condition key of the request with its value, such as kms:EncryptionContext:purpose=sweep or
    /// kms:RecipientAttestation:PCR0=…; may be given several times
    #[arg(long = "with", value_name = "KEY=VALUE", value_parser = pair)]
    with: Vec<(String, String)>,
}

fn caller(text: &str) -> Result<Caller, String> {
    if text.starts_with("arn:") {
        return Caller::parse(text).map_err(|error| error.to_string());
    }
    Caller::aws_service(text).map_err(|error| error.to_string())
}

fn action(text: &str) -> Result<String, String> {
    actions::find(text)
        .map(|action| action.name.to_owned())
        .ok_or_else(|| "an action of KMS was expected".to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE was expected")?;
    match key.split_once(':').is_some_and(|(service, name)| !service.is_empty() && !name.is_empty()) {
        true => Ok((key.to_owned(), value.to_owned())),
        false => Err("a condition key, service:name, was expected before =".to_owned()),
    }
}

/// What became of the request.
#[derive(Serialize)]
struct Answer {
    caller: String,
    action: String,
    key: String,
    #[serde(flatten)]
    decided: Decided,
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        let Self { caller, action, key, decided } = self;
        let text = |place: &Place| match place.at {
            Some(at) => format!("{}, {} ({at})", place.document, place.statement),
            None => format!("{}, {}", place.document, place.statement),
        };
        match (decided.allowed, &decided.by) {
            (true, _) => sheet.good("allowed"),
            (false, Some(_)) => sheet.bad("denied"),
            (false, None) => sheet.bad("not allowed: no statement allows it"),
        }
        sheet.row("caller", caller);
        sheet.row("action", action);
        sheet.row("key", key);
        if let Some(place) = &decided.by {
            sheet.row("by", text(place));
        }
        if decided.allowed && decided.needs_iam {
            sheet.row("and", "an IAM policy of the caller's account has to allow it, too; none was brought");
        }
    }
}

/// The key that was told, or a word that it has to be.
fn key(subject: &kms_policies::audit::Subject) -> Result<Arn, Error> {
    subject.told_key().filter(Arn::is_key).ok_or_else(|| Error::input("--key", "the key's ARN was expected"))
}

pub(super) fn run(args: &DecideArgs, screen: &Screen) -> Result<(), Error> {
    let Loaded { subject, .. } = args.subject.load()?;
    let key = key(&subject)?;
    let mut request = Request::new(args.caller.clone(), &args.action, key.clone());
    request = request.with_only("aws:SecureTransport", vec!["true".to_owned()]);
    request = request.with_only("aws:ResourceAccount", vec![key.account().to_string()]);
    for (name, _) in &args.with {
        let values = args.with.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        request = request.with_only(name, values.map(|(_, value)| value.clone()).collect());
    }
    // ImageSha384 is PCR0 by another name.
    let same = ["kms:RecipientAttestation:PCR0", "kms:RecipientAttestation:ImageSha384"];
    for (one, other) in [(same[0], same[1]), (same[1], same[0])] {
        let values = request.context().get(&one.to_lowercase()).cloned();
        if let Some(values) = values.filter(|_| !request.context().contains_key(&other.to_lowercase())) {
            request = request.with_only(other, values);
        }
    }
    let decided = subject.decide(&request);
    let (allowed, caller) = (decided.allowed, args.caller.to_string());
    screen.show(&Answer { caller, action: args.action.clone(), key: key.to_string(), decided })?;
    if allowed { Ok(()) } else { Err(Error::Told) }
}
