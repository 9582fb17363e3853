//! `cofferdam audit collect`: the `aws` commands that fetch what an audit reads. It prints them, so that
//! whoever has the credentials sees what is asked; with `--run` it calls that program itself. Either way the
//! files lie as `kms audit --from` and `audit --from` expect them. Everything is a read.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::Args;
use kms_policies::Arn;
use serde::Deserialize;

use super::bucket::bucket_name;
use crate::{
    clock,
    error::Error,
    kms::audit::folder::{self, Collected},
    output::{Paint, Screen},
    shell::{quoted, quoted_path},
};

/// As much is read of one answer.
const MAX_ANSWER: u64 = 64 << 20;
/// An organisation has a root, up to five levels of units, and accounts.
const MAX_LEVELS: usize = 8;
/// As much of what the program tells of itself is kept.
const MAX_TOLD: u64 = 1 << 16;

/// Arguments of `audit collect`.
#[derive(Debug, Args)]
pub(crate) struct CollectArgs {
    /// The KMS key
    #[arg(long, value_name = "ARN", value_parser = key)]
    key: Arn,
    /// The store's bucket
    #[arg(long, value_name = "NAME", value_parser = bucket_name)]
    bucket: Option<String>,
    /// Targets of the organisation's policies, from the root down to the account: r-…, ou-…, the account's
    /// number. With --run and --organization they are asked for
    #[arg(long = "target", value_name = "ID", value_parser = target)]
    targets: Vec<String>,
    /// Ask the organisation for the way from its root to the key's account, with credentials that may
    #[arg(long, requires = "run", conflicts_with = "targets")]
    organization: bool,
    /// The folder for the files
    #[arg(long, value_name = "DIR", default_value = "collected")]
    out: PathBuf,
    /// Call the program, in place of printing the commands
    #[arg(long)]
    run: bool,
    /// The program that is called
    #[arg(long, value_name = "PROGRAM", default_value = "aws", requires = "run")]
    aws: PathBuf,
}

fn key(text: &str) -> Result<Arn, String> {
    let arn = text.parse::<Arn>().ok().filter(Arn::is_key);
    arn.ok_or_else(|| "the ARN of a KMS key was expected, arn:aws:kms:region:account:key/id".to_owned())
}

fn target(text: &str) -> Result<String, String> {
    // Organizations API Reference, `ListPoliciesForTarget`.
    let plain = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    match plain && (text.starts_with("r-") || text.starts_with("ou-") || text.len() == 12) {
        true => Ok(text.to_owned()),
        false => Err("r-…, ou-… or the 12 digits of an account were expected".to_owned()),
    }
}

/// A command of `aws`, and the file that its answer goes to.
struct Fetch {
    words: Vec<String>,
    file: PathBuf,
    /// Where there is nothing of the kind, AWS answers with this error, and the file says so.
    none: Option<(&'static str, &'static str)>,
}

impl Fetch {
    fn new(file: impl AsRef<Path>, words: &[&str]) -> Self {
        let words = words.iter().chain(&["--output", "json"]).map(ToString::to_string).collect();
        Self { words, file: file.as_ref().to_owned(), none: None }
    }

    fn or_none(self, error: &'static str, text: &'static str) -> Self {
        Self { none: Some((error, text)), ..self }
    }

    /// As one types it.
    fn shell(&self, out: &Path) -> String {
        let words: Vec<String> = self.words.iter().map(|word| quoted(word)).collect();
        format!("aws {} > {}", words.join(" "), quoted_path(&out.join(&self.file)))
    }
}

