//! The image that would go to EC2, booted: our kernel, our init and the program on a machine whose
//! Nitro Secure Module and vsock QEMU emulates, with the parent and the local KMS on its host. Only
//! the measured configuration is another. Run by `make test-vm`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use attestation::verify::{Expectations, Freshness, Match, verify};
use chains::Chain;
use cofferdam_tests::{
    authority::collection,
    scene::DepositKey,
    stack::{Node, Stack},
    transactions::sweep_to,
    vm::{Assets, Machine, Site},
};
use data_encoding::{BASE64, HEXLOWER};
use reqwest::StatusCode;
use serde_json::{Value, json};
use simulator::nsm::PayloadForm;

/// Of an enclave that runs now, by this machine's clock.
fn now() -> Freshness {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    Freshness::Live { now, max_age: Duration::from_secs(60), skew: Duration::from_secs(5) }
}

/// Documents made for a nonce of this moment, verified as a client does.
async fn attests(site: &Site, node: &Node, before_2025: bool) {
    let nonce: [u8; 32] = rand::random();
    let document = node.get_bytes(&format!("/v1/attestation?nonce={}", HEXLOWER.encode(&nonce))).await;
    let (root, pcrs) = (site.stack.root(), site.stack.expected_pcrs());
    let expectations = Expectations {
        root: &root,
        pcrs: &pcrs,
        freshness: now(),
        nonce: Match::Exactly(&nonce),
        public_key: Match::Anything,
        user_data: Match::Anything,
    };
    let doc = verify(&document, &expectations).unwrap();
    // The payload's first byte: behind the structure's text, header and length.
    let first = doc.signed_bytes()[21];
    assert_eq!(first, if before_2025 { 0xa9 } else { 0xbf });
    // The same document says nothing about another nonce.
    let stale = Expectations { nonce: Match::Exactly(&[0; 32]), ..expectations };
    assert!(verify(&document, &stale).is_err());
}

