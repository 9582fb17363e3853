//! Every command of `docs/incident.md` works as it stands there, against a whole local stack.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used)]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use cofferdam_tests::{guide, programs::program, transactions::Evm};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// A running `cofferdam dev`; ended when dropped.
struct Dev {
    child: Child,
    ready: Value,
}

impl Dev {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(program("cofferdam"))
            .args(["--json", "dev", "--port", "0", "--dir"])
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        let ready = lines.find(|line| line["ready"] == true).unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, ready }
    }

    fn text(&self, pointer: &str) -> &str {
        self.ready.pointer(pointer).and_then(Value::as_str).unwrap()
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        let env = self.ready["env"].as_object().unwrap().iter();
        env.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

#[test]
fn every_command_of_the_runbook_works() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let made = Command::new(program("cofferdam"))
        .args(["--json", "address", "create", "--user", "mallory", "--chain", "evm"])
        .envs(dev.environment())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let policy: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("policy.json")).unwrap()).unwrap();
    let network = &policy["rules"][0]["evm"]["networks"][0];
    let sweep = Evm {
        chain_id: network["chain_id"].as_u64().unwrap(),
        ..Evm::native(network["destinations"][0].as_str().unwrap())
    };
    let text = |transaction: &Evm| format!("0x{}", data_encoding::HEXLOWER.encode(&transaction.typed()));
    let transaction = text(&sweep);
    let own = Evm::native(made["address"].as_str().unwrap());
    let cancel = text(&Evm { to: own.to, value: 0, max_fee: sweep.max_fee * 2, ..sweep.clone() });
    // It is out before anybody knows that something is wrong.
    let out = Command::new(program("cofferdam"))
        .args(["sign", "--chain", "evm", "--key-id", made["key_id"].as_str().unwrap(), &transaction])
        .envs(dev.environment())
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    let mut environment = dev.environment();
    environment.extend([
        ("OPERATOR", dev.text("/operator")),
        ("DESK", dev.text("/clients/operator-desk")),
        ("AUDITOR", dev.text("/clients/auditor")),
        ("IMAGE", dev.text("/image")),
        ("ROOT", dev.text("/root")),
        ("LOG", dev.text("/log")),
        ("ACCOUNT", "mallory"),
        ("KEY", made["key_id"].as_str().unwrap()),
        ("TRANSACTION", &transaction),
        ("CANCEL", &cancel),
    ]);
    let out = guide::run("incident.md", 11, &environment);
    for said in ["order_", "order.frozen", "0x02"] {
        assert!(out.contains(said), "{said}\n{out}");
    }
}