impl CollectArgs {
    /// What is fetched of the key, its account and the bucket.
    fn fetches(&self) -> Vec<Fetch> {
        let (key, region) = (self.key.as_str(), self.key.region());
        let of_key = |file, command| Fetch::new(file, &["kms", command, "--key-id", key, "--region", region]);
        let service =
            format!("Name=service-name,Values=com.amazonaws.{region}.kms,com.amazonaws.{region}.kms-fips");
        let mut fetches = vec![
            Fetch::new(
                folder::KEY_POLICY,
                &["kms", "get-key-policy", "--key-id", key, "--policy-name", "default", "--region", region],
            ),
            of_key(folder::GRANTS, "list-grants"),
            of_key(folder::KEY, "describe-key"),
            Fetch::new(folder::ACCOUNT, &["iam", "get-account-authorization-details"]),
            Fetch::new(
                folder::ENDPOINTS,
                &["ec2", "describe-vpc-endpoints", "--filters", &service, "--region", region],
            ),
        ];
        if let Some(bucket) = &self.bucket {
            let of = |file, command| Fetch::new(file, &["s3api", command, "--bucket", bucket]);
            fetches.extend([
                of("bucket-policy.json", "get-bucket-policy"),
                of("bucket-versioning.json", "get-bucket-versioning"),
                of("object-lock.json", "get-object-lock-configuration"),
                of("public-access-block.json", "get-public-access-block"),
                of("bucket-encryption.json", "get-bucket-encryption"),
                of("bucket-lifecycle.json", "get-bucket-lifecycle-configuration")
                    .or_none("NoSuchLifecycleConfiguration", "{}\n"),
            ]);
        }
        fetches
    }

    /// Of what the folder is.
    fn collected(&self) -> Result<String, Error> {
        let at = clock::format(clock::now());
        let collected = Collected { key: self.key.to_string(), bucket: self.bucket.clone(), at };
        let text =
            serde_json::to_string_pretty(&collected).map_err(|error| Error::Failed(error.to_string()))?;
        Ok(text + "\n")
    }

    /// Where the policies of a level lie.
    fn level(kind: &str, at: usize, target: &str) -> PathBuf {
        Path::new(kind).join(format!("{:02}-{target}", at.saturating_add(1)))
    }
}

const KINDS: [(&str, &str); 2] =
    [(folder::SCP, "SERVICE_CONTROL_POLICY"), (folder::RCP, "RESOURCE_CONTROL_POLICY")];

fn list(folder: &Path, target: &str, filter: &str) -> Fetch {
    let words = ["organizations", "list-policies-for-target", "--target-id", target, "--filter", filter];
    Fetch::new(folder.join("list.json"), &words)
}

/// Prints the commands, or calls them.
pub(super) fn run(args: &CollectArgs, screen: &Screen) -> Result<(), Error> {
    if !args.run {
        return screen.bytes(script(args)?.as_bytes());
    }
    let out = &args.out;
    let mut files = 0usize;
    let mut fetch = |fetch: &Fetch| {
        screen.remark(Paint::Dim, &fetch.shell(out));
        files = files.saturating_add(1);
        let answer = call(&args.aws, fetch)?;
        write(&out.join(&fetch.file), &answer)?;
        Ok::<_, Error>(answer)
    };
    for one in args.fetches() {
        fetch(&one)?;
    }
    let targets = match args.organization {
        true => ancestry(&args.aws, args.key.account().as_str())?,
        false => args.targets.clone(),
    };
    for (at, target) in targets.iter().enumerate() {
        for (kind, filter) in KINDS {
            let folder = CollectArgs::level(kind, at, target);
            let answer = fetch(&list(&folder, target, filter))?;
            for id in policies(&answer)? {
                let words = ["organizations", "describe-policy", "--policy-id", &id];
                fetch(&Fetch::new(folder.join(format!("{id}.json")), &words))?;
            }
        }
    }
    write(&out.join(folder::COLLECTED), args.collected()?.as_bytes())?;
    screen.remark(Paint::Good, &format!("✓ {files} answers of aws are in {}", out.display()));
    Ok(())
}

/// The commands as a shell reads them.
fn script(args: &CollectArgs) -> Result<String, Error> {
    let mut lines = vec!["set -eu".to_owned(), format!("mkdir -p {}", quoted_path(&args.out))];
    for fetch in args.fetches() {
        let line = fetch.shell(&args.out);
        lines.push(match fetch.none {
            Some((_, text)) => {
                let file = quoted_path(&args.out.join(&fetch.file));
                format!("{line} || echo {} > {file}", quoted(text.trim_end()))
            }
            None => line,
        });
    }
    for (at, target) in args.targets.iter().enumerate() {
        for (kind, filter) in KINDS {
            let folder = CollectArgs::level(kind, at, target);
            let path = quoted_path(&args.out.join(&folder));
            lines.push(format!("mkdir -p {path}"));
            lines.push(list(&folder, target, filter).shell(&args.out));
            lines.push(format!(
                "for id in $(aws organizations list-policies-for-target --target-id {target} --filter {filter} \
                 --query 'Policies[].Id' --output text); do \
                 aws organizations describe-policy --policy-id \"$id\" --output json > {path}/\"$id\".json; done"
            ));
        }
    }
    let collected = quoted_path(&args.out.join(folder::COLLECTED));
    lines.push(format!("cat > {collected} <<'END'\n{}END", args.collected()?));
    Ok(lines.join("\n") + "\n")
}

