//! `cofferdam kms decide`: each request that an audit shows can be tried, and the statement is named.

mod common;

use common::{NOT_VERIFIED, UNUSABLE, VERIFIED, cofferdam, vector, with_input};
use serde_json::Value;

const KEY: &str = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const PCR0: &str =
    "8bb159f202bb95d6d4d98e0e103918246cea734f1d57cd263e4fd56075ed53f6fa8c68854817a32749a241e11874c26b";

#[test]
fn every_request_that_an_audit_shows_is_decided_the_same_by_itself() {
    let mut tried = 0;
    for file in std::fs::read_dir(vector("kms-audit/cases")).unwrap() {
        let case: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        let alone = ["identities", "scp", "rcp", "grants", "endpoints", "facts", "policy_file", "trusts"];
        if alone.iter().any(|member| case.get(member).is_some()) {
            continue;
        }
        let policy = case["policy"].to_string();
        let report = with_input(&["--json", "kms", "audit", "-"], policy.as_bytes()).json();
        let witnesses = report["findings"].as_array().unwrap().iter().filter_map(|one| one.get("witness"));
        for witness in witnesses.take(2) {
            let text = |member: &str| witness[member].as_str().unwrap().to_owned();
            let mut args: Vec<String> = ["--json", "kms", "decide", "-", "--key"].map(str::to_owned).to_vec();
            args.extend([
                text("resource"),
                "--caller".into(),
                text("caller"),
                "--action".into(),
                text("action"),
            ]);
            for (key, values) in witness["context"].as_object().unwrap() {
                for value in values.as_array().unwrap() {
                    args.extend(["--with".to_owned(), format!("{key}={}", value.as_str().unwrap())]);
                }
            }
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let said = with_input(&args, policy.as_bytes());
            assert_eq!(said.code, VERIFIED, "{args:?}: {}{}", said.out, said.err);
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried}");
}

#[test]
fn the_statement_that_decides_is_named_with_its_place() {
    let policy = vector("deploy/key-policy-one-image.json");
    let role = "arn:aws:iam::000000000000:role/parent";
    let key = KEY.replace("111122223333", "000000000000");
    let decide = |with: &[&str]| {
        let mut args = vec![
            "--json",
            "kms",
            "decide",
            &policy,
            "--key",
            &key,
            "--caller",
            role,
            "--action",
            "kms:Decrypt",
        ];
        args.extend(with.iter().flat_map(|with| ["--with", with]));
        cofferdam(&args)
    };
    let said = decide(&[]);
    assert_eq!(said.code, NOT_VERIFIED, "{}", said.err);
    let answer = said.json();
    assert_eq!(answer["allowed"], false);
    assert_eq!(answer["by"]["document"], "key policy");
    assert!(answer["by"]["at"]["line"].as_u64().unwrap() > 1, "{answer}");
    for bad in
        [["--caller", "somebody"], ["--action", "kms:Decyrpt"], ["--with", "PCR0=00"], ["--key", "alias/x"]]
    {
        let mut args =
            vec!["kms", "decide", &policy, "--caller", role, "--action", "kms:Decrypt", "--key", &key];
        let at = args.iter().position(|word| *word == bad[0]);
        match at {
            Some(at) => args[at + 1] = bad[1],
            None => args.extend(bad),
        }
        assert_eq!(cofferdam(&args).code, UNUSABLE, "{bad:?}");
    }
    // A service, and PCR0 by either of its names.
    let open = format!(
        r#"{{"Statement": [{{"Sid": "S", "Effect": "Allow", "Principal": {{"Service": "logs.amazonaws.com"}}, "Action": "kms:Decrypt", "Resource": "*",
            "Condition": {{"StringEquals": {{"kms:RecipientAttestation:ImageSha384": "{PCR0}"}}}}}}]}}"#
    );
    let with = format!("kms:RecipientAttestation:PCR0={PCR0}");
    let args = [
        "--json",
        "kms",
        "decide",
        "-",
        "--key",
        KEY,
        "--caller",
        "logs.amazonaws.com",
        "--action",
        "KMS:decrypt",
        "--with",
        &with,
    ];
    let said = with_input(&args, open.as_bytes());
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    assert_eq!(said.json()["by"]["statement"], "S");
}
