//! Floods that a freeze has to get through, and the freezes. Each goes on until it is dropped: what is
//! cut or answered begins anew.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use protocol::order::Restriction;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    authority::signed_order,
    stack::{Node, Stack, http},
};

/// How long a freeze may take.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// How long a flood may take to fill what it fills, on a machine that has much else to do.
pub const FLOODED: Duration = Duration::from_secs(60);
/// Freezes that are under way at once.
const AT_ONCE: usize = 4;
/// The bodies of the flood of long ones.
const LONG: usize = 850 << 10;
/// For KMS to answer.
const STALLED: u64 = 120_000;

/// What somebody does to keep a freeze out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    /// Connections to the parent that say nothing, half a head or half a body: 560 of them.
    SlowConnections,
    /// 300 requests that wait for a KMS that does not answer.
    StalledKms,
    /// 250 requests of 850 KiB, while KMS does not answer.
    LongBodies,
    /// 300 connections to the enclave's socket that say nothing.
    IdleSockets,
}

impl Flood {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::SlowConnections, Self::StalledKms, Self::LongBodies, Self::IdleSockets];

    /// Its name, for a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SlowConnections => "560_slow_connections",
            Self::StalledKms => "300_requests_on_a_stalled_kms",
            Self::LongBodies => "250_bodies_of_850_kib",
            Self::IdleSockets => "300_idle_connections_to_the_enclave",
        }
    }

    /// A deployment to flood: every address takes a call of KMS, and the parent has so few places for
    /// connections that a flood of them fills all.
    pub fn stack() -> Stack {
        let bounds = [("COFFERDAM_HTTP_CONNECTIONS", "500"), ("COFFERDAM_HTTP_IN_FLIGHT", "400")];
        Stack::on_files().with_env(&bounds).changed(|config| config.limits = "data_key_records = 1".into())
    }

    /// Begins it.
    pub async fn begin(self, stack: &Stack, node: &Arc<Node>) -> Flooding {
        let flooding = Flooding { tasks: JoinSet::new(), rounds: Arc::default() };
        if matches!(self, Self::StalledKms | Self::LongBodies) {
            stack.stall_kms(STALLED).await;
        }
        let count = match self {
            Self::SlowConnections => 560,
            Self::StalledKms | Self::IdleSockets => 300,
            Self::LongBodies => 250,
        };
        self.spread(flooding, node, count)
    }

    fn spread(self, mut flooding: Flooding, node: &Arc<Node>, count: u64) -> Flooding {
        for number in 0..count {
            let (node, rounds) = (Arc::clone(node), Arc::clone(&flooding.rounds));
            flooding.tasks.spawn(async move {
                let http = http();
                for round in 0u64.. {
                    let user = format!("{self:?}-{number}-{round}");
                    match self {
                        Self::SlowConnections => slow(&node, number % 4).await,
                        Self::IdleSockets => idle(&node).await,
                        Self::StalledKms => {
                            ask(&node, &http, "/v1/addresses", address(&user).to_string()).await
                        }
                        Self::LongBodies => {
                            let body = json!({ "addresses": [address(&user)] }).to_string();
                            let body = format!("{body}{}", " ".repeat(LONG - body.len()));
                            ask(&node, &http, "/v1/addresses/batch", body).await;
                        }
                    }
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        flooding
    }
}

/// A flood that is under way.
pub struct Flooding {
    tasks: JoinSet<()>,
    rounds: Arc<AtomicU64>,
}

impl Flooding {
    /// Waits until something of it was cut or answered so often, and began anew.
    ///
    /// # Errors
    /// How often it was, when that is not reached within [`FLOODED`].
    pub async fn reaches(&self, rounds: u64) -> Result<(), String> {
        let reached = || self.rounds.load(Ordering::Relaxed);
        let wait = async {
            while reached() < rounds {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(FLOODED, wait)
            .await
            .map_err(|_| format!("{} rounds of {rounds} within {FLOODED:?}", reached()))
    }

    /// How many go on with it: one that ended failed.
    pub fn hands(&mut self) -> usize {
        while let Some(ended) = self.tasks.try_join_next() {
            ended.unwrap();
        }
        self.tasks.len()
    }
}

fn address(user: &str) -> Value {
    json!({"user": user, "chain": "evm"})
}

/// A connection that is held until it is cut: silent, with half a head, or with half a body.
async fn slow(node: &Node, kind: u64) {
    let length = "Host: parent\r\nContent-Type: application/json\r\nContent-Length";
    let begun = match kind {
        0 => String::new(),
        1 => "POST /v1/orders HTTP/1.1\r\nHost: par".to_owned(),
        2 => format!("POST /v1/orders HTTP/1.1\r\n{length}: 2000\r\n\r\n{{"),
        _ => format!("POST /v1/addresses/batch HTTP/1.1\r\n{length}: 800000\r\n\r\n{}", " ".repeat(9999)),
    };
    if let Ok(mut stream) = TcpStream::connect(node.url.trim_start_matches("http://")).await {
        let _ = stream.write_all(begun.as_bytes()).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    sleep(Duration::from_millis(100)).await;
}

/// A connection to the enclave that is held until it is cut.
async fn idle(node: &Node) {
    if let Ok(mut stream) = UnixStream::connect(node.folder.join("enclave.sock")).await {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    sleep(Duration::from_millis(100)).await;
}

/// A request of the backend's, whatever the answer.
async fn ask(node: &Node, http: &reqwest::Client, path: &str, body: String) {
    let asked = node.request(http, Method::POST, path, body.into_bytes()).send().await;
    // One that is turned away comes back, and does not fill the machine with its own signatures.
    let pause =
        if asked.is_ok_and(|answer| answer.status() == StatusCode::SERVICE_UNAVAILABLE) { 900 } else { 50 };
    sleep(Duration::from_millis(pause)).await;
}

/// Sends so many freezes, each of another user, each on a connection of its own; how long each took, in
/// order of that.
///
/// # Errors
/// The first that was refused, or took longer than [`DEADLINE`].
pub async fn freezes(node: &Node, name: &str, count: usize) -> Result<Vec<Duration>, String> {
    let hands = (0..AT_ONCE).map(|hand| async move {
        let mut times = Vec::new();
        for number in (hand..count).step_by(AT_ONCE) {
            times.push(freeze(node, &format!("{name}-{number}")).await?);
        }
        Ok::<_, String>(times)
    });
    let mut times: Vec<Duration> =
        join_all(hands).await.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    times.sort_unstable();
    Ok(times)
}

async fn freeze(node: &Node, user: &str) -> Result<Duration, String> {
    let restriction = Restriction::FreezeUser { user: user.parse().map_err(|_| "a user".to_owned())? };
    let order = signed_order(&node.deployment, &restriction);
    let (http, started) = (http(), Instant::now());
    let sent = node.request(&http, Method::POST, "/v1/orders", order).send();
    match timeout(DEADLINE, sent).await {
        Err(_) => Err(format!("{user}: no answer within {DEADLINE:?}")),
        Ok(Err(error)) => Err(format!("{user}: {error}")),
        Ok(Ok(answer)) if answer.status() == StatusCode::CREATED => Ok(started.elapsed()),
        Ok(Ok(answer)) => {
            Err(format!("{user}: {} {}", answer.status(), answer.text().await.unwrap_or_default()))
        }
    }
}

/// The value below which such a part of the times is.
pub fn quantile(sorted: &[Duration], part: f64) -> Duration {
    let at = ((sorted.len() - 1) as f64 * part) as usize;
    sorted[at]
}
