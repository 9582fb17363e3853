//! What an image says of itself, in the JSON of AWS's tools. No PCR covers it: it helps people to
//! find their way, and proves nothing.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::EifError;

/// The metadata section: a JSON object with these fields in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metadata {
    /// The image's name.
    pub image_name: String,
    /// The image's version.
    pub image_version: String,
    /// How it was built.
    pub build_metadata: BuildInfo,
    /// What Docker says of the container that it was made from, or null.
    pub docker_info: Value,
    /// Whatever the builder added, or null.
    pub custom_metadata: Value,
}

/// How an image was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BuildInfo {
    /// RFC 3339.
    pub build_time: String,
    /// The program that built it.
    pub build_tool: String,
    /// That program's version.
    pub build_tool_version: String,
    /// Of the kernel: `Linux`.
    pub operating_system: String,
    /// Of the kernel.
    pub kernel_version: String,
}

impl Metadata {
    /// The same for the same arguments, wherever it is made: no host, no user, no clock.
    /// `built_at` is seconds since 1970, as in `SOURCE_DATE_EPOCH`.
    pub fn new(name: &str, version: &str, kernel_version: Option<&str>, built_at: u32) -> Self {
        Self {
            image_name: name.to_owned(),
            image_version: version.to_owned(),
            build_metadata: BuildInfo {
                build_time: rfc3339(built_at),
                build_tool: "cofferdam".to_owned(),
                build_tool_version: env!("CARGO_PKG_VERSION").to_owned(),
                operating_system: "Linux".to_owned(),
                kernel_version: kernel_version.unwrap_or("Unknown").to_owned(),
            },
            docker_info: Value::Null,
            custom_metadata: Value::Null,
        }
    }

    /// Reads the JSON. Fields that AWS's tools do not write are ignored.
    ///
    /// # Errors
    /// [`EifError::Metadata`]
    pub fn parse(json: &[u8]) -> Result<Self, EifError> {
        serde_json::from_slice(json)
            .map_err(|error| EifError::Metadata { line: error.line(), column: error.column() })
    }

    /// The JSON, without white space.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, EifError> {
        serde_json::to_vec(self).map_err(|_| EifError::Metadata { line: 0, column: 0 })
    }
}

/// As AWS's tools write a time.
fn rfc3339(seconds: u32) -> String {
    // Four bytes of seconds end in 2106: every value is a time.
    let at = OffsetDateTime::from_unix_timestamp(seconds.into()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_the_same_inputs_is_the_same_bytes() {
        let json = Metadata::new("an image", "1.2", Some("6.12.117"), 0).encode().unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            String::from_utf8(json.clone()).unwrap(),
            format!(
                r#"{{"ImageName":"an image","ImageVersion":"1.2","BuildMetadata":{{"BuildTime":"1970-01-01T00:00:00+00:00","BuildTool":"cofferdam","BuildToolVersion":"{version}","OperatingSystem":"Linux","KernelVersion":"6.12.117"}},"DockerInfo":null,"CustomMetadata":null}}"#
            )
        );
        assert_eq!(Metadata::parse(&json).unwrap().encode().unwrap(), json);
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        assert_eq!(rfc3339(1_736_179_625), "2025-01-06T16:07:05+00:00");
        assert_eq!(rfc3339(u32::MAX), "2106-02-07T06:28:15+00:00");
    }

    #[test]
    fn json_of_any_depth_is_read_or_refused() {
        let deep = "[".repeat(100_000);
        assert!(matches!(Metadata::parse(deep.as_bytes()), Err(EifError::Metadata { .. })));
        let nested =
            format!(r#"{{"ImageName":"","ImageVersion":"","BuildMetadata":{{}},"DockerInfo":{deep}"#);
        assert!(matches!(Metadata::parse(nested.as_bytes()), Err(EifError::Metadata { .. })));
    }
}
