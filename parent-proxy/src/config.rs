//! What the operator decides: flags, each also as an environment variable. Nothing here is
//! trusted by the enclave, and nothing here can change what it signs.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, Parser, ValueEnum};
use protocol::{Deployment, Endpoint, Region};

use crate::store::StoreUrl;

/// The parent of a Cofferdam enclave: HTTP API, blob store, way out to KMS.
#[derive(Debug, Clone, Parser)]
#[command(name = "parent-proxy", version)]
pub struct Config {
    /// Address of the HTTP API.
    #[arg(long, env = "COFFERDAM_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// The enclave: vsock://CID:PORT, unix://PATH on a laptop, or vsock-uds://PATH:PORT of a virtual machine.
    #[arg(long, env = "COFFERDAM_ENCLAVE")]
    pub enclave: Endpoint,
    /// Where sealed records are kept: file:///FOLDER or s3://BUCKET/PREFIX. For S3 the environment
    /// (AWS_ENDPOINT_URL, AWS_ALLOW_HTTP, …) is read as the object_store crate documents it.
    #[arg(long, env = "COFFERDAM_STORE")]
    pub store: StoreUrl,
    /// Folder of the log of everything that the enclave does, on this machine's own disk: a client
    /// is answered once its lines are there. Closed parts of it are copied to the store.
    #[arg(long, env = "COFFERDAM_LOG", value_name = "DIR")]
    pub log: PathBuf,
    /// Folder of the alerts: events that are read off the log and wait to be told. Without it there
    /// are none.
    #[arg(long, env = "COFFERDAM_ALERTS", value_name = "DIR")]
    pub alerts: Option<PathBuf>,
    /// File of the endpoints that alerts are posted to:
    /// {"webhooks": [{"url": "https://…", "secret": "whsec_…"}]}.
    #[arg(long, env = "COFFERDAM_WEBHOOKS", value_name = "FILE", requires = "alerts")]
    pub webhooks: Option<PathBuf>,
    /// File of the index of keys, which is made from the store and may be removed at any time
    /// [default: .index.redb in the folder of the log]
    #[arg(long, env = "COFFERDAM_INDEX", value_name = "FILE")]
    pub index: Option<PathBuf>,
    /// Where the enclave connects to reach KMS: vsock://any:PORT, unix://PATH on a laptop, or vsock-uds://PATH:PORT of a virtual machine.
    #[arg(long, env = "COFFERDAM_KMS_EGRESS")]
    pub kms_egress: Endpoint,
    /// The one destination of that way out, as HOST:PORT [default: port 443 of the region's, e.g. kms.REGION.amazonaws.com:443]
    #[arg(long, env = "COFFERDAM_KMS_ENDPOINT")]
    pub kms_endpoint: Option<HostPort>,
    /// AWS region of KMS and of the store.
    #[arg(long, env = "COFFERDAM_REGION")]
    pub region: Region,
    /// Refuse an enclave of any other deployment than this [default: that of the first answer]
    #[arg(long, env = "COFFERDAM_DEPLOYMENT")]
    pub deployment: Option<Deployment>,
    /// Certificate chain for HTTPS, PEM. Without one, plain HTTP.
    #[arg(long, env = "COFFERDAM_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[arg(long, env = "COFFERDAM_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Issuers of client certificates, PEM. When given, every client must show one.
    #[arg(long, env = "COFFERDAM_TLS_CLIENT_CA", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
    /// Form of the program's own messages on standard error.
    #[arg(long, env = "COFFERDAM_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Least severity of them: error, warn, info, debug or trace.
    #[arg(long, env = "COFFERDAM_LOG_LEVEL", default_value = "info")]
    pub log_level: tracing::Level,
    /// Bounds.
    #[command(flatten)]
    pub limits: Limits,
}

