//! The request log: one JSON line for each call, shaped like CloudTrail's events. Source: KMS
//! Developer Guide, "Logging AWS KMS API calls" and "Monitoring attested requests".

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, Write},
    net::IpAddr,
    path::Path,
    sync::{Mutex, PoisonError},
};

use attestation::{AttestationDoc, PcrIndex, Verified};
use data_encoding::BASE64;
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{api::Operation, error::Refusal};
use crate::account::Principal;

/// How many events stay in memory.
const KEPT: usize = 10_000;
/// The registers that CloudTrail shows, beside PCR0.
const SHOWN: [u8; 5] = [1, 2, 3, 4, 8];

/// Writes events, and keeps the latest.
#[derive(Debug)]
pub(super) struct Log {
    file: Option<Mutex<File>>,
    latest: Mutex<VecDeque<Value>>,
}

impl Log {
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path).map(Mutex::new);
        Ok(Self { file: path.map(open).transpose()?, latest: Mutex::default() })
    }

    pub(super) fn write(&self, event: Value) {
        if let Some(file) = &self.file {
            // One write, so that lines of several processes do not mix.
            let line = format!("{event}\n");
            if let Err(error) = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())
            {
                tracing::warn!(%error, "the request log was expected to be writable");
            }
        }
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.push_back(event);
        while latest.len() > KEPT {
            latest.pop_front();
        }
    }

    pub(super) fn latest(&self) -> Vec<Value> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// What is known of a call, while it is handled.
#[derive(Debug, Default)]
pub(super) struct Event {
    parameters: Map<String, Value>,
    resources: Vec<String>,
    recipient: Option<Value>,
    pub(super) identity: Option<Value>,
}

impl Event {
    /// Notes a parameter of the request.
    pub(super) fn parameter(&mut self, name: &str, value: impl Into<Value>) {
        self.parameters.insert(name.to_owned(), value.into());
    }

    /// Notes the key that the call is about.
    pub(super) fn resource(&mut self, arn: &str) {
        self.resources.push(arn.to_owned());
    }

    /// Notes the enclave that asks.
    pub(super) fn recipient(&mut self, doc: &Verified<AttestationDoc>) {
        let pcr = |index| {
            let index = PcrIndex::new(index).ok()?;
            doc.pcr(index).map(|pcr| BASE64.encode(pcr.as_bytes()))
        };
        let mut recipient = Map::new();
        recipient.insert("attestationDocumentModuleId".into(), doc.module_id().into());
        recipient.insert("attestationDocumentEnclaveImageDigest".into(), pcr(0).into());
        for index in SHOWN {
            if let Some(pcr) = pcr(index) {
                recipient.insert(format!("attestationDocumentEnclavePCR{index}"), pcr.into());
            }
        }
        self.recipient = Some(recipient.into());
    }

    /// Who asks, as CloudTrail shows it.
    pub(super) fn identify(&mut self, principal: &Principal, account: &str) {
        let Ok(caller) = principal.caller() else { return };
        let (Some(arn), Some(kind)) = (caller.principal(), caller.kind()) else { return };
        let name = arn.resource().rsplit('/').next().unwrap_or_default();
        let mut identity = json!({
            "type": match kind { "User" => "IAMUser", "Account" => "Root", role => role },
            "principalId": format!("SIMULATED:{}", principal.name),
            "arn": caller.to_string(),
            "accountId": account,
            "accessKeyId": principal.access_key_id,
        });
        if kind == "AssumedRole"
            && let Some(identity) = identity.as_object_mut()
        {
            let issuer = json!({"type": "Role", "arn": arn.as_str(), "accountId": account, "userName": name});
            identity.insert("sessionContext".into(), json!({"sessionIssuer": issuer}));
        }
        self.identity = Some(identity);
    }

    /// The event.
    pub(super) fn finish(self, call: &Finished<'_>) -> Value {
        let seconds = i64::try_from(call.now / 1000).unwrap_or(i64::MAX);
        let time = OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|t| t.format(&Rfc3339).ok());
        let resources: Vec<Value> = self
            .resources
            .iter()
            .map(|arn| json!({"accountId": call.account, "type": "AWS::KMS::Key", "ARN": arn}))
            .collect();
        let mut event = json!({
            "eventVersion": "1.11",
            "userIdentity": self.identity,
            "eventTime": time,
            "eventSource": "kms.amazonaws.com",
            "eventName": call.operation.name(),
            "awsRegion": call.region,
            "sourceIPAddress": call.source.to_string(),
            "userAgent": call.user_agent,
            "requestParameters": self.parameters,
            "responseElements": null,
            "requestID": call.request_id,
            "eventID": call.event_id,
            "readOnly": call.operation.is_read_only(),
            "resources": resources,
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": call.account,
            "eventCategory": "Management",
        });
        if let Some(event) = event.as_object_mut() {
            if let Some(recipient) = self.recipient {
                event.insert("additionalEventData".into(), json!({ "recipient": recipient }));
            }
            if let Some(refusal) = call.refusal {
                // CloudTrail's name for denials; other exceptions keep theirs.
                let code = match refusal.code() {
                    "AccessDeniedException" => "AccessDenied",
                    code => code,
                };
                event.insert("errorCode".into(), code.into());
                event.insert("errorMessage".into(), refusal.to_string().into());
            }
        }
        event
    }
}

/// What is known once a call was answered.
pub(super) struct Finished<'a> {
    pub(super) operation: Operation,
    pub(super) refusal: Option<&'a Refusal>,
    pub(super) now: u64,
    pub(super) account: &'a str,
    pub(super) region: &'a str,
    pub(super) source: IpAddr,
    pub(super) user_agent: &'a str,
    pub(super) request_id: &'a str,
    pub(super) event_id: String,
}
