//! The verdicts on key policies from a second side: z3 proves that behind a clean one there is no request
//! that gives plaintext without the image or changes who can, and finds one behind the others. The encoding
//! is `tests/tools/kms_proof.py`, written from AWS's documentation without a look at our evaluator. Cases
//! in which the two differ are in `tests/vectors/kms-audit/z3-differs.tsv`, with the reason.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use cofferdam_tests::tools::{python_venv, script};
use serde_json::{Value, json};

/// A Python with z3, made once.
static PYTHON: LazyLock<PathBuf> =
    LazyLock::new(|| python_venv(&["kms-proof", "z3-solver==4.15.4.0"]).join("bin/python"));

/// Which findings a request for one of these actions is behind, and the other way round.
const BEHIND: &[(&[&str], &[&str])] = &[
    (
        &["Decrypt", "DeriveSharedSecret", "GenerateDataKey", "GenerateDataKeyPair", "Decapsulate"],
        &[
            "unattested-plaintext",
            "admin-plaintext",
            "any-image",
            "debug-image",
            "instance-only",
            "partial-image",
            "signer-only",
            "unexpected-image",
        ],
    ),
    (&["ReEncryptFrom"], &["re-encrypt"]),
    (&["Encrypt", "ReEncryptTo"], &["plant-data-key"]),
    (&["GenerateMac", "Sign"], &["use-signing-key"]),
    (&["CreateGrant"], &["create-grant"]),
    (&["PutKeyPolicy"], &["change-policy"]),
    (&["ReplicateKey"], &["replicate-key"]),
    (&["ImportKeyMaterial"], &["import-key-material"]),
    (&["ScheduleKeyDeletion", "DeleteImportedKeyMaterial"], &["destroy-key"]),
];

/// Findings that are about something else than a request to the key: where its material came from, which
/// replicas it has, who may become whom.
const BEYOND: &[&str] = &["external-key-store", "iam-escalation", "imported-material", "replicas"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn vectors() -> PathBuf {
    root().join("tests/vectors")
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Name and contents of each case of the collection.
fn collection() -> BTreeMap<String, Value> {
    let entries = fs::read_dir(vectors().join("kms-audit/cases")).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), json_of(&entry.path()))).collect()
}