/// What the program answers.
fn call(aws: &Path, fetch: &Fetch) -> Result<Vec<u8>, Error> {
    let failed = |what: &dyn std::fmt::Display| {
        Error::Failed(format!(
            "aws {}: {what}",
            fetch.words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
        ))
    };
    let mut child = Command::new(aws)
        .args(&fetch.words)
        .env("AWS_PAGER", "")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&format_args!("{} was expected to start: {error}", aws.display())))?;
    // Both ends are read at once, as a program may fill either.
    let told = child.stderr.take().map(|stderr| {
        std::thread::spawn(move || {
            let (mut stderr, mut text) = (stderr, Vec::new());
            let _ = stderr.by_ref().take(MAX_TOLD).read_to_end(&mut text);
            // Whatever else it tells is read and not kept: a closed pipe would end the program.
            let _ = io::copy(&mut stderr, &mut io::sink());
            String::from_utf8_lossy(&text).into_owned()
        })
    });
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let limit = MAX_ANSWER.saturating_add(1);
        stdout.take(limit).read_to_end(&mut answer).map_err(|error| failed(&error))?;
    }
    if u64::try_from(answer.len()).unwrap_or(u64::MAX) > MAX_ANSWER {
        let _ = child.kill();
        let _ = child.wait();
        return Err(failed(&format_args!("at most {MAX_ANSWER} bytes were expected, found more")));
    }
    let status = child.wait().map_err(|error| failed(&error))?;
    let told = told.and_then(|told| told.join().ok()).unwrap_or_default();
    match fetch.none {
        _ if status.success() => Ok(answer),
        Some((error, text)) if told.contains(error) => Ok(text.as_bytes().to_vec()),
        _ => Err(failed(&format_args!("{status}: {}", told.trim()))),
    }
}

/// The way from the organisation's root down to an account.
fn ancestry(aws: &Path, account: &str) -> Result<Vec<String>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Parents {
        parents: Vec<Parent>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Parent {
        id: String,
    }
    let mut way = vec![account.to_owned()];
    while way.len() <= MAX_LEVELS {
        let Some(last) = way.first().filter(|id| !id.starts_with("r-")) else { return Ok(way) };
        let fetch = Fetch::new("", &["organizations", "list-parents", "--child-id", last]);
        let answer = call(aws, &fetch)?;
        let wrong = |found: String| {
            let expected = "one parent, r-… or ou-…, was expected";
            Error::Failed(format!("aws organizations list-parents of {last}: {expected}, found {found}"))
        };
        let Parents { parents } =
            serde_json::from_slice(&answer).map_err(|error| wrong(format!("other JSON: {error}")))?;
        let [parent] = parents.as_slice() else { return Err(wrong(parents.len().to_string())) };
        let id = target(&parent.id).map_err(|_| wrong(parent.id.clone()))?;
        way.insert(0, id);
    }
    Err(Error::Failed(format!(
        "aws organizations list-parents: a root within {MAX_LEVELS} levels was expected, found none"
    )))
}

/// The ids of the policies that a list names.
fn policies(answer: &[u8]) -> Result<Vec<String>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        policies: Vec<Summary>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Summary {
        id: String,
    }
    let expected =
        || Error::Failed("aws organizations list-policies-for-target: ids p-… were expected".to_owned());
    let List { policies } = serde_json::from_slice(answer).map_err(|_| expected())?;
    // They become names of files.
    let id = |one: Summary| {
        let plain = one.id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        (plain && one.id.starts_with("p-")).then_some(one.id)
    };
    policies.into_iter().map(id).collect::<Option<_>>().ok_or_else(expected)
}

/// Writes a file, with the folders that it is in.
fn write(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    let unwritable = |error: std::io::Error| {
        Error::input(file.display(), format_args!("a writable file was expected: {error}"))
    };
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(unwritable)?;
    }
    let mut written = File::create(file).map_err(unwritable)?;
    std::io::Write::write_all(&mut written, bytes).map_err(unwritable)
}
