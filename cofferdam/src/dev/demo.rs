//! The demo: what Cofferdam promises, shown with separate processes on this machine.
//!
//! Every sentence that it prints was tested right before; the first one that does not hold ends it.

use std::{collections::BTreeMap, path::PathBuf};

use attestation::DocumentHash;
use chains::Chain;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    DevArgs, Folder, Logs, Stack, Stop, audit,
    authority::BACKEND,
    programs::Programs,
    report,
    signing::{freeze, is_frozen, may_sweep, sweeps},
    story::Story,
};
use crate::{
    address::{Checker, Rows},
    attest,
    error::Error,
    output::Screen,
    trust::TrustArgs,
};
use client::{Address, Client};
use verifier::Trust;

const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// Runs the demo in a folder of its own, which is removed when all went well.
pub(super) async fn run(args: &DevArgs, screen: &Screen, stop: &mut Stop) -> Result<(), Error> {
    let failed = |error| Error::Failed(format!("a temporary folder was expected: {error}"));
    let temporary = tempfile::Builder::new().prefix("cofferdam-").tempdir().map_err(failed)?;
    let logs = Logs::new(screen, args.logs);
    let mut stack = Stack::new(Folder::open(temporary.path())?, 0, &args.payload_form, logs.clone());
    let result = tokio::select! {
        result = tell(&mut stack, args.page.as_ref(), screen) => result,
        () = stop.asked() => Err(Error::Failed("stopped before the end".to_owned())),
    };
    stack.stop().await;
    if result.is_err() {
        logs.show_kept();
    }
    result
}

#[derive(Debug, Deserialize)]
struct Batch {
    addresses: Vec<Address>,
}

async fn tell(stack: &mut Stack, page: Option<&PathBuf>, screen: &Screen) -> Result<(), Error> {
    let mut story = Story::begin(screen);
    story.chapter("A KMS key for one image")?;
    stack.prepare()?;
    story.holds("the KMS key's policy names the measurements of this program and configuration")?;
    story.note(&format!("PCR0 {}", stack.pcr0()))?;
    stack.start_kms().await?;
    stack.start_enclave().await?;
    stack.start_parent().await?;
    story.holds("local KMS, simulated enclave and parent run as three processes")?;
    story.holds("the policy that the operator signed is in force")?;

    let client = stack.client(BACKEND)?;
    let config = stack.folder().config();
    attest::fresh(&trust(stack)?, &client, Some(&config)).await?;
    story.holds("the enclave's attestation verifies under the simulator's root, with a fresh nonce")?;

    story.chapter("Deposit addresses")?;
    let mut checker = Checker::new(trust(stack)?);
    let first = create(&client, true).await?;
    let mut rows = Rows::new(screen, true);
    checker.fetch_for(&client, &first).await?;
    for address in &first {
        rows.row(address, Some(&checker.address(address).map(|_| ())))?;
    }
    rows.verdict()?;
    story.holds("every certificate leads from the root over the attested session key to its address")?;
    let again = create(&client, false).await?;
    same(&first, &again)?;
    story.holds("asked again, the same addresses are answered")?;
    forged(&checker, &first)?;
    story.holds("a certificate with another address does not verify")?;

    story.chapter("Sweeps, and nothing else")?;
    let (alice, bob) = (on_evm(&first, "alice")?, on_evm(&first, "bob")?);
    sweeps(stack, &mut story, alice).await?;

    story.chapter("One order freezes")?;
    let freezing = freeze(stack, &mut story, alice, bob).await?;

    story.chapter("kill -9 of enclave and parent")?;
    let before: Vec<DocumentHash> = first.iter().map(|address| address.attestation).collect();
    stack.kill_enclave().await;
    stack.kill_parent().await;
    stack.start_enclave().await?;
    stack.start_parent().await?;
    let client = stack.client(BACKEND)?;
    story.holds("both are started again")?;
    same(&first, &listed(&client).await?)?;
    same(&first, &create(&client, false).await?)?;
    for address in &first {
        checker.address(address)?;
    }
    story.holds("the same addresses come back, and their certificates still verify")?;
    for address in &first {
        opens(&client, address).await?;
    }
    story.holds(&format!("the new enclave opens all {} sealed records through KMS", first.len()))?;
    let new: Address = client.post(&["addresses"], &order("dave", Chain::Evm)).await?;
    expect(!before.contains(&new.attestation), "a session key of the new enclave")?;
    checker.fetch_for(&client, std::slice::from_ref(&new)).await?;
    checker.address(&new)?;
    story.holds("a new address is certified by the new session key")?;

    is_frozen(stack, alice, &freezing).await?;
    story.holds("the order is still in effect")?;
    let version = stack.folder().policy_version()?.saturating_add(1);
    stack.folder().write_policy(version, &[freezing])?;
    stack.put_policy().await?;
    may_sweep(stack, alice).await?;
    story.holds("only the operators' next policy lifts it: alice is swept again")?;

    story.chapter("The log")?;
    let log = audit::show(stack, &mut story).await?;

    story.chapter("The audit")?;
    report::show(stack, &first, &log, page, &mut story)?;

    story.chapter("An enclave with another PCR0")?;
    stack.stop_enclave().await;
    let (changed, other) = stack.folder().another(&Programs::find()?)?;
    expect(other != stack.pcr0(), "another PCR0 for another configuration")?;
    let found = stack.start_enclave_with(&changed).await?;
    expect(found == other, "the other PCR0")?;
    stack.ready().await?;
    story.holds("one setting is changed; its image has another PCR0")?;
    story.note(&format!("PCR0 {other}"))?;
    let refused = attest::fresh(&trust(stack)?, &client, Some(&config)).await;
    expect(matches!(&refused, Err(Error::Refused(refused)) if refused.check == "pcr"), "a refusal by PCR0")?;
    story.holds("its attestation is genuine, and refused for its PCR0")?;
    let created: Result<Address, Error> =
        client.post(&["addresses"], &order("erin", Chain::Evm)).await.map_err(Error::from);
    denied(created)?;
    story.holds("KMS refuses it a data key: it cannot make an address")?;
    for address in first.iter().take(2) {
        denied(check(&client, address).await)?;
    }
    story.holds("KMS refuses to unwrap for it: it opens no stored record")?;
    audit::names_another_image(stack.folder())?;
    story.holds("log verify names its boot: no log of another image passes for the pinned one's")?;
    stack.stop_enclave().await;
    stack.start_enclave().await?;
    stack.ready().await?;
    opens(&client, &new).await?;
    story.holds("the pinned image is started again, and opens them")?;
    let text = format!("{} addresses on {} chains", first.len() + 1, Chain::ALL.len());
    story.end(
        &text,
        &json!({"addresses": first.len() + 1, "chains": Chain::ALL.len(), "users": USERS.len() + 1}),
    )
}

