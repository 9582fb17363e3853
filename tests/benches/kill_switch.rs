//! How long a freeze takes, undisturbed and under each flood (`cofferdam_tests::floods`); prints one JSON
//! object. `FREEZES` (200) are sent, each with a deadline of five seconds. That all get through is checked:
//! one that is refused or late ends the bench.

use std::{sync::Arc, time::Duration};

use cofferdam_tests::floods::{Flood, freezes, quantile};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

/// For a flood to rise.
const RISE: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    // `cargo test --benches` and criterion's own flags: nothing to do.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let count = std::env::var("FREEZES").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let mut results = Map::new();
    results.insert("undisturbed".into(), measured(None, count).await);
    for flood in Flood::ALL {
        results.insert(flood.name().into(), measured(Some(flood), count).await);
    }
    println!("{:#}", json!({ "freezes": count, "under": results }));
}

async fn measured(flood: Option<Flood>, count: usize) -> Value {
    let stack = Flood::stack();
    let node = Arc::new(stack.node("node").ready().await);
    let mut flooding = match flood {
        Some(flood) => Some(flood.begin(&stack, &node).await),
        None => None,
    };
    sleep(RISE).await;
    let times = freezes(&node, "bench", count).await.expect("every freeze gets through");
    let milliseconds = |part| quantile(&times, part).as_secs_f64() * 1e3;
    let memory = |process: &Option<cofferdam_tests::process::Process>| {
        process.as_ref().map(|process| process.peak_memory() >> 20)
    };
    json!({
        "p50_ms": milliseconds(0.5),
        "p99_ms": milliseconds(0.99),
        "most_ms": milliseconds(1.0),
        "hands_of_the_flood": flooding.as_mut().map_or(0, |flooding| flooding.hands()),
        "enclave_peak_memory_mib": memory(&node.enclave),
        "parent_peak_memory_mib": memory(&node.parent),
    })
}
