//! `cofferdam kms audit`: its inputs, its exit codes and its formats.

mod common;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use common::{NOT_VERIFIED, UNUSABLE, VERIFIED, cofferdam, vector, with_input};
use serde_json::{Value, json};

const ADMIN: &str = "arn:aws:iam::111122223333:role/key-admin";
const PCR0: &str =
    "8bb159f202bb95d6d4d98e0e103918246cea734f1d57cd263e4fd56075ed53f6fa8c68854817a32749a241e11874c26b";

/// A key policy whose one lint is `pcr-base64`, medium, at line 5, column 58.
const BASE64: &str = r#"{"Statement": [
  {"Sid": "Enclave", "Effect": "Deny", "Principal": "*",
   "Action": "kms:*", "Resource": "*"},
  {"Sid": "Base64", "Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*", "Condition":
   {"StringNotEquals": {"kms:RecipientAttestation:PCR0": "i7FZ8gK7ldbU2Y4OEDkYJGzqc08dV80mPk/VYHXtU/b6jGiFSBejJ0miQeEYdMJr"}}}]}"#;

/// The finding with this id.
fn finding<'a>(answer: &'a Value, id: &str) -> &'a Value {
    answer["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == id).unwrap()
}

#[test]
fn the_exit_code_says_whether_a_finding_reaches_the_level() {
    for (level, code) in [("medium", NOT_VERIFIED), ("low", NOT_VERIFIED), ("high", VERIFIED)] {
        let said = with_input(&["--json", "kms", "audit", "-", "--fail-on", level], BASE64.as_bytes());
        assert_eq!(said.code, code, "{level}: {}{}", said.out, said.err);
        assert_eq!(said.json()["passed"], code == VERIFIED);
    }
    assert_eq!(with_input(&["kms", "audit", "-", "--fail-on", "bad"], BASE64.as_bytes()).code, UNUSABLE);
}

#[test]
fn a_finding_is_told_with_its_place_and_its_source() {
    let said = with_input(&["kms", "audit", "-"], BASE64.as_bytes());
    for part in [
        "✗ 1 finding reaches medium",
        "medium  pcr-base64  A PCR in base64",
        "key policy, Base64 (line 5, column 58)",
        "https://docs.aws.amazon.com/kms/latest/developerguide/conditions-nitro-enclave.html",
    ] {
        assert!(said.out.contains(part), "{part}\n{}", said.out);
    }
    let said = with_input(&["--json", "kms", "audit", "-"], BASE64.as_bytes());
    let answer = said.json();
    let found = finding(&answer, "pcr-base64");
    assert_eq!(found["places"][0]["at"], json!({"line": 5, "column": 58}));
    assert_eq!(found["severity"], "medium");
}

#[test]
fn what_cannot_be_read_is_told_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.json");
    let path = file.to_str().unwrap();
    for (text, at) in [
        ("{\n \"Statement\": [}", "line 2, column 16"),
        (&BASE64.replace("\"Principal\": \"*\",\n", "\"Principle\": \"*\",\n"), "line 2, column 53"),
        ("", "line 1, column 1"),
        (r#"{"Policy": "{}"}"#, "line 1, column 1"),
    ] {
        fs::write(&file, text).unwrap();
        let said = cofferdam(&["kms", "audit", path]);
        assert_eq!(said.code, UNUSABLE, "{text}");
        assert!(said.err.contains(&format!("{path}: {at}")), "{text}: {}", said.err);
        fs::write(&file, BASE64).unwrap();
        let policy = with_input(&["kms", "audit", path, "--grants", "-"], text.as_bytes());
        assert_eq!(policy.code, UNUSABLE, "{text}");
    }
    let good = vector("deploy/key-policy-one-image.json");
    for wrong in [
        ["--pcr", "0=00"],
        ["--pcr", PCR0],
        ["--pcr", &format!("0={}", "0".repeat(96))],
        ["--image", &good],
        ["--admin", "key-admin"],
        ["--key", "alias/x"],
        ["--scp", &good],
        ["--boundary", &good],
        ["--identity-policy", &format!("arn:aws:s3:::b={good}")],
        ["--endpoint-policy", "/nowhere"],
    ] {
        let said = cofferdam(&["kms", "audit", &good, wrong[0], wrong[1]]);
        assert_eq!(said.code, UNUSABLE, "{wrong:?}: {}", said.out);
    }
}

