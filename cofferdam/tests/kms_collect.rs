//! What AWS prints, as it comes: collected by a program, laid in a folder, and read from there.

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use common::{NOT_VERIFIED, UNUSABLE, VERIFIED, cofferdam};
use serde_json::{Value, json};
use tempfile::TempDir;

const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-1111-2222-3333-444455556666";
const ADMIN: &str = "arn:aws:iam::111122223333:role/kms-admin";

fn pcr() -> String {
    "a1".repeat(48)
}

/// One image, one administrator, and the account for whatever else IAM says.
fn policy() -> Value {
    json!({"Version": "2012-10-17", "Statement": [
        {"Sid": "Enclave", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:role/parent"},
         "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "*",
         "Condition": {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": pcr()},
            "StringEquals": {"kms:EncryptionContext:deployment": "d"}}},
        {"Sid": "Admin", "Effect": "Allow", "Principal": {"AWS": ADMIN}, "Action": "kms:PutKeyPolicy", "Resource": "*"},
        {"Sid": "Iam", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "kms:ScheduleKeyDeletion", "Resource": "*"}]})
}

fn allow(action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})
}

/// A program that answers as `aws` does, from files named by its first two words and the last argument.
struct Aws {
    folder: TempDir,
}

impl Aws {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let program = folder.path().join("aws");
        let script = r#"#!/bin/sh
cd "$(dirname "$0")"
echo "$*" >> calls
file="$1.$2"
case "$1 $2" in
  "organizations list-parents") file="$file.$4" ;;
  "organizations list-policies-for-target") file="$file.$4.$6" ;;
  "organizations describe-policy") file="$file.$4" ;;