/// What the proof says, a line for each case.
fn proof(arguments: impl IntoIterator<Item = OsString>) -> Vec<Value> {
    let output = Command::new(&*PYTHON)
        .arg(script("kms_proof.py"))
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn prove(folder: &Path, names: impl Iterator<Item = String>) -> Vec<Value> {
    proof(names.map(|name| folder.join(name).into_os_string()))
}

/// The ids of the kinds that are critical or high, as the page lists them.
fn grave() -> BTreeSet<String> {
    let page = fs::read_to_string(root().join("docs/kms-audit.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let grave =
        rows.filter(|(_, rest)| ["critical |", "high |"].iter().any(|severity| rest.starts_with(severity)));
    grave.map(|(id, _)| id.to_owned()).collect()
}

/// The cases that are said to differ, and how z3 answers them.
fn differing() -> BTreeMap<String, String> {
    let table = fs::read_to_string(vectors().join("kms-audit/z3-differs.tsv")).unwrap();
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    let cells = rows.map(|row| row.split('\t').map(str::to_owned).collect::<Vec<_>>());
    cells.map(|row| <[String; 3]>::try_from(row).unwrap()).map(|[case, answer, _]| (case, answer)).collect()
}

fn words(value: &Value) -> BTreeSet<&str> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

#[test]
fn z3_finds_no_request_behind_a_clean_verdict_and_one_behind_each_grave_finding() {
    let (cases, grave, differing) = (collection(), grave(), differing());
    assert!(grave.contains("unattested-plaintext") && grave.contains("plant-data-key"));
    assert!(!grave.contains("disable-key"));
    let mut met = BTreeSet::new();
    for said in prove(&vectors().join("kms-audit/cases"), cases.keys().cloned()) {
        let name = said["case"].as_str().unwrap();
        let findings = words(&cases[name]["expected"]);
        let behind = |id: &&str| grave.contains(*id) && !BEYOND.contains(id);
        let bad: BTreeSet<_> = findings.iter().copied().filter(behind).collect();
        let verdict = if bad.is_empty() { "unsat" } else { "sat" };
        if let Some(answer) = differing.get(name) {
            assert_ne!(answer, verdict, "{name} does not differ any more");
            assert_eq!(&said["answer"], answer, "{said}");
            continue;
        }
        assert_eq!(said["answer"], verdict, "{said}");
        // What the auditor did not decide it does not find either.
        if findings.contains("undecided") {
            continue;
        }
        let empty = serde_json::Map::new();
        let requests = said["requests"].as_object().unwrap_or(&empty);
        for (actions, ids) in BEHIND {
            let found = actions.iter().any(|action| requests.contains_key(*action));
            let named: Vec<_> = ids.iter().filter(|id| bad.contains(**id)).collect();
            assert_eq!(found, !named.is_empty(), "{actions:?} and {ids:?}: {said}");
            met.extend(named);
        }
    }
    // Each kind of request was found somewhere, so that each of these proofs can fail.
    let all: BTreeSet<_> = BEHIND.iter().flat_map(|(_, ids)| *ids).collect();
    assert_eq!(met, all);
    assert!(differing.keys().all(|name| cases.contains_key(name)));
}

/// Without registers: an Allow loses its condition on them, a Deny that has one is gone.
fn without_registers(document: &mut Value) {
    const REGISTER: &str = "kms:recipientattestation:";
    let is_register = |name: &String| name.to_lowercase().starts_with(REGISTER);
    match document {
        Value::Array(list) => {
            list.retain(|statement| {
                let keys = statement["Condition"].as_object().into_iter().flat_map(|block| block.values());
                let mut keys = keys.filter_map(Value::as_object).flat_map(|keys| keys.keys());
                statement["Effect"] != "Deny" || !keys.any(is_register)
            });
            list.iter_mut().for_each(without_registers);
        }
        Value::Object(members) => {
            members.retain(|name, _| !is_register(name));
            members.values_mut().for_each(without_registers);
        }
        _ => (),
    }
}

#[test]
fn no_proof_holds_without_the_registers() {
    let folder = tempfile::tempdir().unwrap();
    let mut good = collection();
    good.retain(|name, _| name.starts_with("good-"));
    for (name, case) in &mut good {
        if let Some(file) = case["policy_file"].as_str() {
            let parameters = json_of(&vectors().join("deploy/parameters.json"));
            (case["policy"], case["key"]) = (json_of(&vectors().join(file)), parameters["key"].clone());
            case.as_object_mut().unwrap().remove("policy_file");
        }
        let own = case["images"].take();
        without_registers(case);
        case["images"] = if own.is_null() { json!({}) } else { own };
        fs::write(folder.path().join(name), case.to_string()).unwrap();
    }
    for said in prove(folder.path(), good.keys().cloned()) {
        // Before there is an image, nobody uses the key, with or without a document.
        let verdict = if said["case"] == "good-production-no-image.json" { "unsat" } else { "sat" };
        assert_eq!(said["answer"], verdict, "{said}");
    }
}

/// An allow for the account's IAM policies, with what the callers have beside it, and whether there is a request.
#[test]
fn the_proof_minds_who_can_give_himself_what_he_lacks_and_what_a_whole_image_is() {
    let account = "arn:aws:iam::111122223333";
    let (whole, parts) =
        (["a1".repeat(48), "c3".repeat(48), "d4".repeat(48)], json!({"0": "", "1": "", "2": ""}));
    let allow = |action: &str| json!({"Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]});
    let statement = |effect: &str, who: Value, condition: Value| json!({"Effect": effect, "Principal": who, "Action": "kms:Decrypt", "Resource": "*", "Condition": condition});
    let by_account = statement("Allow", json!({"AWS": format!("{account}:root")}), json!({}));
    let no_root = json!({"ArnEquals": {"aws:PrincipalArn": format!("{account}:root")}});
    let no_root = statement("Deny", json!("*"), no_root);
    let attested = json!({"StringNotEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": whole[0]}});
    let scp = json!({"Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*", "Condition": attested},
    ]});
    let by_parts = json!({"StringEquals": {
        "kms:RecipientAttestation:PCR1": whole[1], "kms:RecipientAttestation:PCR2": whole[2],
    }});
    let by_parts = statement("Allow", json!({"AWS": format!("{account}:role/parent")}), by_parts);
    let bob = |action: &str| json!({format!("{account}:user/bob"): {"policies": [allow(action)]}});
    let images = |image: &[usize]| {
        let named = parts.as_object().unwrap().keys().zip(&whole).enumerate();
        let named = named.filter(|(number, _)| image.contains(number));
        named.map(|(_, (name, value))| (name.clone(), json!([value]))).collect::<Value>()
    };
    let (policy, key) =
        ([by_account, no_root], format!("arn:aws:kms:eu-west-1:111122223333:key/{}", "0-".repeat(8)));
    let cases = [
        ("sat", json!({"policy": {"Statement": policy}, "others": "none", "identities": bob("iam:*")})),
        ("unsat", json!({"policy": {"Statement": policy}, "others": "none", "identities": bob("s3:*")})),
        // A service-linked role is bound by no SCP; but its IAM policies are AWS's.
        ("unsat", json!({"policy": {"Statement": policy}, "scp": [[scp]], "images": images(&[0])})),
        ("unsat", json!({"policy": {"Statement": [by_parts]}, "images": images(&[0, 1, 2])})),
        ("sat", json!({"policy": {"Statement": [by_parts]}, "images": images(&[0])})),
    ];
    let folder = tempfile::tempdir().unwrap();
    let names = (0..cases.len()).map(|number| number.to_string());
    for (name, (_, case)) in names.clone().zip(&cases) {
        let mut case = case.clone();
        case["key"] = json!(key);
        fs::write(folder.path().join(name), case.to_string()).unwrap();
    }
    for (said, (answer, case)) in prove(folder.path(), names).iter().zip(&cases) {
        assert_eq!(said["answer"], *answer, "{said}: {case}");
    }
}

/// 437 requests of AWS's own pages. The encoding allows each that AWS allows, and no other but where it
/// tries more than AWS does, which it says of itself.
#[test]
fn the_encoding_answers_as_awss_pages_do() {
    let file = vectors().join("iam/documented.json").into_os_string();
    let (mut decided, mut allowed) = (0, 0);
    for said in proof(["--requests".into(), file]) {
        if said["answer"].is_null() {
            continue;
        }
        if said["widened"] == json!(true) && said["right"] == json!(false) {
            continue;
        }
        assert_eq!(said["answer"], said["right"], "{said}");
        decided += 1;
        allowed += usize::from(said["right"] == json!(true));
    }
    assert!(decided >= 390 && allowed >= 150, "{decided}, {allowed} of them allowed");
}

/// What the encoding knows of a text is which patterns match it: no combination that some text has is missing.
#[test]
fn the_classes_of_texts_are_those_of_z3s_own_strings() {
    let said = proof(["--texts".into(), "100".into()]);
    // For a few sets z3's strings need more steps than they are given.
    assert!(said.iter().filter(|said| said["others"] == "unsat").count() >= 85, "{said:?}");
    assert!(said.iter().all(|said| said["others"] != "sat" && said["have_texts"] == json!(true)), "{said:?}");
}

/// Policies from the field, which are not ours to hand on: those beside the folder that
/// `COFFERDAM_FIELD_CASES` names.
#[test]
fn z3_agrees_with_the_verdicts_from_the_field() {
    let Some(folder) = std::env::var_os("COFFERDAM_FIELD_CASES") else { return };
    let table = Path::new(&folder).join("../kms-policies/verdicts.tsv").into_os_string();
    let (mut clean, mut found) = (0, 0);
    for said in proof(["--verdicts".into(), table]) {
        if said["expected"] == json!(0) {
            assert_eq!(said["answer"], "unsat", "{said}");
            clean += 1;
        } else {
            // What cannot be read as a whole (a page of the grants, an alias as the key) is not proven.
            assert_ne!(said["answer"], "unsat", "{said}");
            found += usize::from(said["answer"] == "sat");
        }
    }
    assert!(clean > 30 && found > 40, "{clean} {found}");
}