/// Bounds on everything that could otherwise grow or wait.
#[derive(Debug, Clone, Args)]
pub struct Limits {
    /// Connections to the enclave for what clients ask. There is one more for orders and policies; the
    /// enclave has `limits.connections`, 64 unless measured otherwise.
    #[arg(long, env = "COFFERDAM_ENCLAVE_CONNECTIONS", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=63))]
    pub enclave_connections: u16,
    /// Requests under way in the enclave; more are answered with 503 at once.
    #[arg(long, env = "COFFERDAM_ENCLAVE_IN_FLIGHT", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    pub enclave_in_flight: u16,
    /// Seconds that the enclave may take to answer.
    #[arg(long, env = "COFFERDAM_ENCLAVE_TIMEOUT", default_value = "10", value_parser = seconds)]
    pub enclave_timeout: Duration,
    /// Seconds between questions to the enclave whether it is well.
    #[arg(long, env = "COFFERDAM_ENCLAVE_HEARTBEAT", default_value = "5", value_parser = seconds)]
    pub enclave_heartbeat: Duration,
    /// Operations under way in the store.
    #[arg(long, env = "COFFERDAM_STORE_IN_FLIGHT", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
    pub store_in_flight: u16,
    /// Seconds that one operation of the store may take, repetitions included.
    #[arg(long, env = "COFFERDAM_STORE_TIMEOUT", default_value = "15", value_parser = seconds)]
    pub store_timeout: Duration,
    /// Seconds between two looks through the store for keys that other parents made.
    #[arg(long, env = "COFFERDAM_INDEX_REFRESH", default_value = "600", value_parser = seconds)]
    pub index_refresh: Duration,
    /// Connections of HTTP clients: more than requests under way of both kinds together. For a further
    /// one the connection is closed that has waited longest without a whole request.
    #[arg(long, env = "COFFERDAM_HTTP_CONNECTIONS", default_value_t = 2048, value_parser = clap::value_parser!(u16).range(1..))]
    pub http_connections: u16,
    /// HTTP requests under way; more are answered with 503 at once.
    #[arg(long, env = "COFFERDAM_HTTP_IN_FLIGHT", default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..))]
    pub http_in_flight: u16,
    /// Orders, policies and activations under way, beside these; more wait a few seconds.
    #[arg(long, env = "COFFERDAM_HTTP_RESTRICTING", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub http_restricting: u16,
    /// MiB of bodies of HTTP requests in memory. When there are more, the slowest are answered with 503;
    /// orders, policies and activations have 32 MiB of their own.
    #[arg(long, env = "COFFERDAM_HTTP_BODY_MIB", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
    pub http_body_mib: u16,
    /// Seconds that the body of an HTTP request may take to come; later ones are answered with 408.
    #[arg(long, env = "COFFERDAM_HTTP_BODY_TIMEOUT", default_value = "10", value_parser = seconds)]
    pub http_body_timeout: Duration,
    /// Seconds that an HTTP request may take once it is whole.
    #[arg(long, env = "COFFERDAM_HTTP_TIMEOUT", default_value = "30", value_parser = seconds)]
    pub http_timeout: Duration,
    /// Fresh attestation documents per second.
    #[arg(long, env = "COFFERDAM_ATTESTATION_RATE", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub attestation_rate: u32,
    /// Fresh attestation documents at once, before the rate counts.
    #[arg(long, env = "COFFERDAM_ATTESTATION_BURST", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub attestation_burst: u32,
    /// Requests that look like no client's, per second; more are answered with 429 and do not
    /// reach the enclave nor its log.
    #[arg(long, env = "COFFERDAM_AUTH_FAILURE_RATE", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub auth_failure_rate: u32,
    /// Such requests at once, before the rate counts.
    #[arg(long, env = "COFFERDAM_AUTH_FAILURE_BURST", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub auth_failure_burst: u32,
    /// Connections of the enclave to KMS.
    #[arg(long, env = "COFFERDAM_EGRESS_CONNECTIONS", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub egress_connections: u16,
    /// Seconds that connecting to KMS may take.
    #[arg(long, env = "COFFERDAM_EGRESS_CONNECT_TIMEOUT", default_value = "5", value_parser = seconds)]
    pub egress_connect_timeout: Duration,
    /// Seconds without a byte after which a connection to KMS is closed.
    #[arg(long, env = "COFFERDAM_EGRESS_IDLE_TIMEOUT", default_value = "120", value_parser = seconds)]
    pub egress_idle_timeout: Duration,
    /// Seconds between the word to stop and the end of listening, in which /readyz answers 503.
    #[arg(long, env = "COFFERDAM_DRAIN_DELAY", default_value = "0", value_parser = seconds)]
    pub drain_delay: Duration,
    /// Seconds that requests under way get to finish.
    #[arg(long, env = "COFFERDAM_DRAIN_TIMEOUT", default_value = "30", value_parser = seconds)]
    pub drain_timeout: Duration,
}

/// Form of the program's own messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object to a line.
    Json,
}

