//! The bucket's settings, as the AWS CLI prints them. A member that is not known is no error: AWS
//! adds some. One that is missing is what AWS says that its absence means.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::finding;
use crate::audit::report::{Section, Severity};
use verifier::json::Unambiguous;

/// Reads a setting, and says what is wrong with it.
pub(super) type Judge = fn(&str, &mut Section) -> Result<(), String>;

/// The one prefix below which objects may go: what the parent's probe writes at its start.
const PROBE: &str = "probe/";

/// An object, in which nothing stands twice: a list would pass for one whose members are all missing.
fn read<T: DeserializeOwned>(text: &str, command: &str) -> Result<T, String> {
    let object = |Unambiguous(json): Unambiguous| match json {
        Value::Object(members) => serde_json::from_value(Value::Object(members)),
        _ => Err(serde::de::Error::custom("an object was expected, found another value")),
    };
    serde_json::from_str(text)
        .and_then(object)
        .map_err(|error| format!("what `aws s3api {command}` prints was expected: {error}"))
}

/// Old versions are kept.
pub(super) fn versioning(text: &str, section: &mut Section) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Versioning {
        #[serde(rename = "Status")]
        status: Option<String>,
    }
    // For a bucket that never had it, the command prints nothing.
    let status = match text.trim() {
        "" => None,
        text => read::<Versioning>(text, "get-bucket-versioning")?.status,
    };
    section.fact("Versioning", status.as_deref().unwrap_or("never switched on"));
    if status.as_deref() != Some("Enabled") {
        section.findings.push(finding(
            ("versioning", Severity::High, "Old versions of records are not kept"),
            "versioning",
            format!("Enabled was expected, found {}", status.as_deref().unwrap_or("nothing")),
            (
                "aws s3api put-bucket-versioning with Status=Enabled",
                "S3 User Guide, \"Using versioning in S3 buckets\"",
            ),
        ));
    }
    Ok(())
}