esac
[ -f "$file" ] && exec cat "$file"
echo "An error occurred (NoSuchLifecycleConfiguration) when calling $2" >&2
exit 254
"#;
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let aws = Self { folder };
        let text = policy().to_string();
        aws.answer("kms.get-key-policy", &json!({"Policy": text, "PolicyName": "default"}));
        aws.answer("kms.list-grants", &json!({"Grants": [], "Truncated": false}));
        aws.answer(
            "kms.describe-key",
            &json!({"KeyMetadata": {"AWSAccountId": "111122223333", "Arn": KEY, "KeySpec": "SYMMETRIC_DEFAULT",
                "KeyUsage": "ENCRYPT_DECRYPT", "Origin": "AWS_KMS", "MultiRegion": false, "KeyState": "Enabled"}}),
        );
        aws.account(&[]);
        aws.answer("ec2.describe-vpc-endpoints", &json!({"VpcEndpoints": []}));
        for (child, parent) in [("111122223333", "ou-ab12-11111111"), ("ou-ab12-11111111", "r-ab12")] {
            aws.answer(&format!("organizations.list-parents.{child}"), &json!({"Parents": [{"Id": parent}]}));
        }
        for target in ["r-ab12", "ou-ab12-11111111", "111122223333"] {
            for (filter, full) in [
                ("SERVICE_CONTROL_POLICY", "p-FullAWSAccess"),
                ("RESOURCE_CONTROL_POLICY", "p-RCPFullAWSAccess"),
            ] {
                let list = json!({"Policies": [{"Id": full, "Name": full, "AwsManaged": true}]});
                aws.answer(&format!("organizations.list-policies-for-target.{target}.{filter}"), &list);
            }
        }
        let full = allow("*").to_string();
        aws.describe("p-FullAWSAccess", &full);
        aws.describe("p-RCPFullAWSAccess", &full.replace("\"Action\"", "\"Principal\":\"*\",\"Action\""));
        aws
    }

    fn describe(&self, id: &str, content: &str) {
        let answer = json!({"Policy": {"PolicySummary": {"Id": id, "Type": "x"}, "Content": content}});
        self.answer(&format!("organizations.describe-policy.{id}"), &answer);
    }

    fn account(&self, users: &[(&str, &str)]) {
        let users = users.iter().map(|(name, action)| {
            json!({"UserName": name, "Arn": format!("arn:aws:iam::111122223333:user/{name}"), "GroupList": [],
                "UserPolicyList": [{"PolicyName": "own", "PolicyDocument": allow(action)}], "AttachedManagedPolicies": []})
        });
        let details = json!({"UserDetailList": users.collect::<Vec<_>>(), "GroupDetailList": [], "RoleDetailList": [], "Policies": []});
        self.answer("iam.get-account-authorization-details", &details);
    }

    fn answer(&self, file: &str, answer: &Value) {
        fs::write(self.folder.path().join(file), answer.to_string()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn collect(&self, more: &[&str]) -> common::Said {
        let (program, out) = (self.path("aws"), self.path("out"));
        let mut args = vec!["audit", "collect", "--key", KEY, "--run", "--aws", program.to_str().unwrap()];
        args.extend(["--out", out.to_str().unwrap()]);
        args.extend(more);
        cofferdam(&args)
    }

    fn audit(&self, more: &[&str]) -> common::Said {
        let (out, pcr) = (self.path("out"), format!("0={}", pcr()));
        let mut args =
            vec!["--json", "kms", "audit", "--from", out.to_str().unwrap(), "--admin", ADMIN, "--pcr", &pcr];
        args.extend(more);
        cofferdam(&args)
    }
}

fn ids(said: &common::Said) -> Vec<String> {
    let answer = said.json();
    answer["findings"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_folder_that_was_collected_is_all_that_an_audit_needs() {
    let aws = Aws::new();
    let said = aws.collect(&["--organization"]);
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    let calls = fs::read_to_string(aws.path("calls")).unwrap();
    let reads = ["get-", "list-", "describe-"];
    assert!(
        calls.lines().all(|call| reads.iter().any(|read| call.split(' ').nth(1).unwrap().starts_with(read))),
        "{calls}"
    );
    // Nobody of the account may schedule its deletion: all IAM policies are known.
    let said = aws.audit(&[]);
    assert_eq!(said.code, NOT_VERIFIED, "{}", said.err);
    assert_eq!(ids(&said), ["destroy-key", "admin-control"], "the root user alone");
    let only = |said: &common::Said| said.json()["findings"][0]["who"].clone();
    assert_eq!(only(&said), json!(["the root user of account 111122223333"]));
    // A user whom IAM allows it, and one who may change IAM.
    aws.account(&[("carol", "kms:*"), ("bob", "iam:PutUserPolicy")]);
    assert_eq!(aws.collect(&["--organization"]).code, VERIFIED);
    let found = ids(&aws.audit(&[]));
    for id in ["destroy-key", "iam-escalation", "iam-delegation"] {
        assert!(found.contains(&id.to_owned()), "{found:?}");
    }
    // The organisation denies it to both.
    let deny = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": ["kms:*", "iam:*"], "Resource": "*"}]});
    let list = json!({"Policies": [{"Id": "p-FullAWSAccess"}, {"Id": "p-deny0001"}]});
    aws.answer("organizations.list-policies-for-target.ou-ab12-11111111.SERVICE_CONTROL_POLICY", &list);
    aws.describe("p-deny0001", &deny.to_string());
    assert_eq!(aws.collect(&["--organization"]).code, VERIFIED);
    let found = ids(&aws.audit(&[]));
    assert!(!found.contains(&"iam-escalation".to_owned()), "{found:?}");
    // The policy is listed and was not brought.
    fs::remove_file(aws.path("out/scp/02-ou-ab12-11111111/p-deny0001.json")).unwrap();
    let said = aws.audit(&[]);
    assert_eq!(said.code, UNUSABLE);
    assert!(said.out.contains("p-deny0001 was expected"), "{}", said.out);
}

#[test]
fn the_commands_that_are_printed_do_the_same() {
    let aws = Aws::new();
    let out = aws.path("printed");
    let collect = |into: &Path, more: &[&str]| {
        let what = "audit collect --bucket store-1 --target r-ab12 --target 111122223333 --key";
        let place = [KEY, "--out", into.to_str().unwrap()];
        cofferdam(&what.split(' ').chain(place).chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let said = collect(&out, &[]);
    assert_eq!(said.code, VERIFIED, "{}", said.err);
    for (file, text) in [
        ("s3api.get-bucket-policy", "{}"),
        ("s3api.get-bucket-versioning", ""),
        ("s3api.get-object-lock-configuration", "{}"),
        ("s3api.get-public-access-block", "{}"),
        ("s3api.get-bucket-encryption", "{}"),
    ] {
        fs::write(aws.path(file), text).unwrap();
    }
    // The shell of the list asks `aws` for text; the stand-in answers in JSON, which names no policy twice.
    let script =
        said.out.replace("--query 'Policies[].Id' --output text", "| grep -o 'p-[A-Za-z]*' | sort -u");
    let path = format!("{}:{}", aws.folder.path().display(), std::env::var("PATH").unwrap());
    let ran = Command::new("sh").args(["-c", &script]).env("PATH", path).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let run = aws.path("run");
    let program = aws.path("aws");
    let said = collect(&run, &["--run", "--aws", program.to_str().unwrap()]);
    assert_eq!(said.code, VERIFIED, "{}", said.err);
    assert_eq!(files(&out), files(&run));
}

#[test]
fn a_program_that_tells_much_of_itself_is_not_cut_off() {
    let aws = Aws::new();
    let program = aws.path("aws");
    let script = fs::read_to_string(&program).unwrap();
    let loud = script.replacen(
        '\n',
        "\nfor i in $(seq 4000); do echo 'a warning that is told again and again' >&2; done\n",
        1,
    );
    assert_ne!(loud, script);
    fs::write(&program, loud).unwrap();
    assert_eq!(aws.collect(&[]).code, VERIFIED);
}

/// The files of a folder with their content; the time of the collection left out.
fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = text.lines().filter(|line| !line.contains("\"at\"")).collect();
            found.push((path.strip_prefix(folder).unwrap().to_owned(), lines.join("\n")));
        }
    }
    found.sort();
    found
}

#[test]
fn an_answer_that_failed_is_told_with_its_command_and_nothing_raw() {
    let aws = Aws::new();
    fs::remove_file(aws.path("kms.list-grants")).unwrap();
    let said = aws.collect(&[]);
    assert_eq!(said.code, NOT_VERIFIED, "{}", said.out);
    assert!(said.err.contains("aws kms list-grants") && said.err.contains("NoSuchLifecycle"), "{}", said.err);
    for bad in [["--key", "alias/x"], ["--bucket", "B_"], ["--target", "../x"]] {
        let mut args = vec!["audit", "collect", "--key", KEY];
        if bad[0] == "--key" {
            args.truncate(2)
        }
        args.extend(bad);
        assert_eq!(cofferdam(&args).code, UNUSABLE, "{bad:?}");
    }
    // An id that would be a path.
    let aws = Aws::new();
    let list = json!({"Policies": [{"Id": "p-../../x"}]});
    aws.answer("organizations.list-policies-for-target.r-ab12.SERVICE_CONTROL_POLICY", &list);
    let said = aws.collect(&["--target", "r-ab12"]);
    assert!(said.code == NOT_VERIFIED && said.err.contains("ids p-"), "{}", said.err);
}

#[test]
fn documents_are_read_as_other_tools_write_them() {
    let folder = TempDir::new().unwrap();
    let text = policy().to_string();
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let pcr = format!("0={}", pcr());
    for bytes in [utf16, [&[0xef, 0xbb, 0xbf], text.as_bytes()].concat(), encoded.into_bytes()] {
        let file = folder.path().join("policy.json");
        fs::write(&file, bytes).unwrap();
        let said = cofferdam(&[
            "--json",
            "kms",
            "audit",
            file.to_str().unwrap(),
            "--key",
            KEY,
            "--admin",
            ADMIN,
            "--pcr",
            &pcr,
        ]);
        assert_eq!(said.code, NOT_VERIFIED, "{}{}", said.out, said.err);
        assert!(ids(&said).contains(&"destroy-key".to_owned()));
    }
}
