//! The demo's last word: `cofferdam audit` on everything that the demo made, as an auditor would run
//! it. A laptop has no enclave image and no bucket: those two sections are left out, and it says so.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    authority::AUDITOR,
    demo::expect,
    folder::{DEPLOYMENT, Folder, write},
    programs::{own, without_settings},
    stack::Stack,
    story::Story,
};
use crate::{
    error::Error,
    input::{self, MAX_TEXT},
};
use client::Address;

/// Runs the audit, sees that all of it holds, and keeps the page where it is wanted.
pub(super) fn show(
    stack: &Stack,
    addresses: &[Address],
    log: &Path,
    page: Option<&PathBuf>,
    story: &mut Story<'_>,
) -> Result<(), Error> {
    let folder = stack.folder();
    let failed = |text: String| Error::Failed(format!("audit was expected to work: {text}"));
    let lines: Result<Vec<String>, _> = addresses.iter().map(serde_json::to_string).collect();
    let lines = lines.map_err(|error| failed(error.to_string()))?;
    write(&folder.at("addresses.jsonl"), &(lines.join("\n") + "\n"))?;
    let key = key(folder)?;
    write(&folder.at("key-policy.json"), &json!({ "Policy": key }).to_string())?;
    write(&folder.at("grants.json"), "{\"Grants\": []}\n")?;
    let html = folder.at("audit.html");
    let mut command = Command::new(own()?);
    without_settings(&mut command);
    command.args(["--json", "audit", "--skip", "image,bucket", "--deployment", DEPLOYMENT]);
    command.args(["--url", stack.url()?.as_str(), "--client-id", AUDITOR]);
    for (option, file) in [
        ("--client-key", folder.client_key(AUDITOR)),
        ("--image", folder.image()),
        ("--root", folder.nsm_root()),
        ("--config", folder.config()),
        ("--policy", folder.envelope()),
        ("--key-policy", folder.at("key-policy.json")),
        ("--grants", folder.at("grants.json")),
        ("--log", log.to_owned()),
        ("--addresses", folder.at("addresses.jsonl")),
        ("--html", html.clone()),
    ] {
        command.arg(option).arg(file);
    }
    for (option, name) in [("--role", "enclave"), ("--admin", "operator")] {
        command.arg(option).arg(principal(folder, name)?);
    }
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))?;
    expect(output.status.success() && report.get("verified") == Some(&true.into()), "an audit that holds")?;
    let summary = report.get("summary").and_then(Value::as_str).unwrap_or_default();
    story.holds(&format!("cofferdam audit, as an auditor runs it: {summary}"))?;
    if let Some(page) = page {
        fs::copy(&html, page).map_err(|error| {
            Error::input(page.display(), format_args!("a writable file was expected: {error}"))
        })?;
        story.note(&format!("its report is in {}", page.display()))?;
    }
    Ok(())
}

/// The policy of the key, as the local KMS has it.
fn key(folder: &Folder) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Kms {
        keys: Vec<Key>,
    }
    #[derive(Deserialize)]
    struct Key {
        policy: String,
    }
    let mut kms: Kms = state(folder, "simulator/kms.json")?;
    match (kms.keys.pop(), kms.keys.is_empty()) {
        (Some(key), true) => Ok(key.policy),
        _ => Err(Error::Failed("a local KMS with one key was expected".to_owned())),
    }
}

/// A role of the local account.
fn principal(folder: &Folder, name: &str) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Account {
        principals: Vec<Principal>,
    }
    #[derive(Deserialize)]
    struct Principal {
        name: String,
        arn: String,
    }
    let account: Account = state(folder, "simulator/aws.json")?;
    let found = account.principals.into_iter().find(|principal| principal.name == name);
    found
        .map(|principal| principal.arn)
        .ok_or_else(|| Error::Failed(format!("a role named {name} was expected")))
}

/// The simulator's files hold secrets as well: only the members that are asked for are kept.
fn state<T: DeserializeOwned>(folder: &Folder, name: &str) -> Result<T, Error> {
    let file = folder.at(name);
    let text = zeroize::Zeroizing::new(input::read_text(&file, MAX_TEXT)?);
    serde_json::from_str(&text).map_err(|_| Error::input(file.display(), "the simulator's JSON was expected"))
}