/// Nobody can delete a version before its time.
pub(super) fn object_lock(text: &str, section: &mut Section) -> Result<(), String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Printed {
        object_lock_configuration: Lock,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Lock {
        object_lock_enabled: Option<String>,
        rule: Option<Rule>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Rule {
        default_retention: Option<Retention>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Retention {
        mode: String,
        days: Option<u32>,
        years: Option<u32>,
    }
    let lock = read::<Printed>(text, "get-object-lock-configuration")?.object_lock_configuration;
    let source = "S3 User Guide, \"Locking objects with Object Lock\"";
    let remedy = (
        "Object Lock with a default retention in COMPLIANCE mode, as deploy/cloudformation/custody.yaml has it",
        source,
    );
    let retention = lock.rule.and_then(|rule| rule.default_retention);
    let period = |retention: &Retention| match (retention.days, retention.years) {
        (Some(days), None) => Some(format!("{days} days")),
        (None, Some(years)) => Some(format!("{years} years")),
        _ => None,
    };
    let found = retention.as_ref().and_then(|retention| Some((retention.mode.as_str(), period(retention)?)));
    match (lock.object_lock_enabled.as_deref(), found) {
        (Some("Enabled"), Some((mode, period))) => {
            section.fact("Object Lock", format!("{mode}, {period} from each object's creation"));
            if mode != "COMPLIANCE" {
                section.findings.push(finding(
                    (
                        "retention.mode",
                        Severity::Medium,
                        "Retention can be lifted by whoever has the permission",
                    ),
                    "Object Lock",
                    format!("COMPLIANCE was expected, found {mode}"),
                    remedy,
                ));
            }
        }
        (enabled, _) => {
            let on = enabled == Some("Enabled");
            let found = if on { "on, without a default retention" } else { "off" };
            section.fact("Object Lock", found);
            section.findings.push(finding(
                ("retention", Severity::High, "Nothing keeps records from being deleted"),
                "Object Lock",
                format!("Enabled with a default retention was expected, found it {found}"),
                remedy,
            ));
        }
    }
    Ok(())
}

/// No policy and no ACL can make the bucket public.
pub(super) fn public_access(text: &str, section: &mut Section) -> Result<(), String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Printed {
        public_access_block_configuration: Block,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Block {
        #[serde(default)]
        block_public_acls: bool,
        #[serde(default)]
        ignore_public_acls: bool,
        #[serde(default)]
        block_public_policy: bool,
        #[serde(default)]
        restrict_public_buckets: bool,
    }
    let block = read::<Printed>(text, "get-public-access-block")?.public_access_block_configuration;
    let off: Vec<&str> = [
        ("BlockPublicAcls", block.block_public_acls),
        ("IgnorePublicAcls", block.ignore_public_acls),
        ("BlockPublicPolicy", block.block_public_policy),
        ("RestrictPublicBuckets", block.restrict_public_buckets),
    ]
    .into_iter()
    .filter_map(|(name, on)| (!on).then_some(name))
    .collect();
    section.fact(
        "Public access",
        if off.is_empty() {
            "blocked in all four ways".to_owned()
        } else {
            format!("not blocked by {}", off.join(", "))
        },
    );
    if !off.is_empty() {
        section.findings.push(finding(
            ("public_access", Severity::High, "The bucket can be made public"),
            "public access block",
            format!("off: {}", off.join(", ")),
            ("Switch all four on", "S3 User Guide, \"Blocking public access to your Amazon S3 storage\""),
        ));
    }
    Ok(())
}

/// What lies on disks is encrypted. Records are sealed by the enclave in any case.
pub(super) fn encryption(text: &str, section: &mut Section) -> Result<(), String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Printed {
        server_side_encryption_configuration: Rules,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Rules {
        rules: Vec<Rule>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Rule {
        apply_server_side_encryption_by_default: Option<Default>,
    }
    #[derive(Deserialize)]
    struct Default {
        #[serde(rename = "SSEAlgorithm")]
        algorithm: String,
    }
    let rules = read::<Printed>(text, "get-bucket-encryption")?.server_side_encryption_configuration.rules;
    let algorithm = rules.into_iter().find_map(|rule| rule.apply_server_side_encryption_by_default);
    section.fact("Encryption at rest", algorithm.as_ref().map_or("none", |default| &default.algorithm));
    if algorithm.is_none() {
        section.findings.push(finding(
            ("encryption", Severity::Low, "No encryption at rest is set"),
            "default encryption",
            "a default encryption was expected, found none",
            (
                "aws s3api put-bucket-encryption with AES256",
                "S3 User Guide, \"Setting default server-side encryption\"",
            ),
        ));
    }
    Ok(())
}

/// No rule lets objects expire. The bucket's policy does not bind these rules.
pub(super) fn lifecycle(text: &str, section: &mut Section) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Printed {
        #[serde(rename = "Rules", default)]
        rules: Vec<Value>,
    }
    let rules = read::<Printed>(text, "get-bucket-lifecycle-configuration")?.rules;
    section.fact("Lifecycle rules", rules.len().to_string());
    for rule in rules {
        let text = |pointer: &str| rule.pointer(pointer).and_then(Value::as_str);
        let prefix = ["/Filter/Prefix", "/Filter/And/Prefix", "/Prefix"].into_iter().find_map(text);
        // Without a number of days it only takes markers away under which nothing lies any more.
        let expires = ["/Expiration/Days", "/Expiration/Date", "/NoncurrentVersionExpiration"];
        let expires = expires.iter().any(|pointer| rule.pointer(pointer).is_some());
        let confined = prefix.is_some_and(|prefix| prefix.starts_with(PROBE));
        if text("/Status") == Some("Enabled") && expires && !confined {
            section.findings.push(finding(
                ("lifecycle", Severity::High, "A lifecycle rule deletes records"),
                text("/ID").unwrap_or("a rule without an id"),
                format!(
                    "objects below \"{}\" expire; only those below {PROBE} may",
                    prefix.unwrap_or_default()
                ),
                ("Remove the rule", "S3 User Guide, \"Expiring objects\""),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{report::SectionId, words};

    fn found(judge: Judge, text: &str) -> Vec<String> {
        let mut section = words::section(SectionId::Bucket);
        judge(text, &mut section).unwrap();
        assert_eq!(section.evidence.len(), 1);
        section.findings.into_iter().map(|finding| finding.id).collect()
    }

    #[test]
    fn versioning_is_on_or_not() {
        assert_eq!(
            found(versioning, r#"{"Status": "Enabled", "MFADelete": "Disabled"}"#),
            Vec::<String>::new()
        );
        for off in ["", "\n", "{}", r#"{"Status": "Suspended"}"#] {
            assert_eq!(found(versioning, off), ["bucket.versioning"], "{off}");
        }
    }

    #[test]
    fn a_lock_keeps_only_with_a_mode_and_a_time() {
        let lock = |enabled: &str, rule: &str| {
            found(object_lock, &format!(r#"{{"ObjectLockConfiguration": {{{enabled}{rule}}}}}"#))
        };
        let on = r#""ObjectLockEnabled": "Enabled""#;
        let rule = |mode: &str, time: &str| {
            format!(r#", "Rule": {{"DefaultRetention": {{"Mode": "{mode}"{time}}}}}"#)
        };
        assert_eq!(lock(on, &rule("COMPLIANCE", r#", "Days": 400"#)), Vec::<String>::new());
        assert_eq!(lock(on, &rule("COMPLIANCE", r#", "Years": 7"#)), Vec::<String>::new());
        assert_eq!(lock(on, &rule("GOVERNANCE", r#", "Days": 400"#)), ["bucket.retention.mode"]);
        assert_eq!(lock(on, &rule("COMPLIANCE", "")), ["bucket.retention"]);
        assert_eq!(lock(on, ""), ["bucket.retention"]);
        assert_eq!(lock("", ""), ["bucket.retention"]);
    }

    #[test]
    fn public_access_is_blocked_in_all_four_ways() {
        let block = |last: bool| {
            format!(
                r#"{{"PublicAccessBlockConfiguration": {{"BlockPublicAcls": true, "IgnorePublicAcls": true,
                "BlockPublicPolicy": true, "RestrictPublicBuckets": {last}}}}}"#
            )
        };
        assert_eq!(found(public_access, &block(true)), Vec::<String>::new());
        assert_eq!(found(public_access, &block(false)), ["bucket.public_access"]);
        assert_eq!(
            found(public_access, r#"{"PublicAccessBlockConfiguration": {}}"#),
            ["bucket.public_access"]
        );
    }

    #[test]
    fn only_what_the_probe_wrote_may_expire() {
        let rule = |status: &str, filter: &str, action: &str| {
            let text = format!(r#"{{"Rules": [{{"ID": "r", "Status": "{status}", {filter}, {action}}}]}}"#);
            found(lifecycle, &text)
        };
        let (probe, all) = (r#""Filter": {"Prefix": "probe/v1/"}"#, r#""Filter": {"Prefix": ""}"#);
        let noncurrent = r#""NoncurrentVersionExpiration": {"NoncurrentDays": 1}"#;
        assert_eq!(rule("Enabled", probe, noncurrent), Vec::<String>::new());
        assert_eq!(rule("Enabled", all, noncurrent), ["bucket.lifecycle"]);
        assert_eq!(rule("Enabled", all, r#""Expiration": {"Days": 3000}"#), ["bucket.lifecycle"]);
        assert_eq!(rule("Enabled", r#""Prefix": "keys/""#, noncurrent), ["bucket.lifecycle"]);
        assert_eq!(rule("Disabled", all, noncurrent), Vec::<String>::new());
        let incomplete = r#""AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}"#;
        assert_eq!(rule("Enabled", all, incomplete), Vec::<String>::new());
        assert_eq!(found(lifecycle, "{}"), Vec::<String>::new());
    }

    #[test]
    fn encryption_is_named() {
        let text = r#"{"ServerSideEncryptionConfiguration": {"Rules": [
            {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": false}]}}"#;
        assert_eq!(found(encryption, text), Vec::<String>::new());
        assert_eq!(
            found(encryption, r#"{"ServerSideEncryptionConfiguration": {"Rules": []}}"#),
            ["bucket.encryption"]
        );
    }

    #[test]
    fn what_is_not_the_cli_s_is_an_error() {
        let judges: [Judge; 5] = [versioning, object_lock, public_access, encryption, lifecycle];
        for judge in judges {
            for text in ["[]", "null", "x", "{\"Rules\": 7, \"Status\": 7}"] {
                assert!(judge(text, &mut words::section(SectionId::Bucket)).is_err(), "{text}");
            }
        }
    }
}