/// A user's EVM address.
fn on_evm<'a>(addresses: &'a [Address], user: &str) -> Result<&'a Address, Error> {
    let found = addresses.iter().find(|a| a.chain == Chain::Evm && a.user.as_str() == user);
    found.ok_or_else(|| Error::Failed(format!("an EVM address of {user} was expected")))
}

fn trust(stack: &Stack) -> Result<Trust, Error> {
    TrustArgs::of_images(vec![stack.folder().image()], Some(stack.folder().nsm_root())).load()
}

fn order(user: &str, chain: Chain) -> Value {
    json!({"user": user, "chain": chain})
}

/// Asks for every user's address on every chain; all have to be new, or none.
async fn create(client: &Client, new: bool) -> Result<Vec<Address>, Error> {
    let pairs = USERS.iter().flat_map(|user| Chain::ALL.map(|chain| order(user, chain)));
    let orders: Vec<Value> = pairs.collect();
    let batch: Batch = client.post(&["addresses", "batch"], &json!({"addresses": orders})).await?;
    expect(batch.addresses.len() == orders.len(), "an address for every order")?;
    expect(batch.addresses.iter().all(|address| address.created == Some(new)), "new addresses once")?;
    Ok(batch.addresses)
}

/// All addresses of all users, page by page as `address list` reads them.
async fn listed(client: &Client) -> Result<Vec<Address>, Error> {
    #[derive(Deserialize)]
    struct Page {
        keys: Vec<Address>,
    }
    let mut addresses = Vec::new();
    for user in USERS {
        let page: Page = client.get(&["keys"], &[("user", user)]).await?;
        addresses.extend(page.keys);
    }
    Ok(addresses)
}

/// The same addresses for the same names, whatever their order.
fn same(expected: &[Address], found: &[Address]) -> Result<(), Error> {
    let sorted = |addresses: &[Address]| -> BTreeMap<String, (String, String)> {
        let pair = |a: &Address| (a.key_id.to_string(), (a.address.clone(), a.certificate.clone()));
        addresses.iter().map(pair).collect()
    };
    expect(sorted(expected) == sorted(found) && expected.len() == found.len(), "the same addresses")
}

/// What a hostile parent would do: its own address beside a genuine certificate.
fn forged(checker: &Checker, addresses: &[Address]) -> Result<(), Error> {
    let mut pairs = addresses.iter().zip(addresses.iter().skip(Chain::ALL.len()));
    let refused = pairs.all(|(address, other)| {
        let swapped = Address { address: other.address.clone(), ..address.clone() };
        checker.address(&swapped).is_err()
    });
    expect(refused, "a refusal of addresses that were swapped")
}

async fn check(client: &Client, address: &Address) -> Result<Value, Error> {
    client.post(&["keys", &address.key_id.to_string(), "check"], &json!({})).await.map_err(Error::from)
}

async fn opens(client: &Client, address: &Address) -> Result<(), Error> {
    let answer = check(client, address).await?;
    expect(answer.get("opened") == Some(&true.into()), "a record that opens")
}

/// KMS said no, for the enclave's measurements.
fn denied<T>(result: Result<T, Error>) -> Result<(), Error> {
    match result {
        Err(Error::Problem(problem)) if problem.code.as_deref() == Some("kms.denied") => Ok(()),
        Err(error) => Err(error),
        Ok(_) => expect(false, "a refusal by KMS (kms.denied)"),
    }
}

/// Ends the demo when something does not hold.
pub(super) fn expect(holds: bool, what: &str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Failed(format!("{what} was expected"))) }
}