impl Config {
    /// Whether the bounds fit together.
    ///
    /// # Errors
    /// Which do not, and how they were given.
    pub fn check(&self) -> Result<(), String> {
        let Limits { http_connections, http_in_flight, http_restricting, .. } = self.limits;
        let busy = u32::from(http_in_flight) + u32::from(http_restricting);
        if u32::from(http_connections) > busy {
            return Ok(());
        }
        Err(format!(
            "--http-connections: expected more than --http-in-flight and --http-restricting together, {busy}, so \
             that there is one that can make room for another, found {http_connections}"
        ))
    }

    /// The file of the index of keys.
    pub fn index(&self) -> PathBuf {
        self.index.clone().unwrap_or_else(|| self.log.join(".index.redb"))
    }

    /// The one destination of the way out to KMS.
    pub fn kms(&self) -> HostPort {
        self.kms_endpoint.clone().unwrap_or_else(|| HostPort { host: self.region.kms_host(), port: 443 })
    }
}

/// A TCP destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Text that is no destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a destination is HOST:PORT, with an IPv6 address in brackets")]
pub struct HostPortError;

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        let (host, port) = text.rsplit_once(':').ok_or(HostPortError)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(HostPortError)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().map_err(|_| HostPortError)?.to_string(),
            None => host.to_owned(),
        };
        let in_a_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        let valid = host.contains(':') && text.starts_with('[')
            || (1..=253).contains(&host.len()) && host.bytes().all(in_a_name);
        if valid { Ok(Self { host, port }) } else { Err(HostPortError) }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a time is a number of seconds from 0 to 86400".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: [&str; 11] = [
        "parent-proxy",
        "--enclave",
        "unix:///e",
        "--store",
        "file:///s",
        "--kms-egress",
        "unix:///k",
        "--region",
        "eu-central-1",
        "--log=/l",
        "--listen=127.0.0.1:0",
    ];

    #[test]
    fn the_only_destination_is_the_regions_kms_unless_named() {
        let config = Config::parse_from(NEEDED);
        assert_eq!(config.kms().to_string(), "kms.eu-central-1.amazonaws.com:443");
        let elsewhere = |region: &'static str| {
            NEEDED.map(|argument| if argument == "eu-central-1" { region } else { argument })
        };
        for (region, kms) in [
            ("cn-north-1", "kms.cn-north-1.amazonaws.com.cn:443"),
            ("us-gov-west-1", "kms.us-gov-west-1.amazonaws.com:443"),
        ] {
            assert_eq!(Config::parse_from(elsewhere(region)).kms().to_string(), kms);
        }
        assert!(Config::try_parse_from(elsewhere("us-iso-east-1")).is_err());
        let named = Config::parse_from(NEEDED.iter().chain(&["--kms-endpoint", "127.0.0.1:9"]));
        assert_eq!(named.kms(), HostPort { host: "127.0.0.1".into(), port: 9 });
    }

    #[test]
    fn destinations_have_one_host_and_one_port() {
        for good in ["kms.example:443", "127.0.0.1:1", "[::1]:443", "a-b:65535"] {
            assert_eq!(good.parse::<HostPort>().unwrap().to_string(), good);
        }
        for bad in
            ["", "host", "host:", ":443", "host:0", "host:65536", "::1:443", "ho st:1", "[x]:1", "a/b:1"]
        {
            assert_eq!(bad.parse::<HostPort>(), Err(HostPortError), "{bad}");
        }
    }

    #[test]
    fn a_certificate_comes_with_its_key_and_limits_are_not_zero() {
        for bad in [
            "--tls-cert=c",
            "--tls-key=k",
            "--tls-client-ca=a",
            "--webhooks=w",
            "--auth-failure-rate=0",
            "--enclave-in-flight=0",
            "--http-timeout=-1",
            "--http-restricting=0",
            "--http-body-mib=0",
        ] {
            assert!(Config::try_parse_from(NEEDED.iter().chain(&[bad])).is_err(), "{bad}");
        }
    }

    #[test]
    fn more_connections_than_requests_under_way_are_asked_for() {
        let checked = |bounds: &[&str]| Config::parse_from(NEEDED.iter().chain(bounds)).check();
        assert_eq!(checked(&[]), Ok(()));
        let (few, more) = ("--http-in-flight=10", "--http-restricting=5");
        assert_eq!(checked(&[few, more, "--http-connections=16"]), Ok(()));
        let refused = checked(&[few, more, "--http-connections=15"]).unwrap_err();
        assert!(refused.contains("together, 15, so") && refused.ends_with("found 15"), "{refused}");
    }
}
