//! An event of CloudTrail, as far as it is of interest here. Source: CloudTrail User Guide,
//! "CloudTrail record contents"; KMS Developer Guide, "Examples of AWS KMS log entries".

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{caller::Caller, recipient::Recipient};
use crate::clock;

/// The most characters of a text that are kept: the rest of a longer one is nobody's name.
const MAX_TEXT: usize = 1024;
/// The most pairs of an encryption context that are kept. KMS's own bound is on its bytes.
const MAX_CONTEXT: usize = 64;

/// Whose event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// `kms.amazonaws.com`
    Kms,
    /// `cloudtrail.amazonaws.com`
    CloudTrail,
    /// Any other service's.
    Other,
}

/// One call, or something that AWS did by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// CloudTrail's name of the event.
    pub(super) id: String,
    /// When, in milliseconds since 1970. CloudTrail knows whole seconds: it was in the second that
    /// begins here.
    pub(super) time: u64,
    pub(super) source: Source,
    /// The operation.
    pub(super) name: String,
    pub(super) region: String,
    pub(super) caller: Caller,
    /// The caller's address, or a service's name.
    pub(super) ip: String,
    /// Nothing where it succeeded.
    pub(super) error: Option<String>,
    /// Whatever names a key: ARNs, ids, aliases.
    pub(super) keys: Vec<String>,
    /// Not a call: AWS did it.
    pub(super) by_aws: bool,
    /// What it was attested with; an error where that cannot be read, nothing where it was not.
    pub(super) recipient: Option<Result<Recipient, &'static str>>,
    /// Nothing where there is none; an empty one where it cannot be read.
    pub(super) context: Option<BTreeMap<String, String>>,
}

impl Event {
    /// Reads an event's fields. What other services write in them is of no interest.
    ///
    /// # Errors
    /// What was expected.
    pub(super) fn read(fields: &Map<String, Value>) -> Result<Self, &'static str> {
        let field = |name| fields.get(name).and_then(Value::as_str);
        let version =
            field("eventVersion").ok_or("an event of CloudTrail, with eventVersion, was expected")?;
        if !version.starts_with("1.") {
            return Err("eventVersion: 1 was expected");
        }
        let source = match field("eventSource").ok_or("eventSource was expected")? {
            "kms.amazonaws.com" => Source::Kms,
            "cloudtrail.amazonaws.com" => Source::CloudTrail,
            _ => Source::Other,
        };
        let time = field("eventTime").and_then(|time| clock::parse(time).ok());
        let caller = Caller::read(fields.get("userIdentity"));
        let by_aws = field("eventType") == Some("AwsServiceEvent") || caller.is_aws_internal();
        let of = |object: &str, name: &str| fields.get(object).and_then(|object| object.get(name));
        Ok(Self {
            id: field("eventID").map(text).ok_or("eventID was expected")?,
            time: time.ok_or("eventTime: a time of RFC 3339 was expected")?,
            source,
            name: field("eventName").map(text).ok_or("eventName was expected")?,
            region: field("awsRegion").map(text).unwrap_or_default(),
            caller,
            ip: field("sourceIPAddress").map(text).unwrap_or_default(),
            // A code that is no text is one all the same.
            error: fields.get("errorCode").filter(|code| !code.is_null()).map(|code| {
                let code = code.as_str().map(text).unwrap_or_default();
                if code.is_empty() { "an error".to_owned() } else { code }
            }),
            keys: if source == Source::Kms { keys(fields) } else { Vec::new() },
            by_aws,
            recipient: of("additionalEventData", "recipient")
                .filter(|recipient| !recipient.is_null())
                .map(Recipient::read),
            context: of("requestParameters", "encryptionContext")
                .filter(|context| !context.is_null())
                .map(context),
        })
    }

    /// Whether KMS did what was asked for.
    pub(super) const fn succeeded(&self) -> bool {
        self.error.is_none()
    }
}

/// Everything in an event that may name a key.
fn keys(fields: &Map<String, Value>) -> Vec<String> {
    const NAMES: [(&str, &str); 9] = [
        ("requestParameters", "keyId"),
        ("requestParameters", "targetKeyId"),
        ("requestParameters", "sourceKeyId"),
        ("requestParameters", "destinationKeyId"),
        ("requestParameters", "resourceId"),
        ("responseElements", "keyId"),
        ("responseElements", "sourceKeyId"),
        ("serviceEventDetails", "keyId"),
        ("additionalEventData", "keyId"),
    ];
    let resources = fields.get("resources").and_then(Value::as_array).into_iter().flatten();
    let arns = resources.filter_map(|resource| resource.get("ARN").or_else(|| resource.get("arn")));
    let named = NAMES.iter().filter_map(|(object, name)| fields.get(*object)?.get(name));
    let replica = ["replicaKeyMetadata", "keyMetadata"]
        .iter()
        .filter_map(|name| fields.get("responseElements")?.get(name)?.get("arn"));
    // More than KMS ever names could only hide the one that is looked for, so none is left out;
    // an event is bounded by its file.
    arns.chain(named).chain(replica).filter_map(Value::as_str).map(text).collect()
}

fn context(value: &Value) -> BTreeMap<String, String> {
    let Some(fields) = value.as_object().filter(|fields| fields.len() <= MAX_CONTEXT) else {
        return BTreeMap::new();
    };
    let pair = |(name, value): (&String, &Value)| Some((text(name), text(value.as_str()?)));
    fields.iter().map(pair).collect::<Option<_>>().unwrap_or_default()
}

/// A text, cut where it is longer than any that is of interest.
pub(super) fn text(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}