#[test]
fn every_document_takes_part() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let statement = r#""Effect": "Deny", "Action": ["kms:Decyrpt", "s3:GetObject"], "Resource": "*""#;
    let plain = format!(r#"{{"Statement": {{{statement}}}}}"#);
    let named = format!(r#"{{"Statement": {{{statement}, "Principal": "*"}}}}"#);
    let role = write("role.json", &format!(r#"{{"PolicyDocument": {plain}}}"#));
    let (boundary, one, two) =
        (write("boundary.json", &plain), write("one.json", &plain), write("two.json", &plain));
    let (rcp, endpoint) = (write("rcp.json", &named), write("endpoint.json", &named));
    let full = write("full.json", r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#);
    let levels = format!("{one},{two},{full}");
    let of = |file: &str| format!("{ADMIN}={file}");
    let (role, boundary) = (of(&role), of(&boundary));
    let args = [
        "--json",
        "kms",
        "audit",
        "-",
        "--identity-policy",
        &role,
        "--boundary",
        &boundary,
        "--scp",
        &levels,
        "--rcp",
        &rcp,
        "--endpoint-policy",
        &endpoint,
        "--admin",
        ADMIN,
    ];
    let said = with_input(&args, BASE64.as_bytes());
    let answer = said.json();
    let documents: Vec<&str> = answer["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["id"] == "unknown-action")
        .map(|finding| finding["places"][0]["document"].as_str().unwrap())
        .collect();
    for document in [
        "service control policy one.json",
        "service control policy two.json",
        "resource control policy rcp.json",
        "VPC endpoint policy endpoint.json",
        "identity policy role.json",
        "identity policy boundary.json",
    ] {
        assert!(documents.contains(&document), "{document}: {documents:?}");
        assert!(answer["files"][document].is_string(), "{document}");
    }
}

#[test]
fn nothing_from_a_policy_is_raw_in_any_format() {
    let hostile = BASE64.replace("Base64", r#"<script>alert(1)</script>\u001b[2J\u202e'\""#);
    let said = with_input(&["kms", "audit", "-"], hostile.as_bytes());
    assert!(!said.out.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{:?}", said.out);
    for format in ["json", "sarif"] {
        let said = with_input(&["kms", "audit", "-", "--format", format], hostile.as_bytes());
        assert!(!said.out.contains('\u{202e}') && said.out.contains("\\u202e"), "{format}: {}", said.out);
    }
    let page = with_input(&["kms", "audit", "-", "--format", "html"], hostile.as_bytes()).out;
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
    assert!(page.contains("default-src 'none'; style-src 'sha256-") && !page.contains('\u{1b}'));
    for format in ["json", "sarif"] {
        let said = with_input(&["kms", "audit", "-", "--format", format], hostile.as_bytes());
        assert!(!said.out.trim_end().chars().any(char::is_control), "{format}");
        said.json();
    }
}

/// Of every policy of the collection and of what `aws` prints.
#[test]
fn what_is_written_for_scanners_is_sarif() {
    let folder = tempfile::tempdir().unwrap();
    let mut reports = Vec::new();
    let mut cases: Vec<_> =
        fs::read_dir(vector("kms-audit/cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    for (at, case) in cases.iter().enumerate() {
        let case: Value = serde_json::from_slice(&fs::read(case).unwrap()).unwrap();
        let Some(policy) = case.get("policy") else { continue };
        let (file, report) = (folder.path().join("a b.json"), folder.path().join(format!("{at}.sarif")));
        fs::write(&file, policy.to_string()).unwrap();
        let args = ["kms", "audit", file.to_str().unwrap(), "--format", "sarif", "--out"];
        let said = cofferdam(&[&args[..], &[report.to_str().unwrap()]].concat());
        assert!(said.code == VERIFIED || said.code == NOT_VERIFIED, "{}", said.err);
        reports.push(report);
    }
    let said = with_input(&["kms", "audit", "-", "--format", "sarif"], BASE64.as_bytes());
    let sarif = said.json();
    let result = sarif["runs"][0]["results"].as_array().unwrap().iter().find(|r| r["ruleId"] == "pcr-base64");
    let result = result.unwrap();
    let place = &result["locations"][0];
    assert_eq!(place["physicalLocation"]["artifactLocation"]["uri"], "stdin");
    assert_eq!(place["physicalLocation"]["region"], json!({"startLine": 5, "startColumn": 58}));
    assert_eq!((result["level"].as_str(), result["kind"].as_str()), (Some("warning"), Some("fail")));
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    let rule = &sarif["runs"][0]["tool"]["driver"]["rules"][index];
    assert_eq!(
        (rule["id"].as_str(), rule["properties"]["security-severity"].as_str()),
        (Some("pcr-base64"), Some("5.5"))
    );

    // The finding keeps its fingerprint when lines move.
    let moved =
        with_input(&["kms", "audit", "-", "--format", "sarif"], BASE64.replace('\n', "\n\n").as_bytes());
    let fingerprints = |sarif: &Value| -> Vec<Value> {
        let results = sarif["runs"][0]["results"].as_array().unwrap();
        results.iter().map(|result| result["partialFingerprints"].clone()).collect()
    };
    assert_eq!(fingerprints(&sarif), fingerprints(&moved.json()));
    assert!(reports.len() > 100);
    validate(&reports);
}

/// Judged by PyPI's jsonschema and OASIS's schema.
fn validate(reports: &[std::path::PathBuf]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tools/python-venv.sh");
    let output = Command::new(script)
        .args(["jsonschema", "jsonschema==4.26.0"])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let venv = String::from_utf8(output.stdout).unwrap();
    let program = "import json, sys\nfrom jsonschema import Draft7Validator\n\
        validator = Draft7Validator(json.load(open(sys.argv[1])))\n\
        for name in sys.argv[2:]:\n    validator.validate(json.load(open(name)))\nprint(len(sys.argv) - 2)";
    let output = Command::new(Path::new(venv.trim()).join("bin/python"))
        .args(["-c", program, &vector("sarif/sarif-schema-2.1.0.json")])
        .args(reports)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), reports.len().to_string());
}