/// A sweep to the pinned wallet is signed, and one to anybody else is not.
async fn sweeps(node: &Node, address: &Value, amount: u64) {
    let chain: Chain = address["chain"].as_str().unwrap().parse().unwrap();
    let key = DepositKey {
        id: address["key_id"].as_str().unwrap().parse().unwrap(),
        chain,
        address: address["address"].as_str().unwrap().to_owned(),
        taproot: address["taproot_address"].as_str().map(str::to_owned),
        record: Vec::new(),
    };
    let to = |to: &str| sweep_to(&key, amount, to);
    let ask = |transaction: Vec<u8>| {
        let text = match chain {
            Chain::Evm => format!("0x{}", HEXLOWER.encode(&transaction)),
            Chain::Tron => HEXLOWER.encode(&transaction),
            Chain::Bitcoin | Chain::Solana => BASE64.encode(&transaction),
        };
        json!({"chain": chain, "keys": [address["key_id"]], "transaction": text})
    };
    let (status, signed) = node.post("/v1/signatures", &ask(to(&collection(chain)))).await;
    assert_eq!(status, StatusCode::OK, "{signed}");
    assert!(signed["transaction"].as_str().is_some_and(|signed| signed.len() > 100), "{signed}");
    if chain == Chain::Evm {
        let thief = "0x00000000000000000000000000000000DeaDBeef";
        let (status, refused) = node.post("/v1/signatures", &ask(to(thief))).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{refused}");
        assert_eq!(refused["code"], "policy.evm.destination", "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_attests_makes_keys_on_every_chain_signs_and_opens_them_after_a_restart() {
    let site = Site::new();
    // The kernel, the command line and the program are those that would go to EC2.
    assert_eq!(site.stack.pcrs["PCR1"], site.assets.production()["PCR1"]);
    assert_ne!(site.stack.pcrs["PCR2"], site.assets.production()["PCR2"]);
    let machine = site.boot();
    let boot = machine.beats();
    let node = site.parent().ready().await;
    attests(&site, &node, false).await;
    let mut made = Vec::new();
    for chain in Chain::ALL {
        let (status, address) = node.post("/v1/addresses", &json!({"user": "alice", "chain": chain})).await;
        assert_eq!(status, StatusCode::CREATED, "{address}");
        site.stack.verify_address(&node, &address).await;
        sweeps(&node, &address, 1000).await;
        made.push(address);
    }
    let batch: Vec<Value> =
        (0..1000).map(|index| json!({"user": "bob", "chain": "evm", "index": index})).collect();
    let (status, answer) = node.post("/v1/addresses/batch", &json!({ "addresses": batch })).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    println!("boot to heartbeat: {boot:?}; of the host: {} MiB", machine.resident() >> 20);

    // The same on a machine whose NSM has not been brought up to date.
    drop(machine);
    let machine = site.boot_before_2025();
    machine.beats();
    let node = node.ready().await;
    for address in &made {
        let asked = json!({"user": "alice", "chain": address["chain"]});
        assert_eq!(node.post("/v1/addresses", &asked).await, (StatusCode::OK, address.clone()));
        let path = format!("/v1/keys/{}/check", address["key_id"].as_str().unwrap());
        assert_eq!(node.post(&path, &json!({})).await.0, StatusCode::OK);
        sweeps(&node, address, 2000).await;
    }
    attests(&site, &node, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_with_one_byte_of_its_configuration_changed_gets_no_key_of_kms() {
    let site = Site::new();
    let changed = site.stack.config.toml(site.folder()).replacen("version = 1", "version = 1 ", 1);
    let other = site.folder().join("changed.eif");
    let pcrs = site.assets.image(Some(&changed), &other);
    assert_eq!(pcrs["PCR1"], site.stack.pcrs["PCR1"]);
    assert_ne!(pcrs["PCR2"], site.stack.pcrs["PCR2"]);
    let machine = site.boot_image(&other);
    machine.beats();
    let node = site.parent().ready().await;
    let asked = json!({"user": "alice", "chain": "evm"});
    let (status, refused) = node.post("/v1/addresses", &asked).await;
    assert_eq!((status, &refused["code"]), (StatusCode::BAD_GATEWAY, &json!("kms.denied")), "{refused}");
    drop(machine);
    let machine = site.boot();
    machine.beats();
    let node = node.ready().await;
    assert_eq!(node.post("/v1/addresses", &asked).await.0, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_parent_comes_back_to_the_same_enclave() {
    let site = Site::new();
    let machine = site.boot();
    machine.beats();
    let mut node = site.parent().ready().await;
    let asked = json!({"user": "alice", "chain": "evm"});
    let (_, address) = node.post("/v1/addresses", &asked).await;
    node.parent.take().unwrap().kill();
    let node = site.parent().ready().await;
    assert_eq!(node.post("/v1/addresses", &asked).await, (StatusCode::OK, address.clone()));
    sweeps(&node, &address, 1000).await;
    let (_, other) = node.post("/v1/addresses", &json!({"user": "bob", "chain": "evm"})).await;
    // The same boot: the same session certified both.
    assert_eq!(other["attestation"], address["attestation"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn started_by_another_init_it_serves_all_the_same_and_leaves_the_rest_to_that() {
    let mut site = Site::new();
    let eif = site.folder().join("other.eif");
    let configuration = site.stack.config.toml(site.folder());
    site.repin(|assets| assets.image_with_other_init(&configuration, &eif));
    let mut machine = site.boot_image(&eif);
    machine.beats();
    let node = site.parent().ready().await;
    attests(&site, &node, false).await;
    let (status, address) = node.post("/v1/addresses", &json!({"user": "alice", "chain": "evm"})).await;
    assert_eq!(status, StatusCode::CREATED, "{address}");
    sweeps(&node, &address, 1000).await;
    assert_eq!(machine.heard(), 1, "one heartbeat, and that is the init's");
    drop(machine);
    // Without its configuration it ends as any program does; the init ends the machine.
    site.repin(|assets| assets.image_with_other_init("version = 2", &eif));
    machine = site.boot_image(&eif);
    let console = machine.says("the program ended with 1");
    assert!(console.contains("cannot serve: enclave.toml:"), "{console}");
    assert!(machine.ends());
}

/// A connection to a port of the machine.
fn connect(site: &Site, port: u32) -> std::io::Result<UnixStream> {
    let mut stream = UnixStream::connect(site.folder().join("vm.sock"))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(format!("CONNECT {port}\n").as_bytes())?;
    let mut answer = [0; 1];
    while answer != *b"\n" {
        stream.read_exact(&mut answer)?;
    }
    Ok(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_client_of_the_vsock_port_takes_nothing_from_the_others() {
    let site = Site::new();
    let machine = site.boot();
    machine.beats();
    let node = site.parent().ready().await;
    for bad in [
        &[0xff; 4096][..],
        &[0, 0x10, 0, 1, 0],
        &[0, 0, 0, 3, 0xa1, 0, 0],
        &[0, 0, 0, 8, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f],
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = connect(&site, 5000).unwrap();
        let _ = stream.write_all(bad);
        // Whatever it answers, it ends.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 1024);
    }
    // Some that never finish a frame, held open.
    let stalled: Vec<UnixStream> = (0..40)
        .filter_map(|_| {
            let mut stream = connect(&site, 5000).ok()?;
            stream.write_all(&[0, 0, 1]).ok()?;
            Some(stream)
        })
        .collect();
    assert!(stalled.len() > 20, "{} connections", stalled.len());
    // Nobody listens anywhere else.
    for port in [1, 22, 4999, 5001, 8443, 9000] {
        assert!(connect(&site, port).is_err(), "port {port}");
    }
    let (status, address) = node.post("/v1/addresses", &json!({"user": "alice", "chain": "evm"})).await;
    assert_eq!(status, StatusCode::CREATED, "{address}");
    sweeps(&node, &address, 1000).await;
    attests(&site, &node, false).await;
}

#[test]
fn a_configuration_that_is_missing_or_wrong_ends_the_boot_with_a_line_that_says_why() {
    let (assets, mut stack) = (Assets::find(), Stack::on_files());
    stack.config.machine = true;
    let folder = stack.dir().join("node");
    std::fs::create_dir(&folder).unwrap();
    let good = stack.config.toml(&folder);
    for (configuration, line) in [
        (None, "/etc/cofferdam/enclave.toml: No such file or directory"),
        (Some("version = [".to_owned()), "cannot serve: enclave.toml: TOML parse error at line 1"),
        (Some(good.replace("version = 1", "version = 1\nsimulate = true")), "unknown field `simulate`"),
        (Some(good.replace("vsock://2:", "vsock://3:")), "a vsock port of network.parent_cid was expected"),
    ] {
        let eif = folder.join("bad.eif");
        assets.image(configuration.as_deref(), &eif);
        let mut machine = Machine::boot(&assets, &stack, &folder, &eif, PayloadForm::Indefinite);
        let console = machine.says(line);
        assert!(console.contains("cannot serve"), "{console}");
        assert!(machine.ends(), "the machine is off:\n{}", machine.console());
        assert!(!console.contains("Kernel panic"), "{console}");
    }
}

#[test]
fn the_program_of_the_image_holds_nothing_of_the_simulator() {
    let assets = Assets::find();
    let packed = std::fs::File::open(assets.program()).unwrap();
    let unpacked = std::process::Command::new("gzip").args(["-dc"]).stdin(packed).output().unwrap().stdout;
    let holds = |text: &str| unpacked.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("nsm-hwrng") && holds("/etc/cofferdam/enclave.toml"), "this is the program");
    for mark in ["simulated.nitro-enclaves", "SimulatedNsm", "9simulator", "simulated kernel"] {
        assert!(!holds(mark), "{mark}");
    }
    for path in [env!("CARGO_MANIFEST_DIR").trim_end_matches("/tests"), "/.cargo/registry"] {
        assert!(!holds(path), "no path of the builder's machine: {path}");
    }
}
