//! `cofferdam dev`: the whole local stack in one terminal, and the demo. No process is left
//! behind, whichever way it ends.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used)]

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use cofferdam_tests::programs::program;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// A running `cofferdam dev`.
struct Dev {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    ready: Value,
}

impl Dev {
    fn start(folder: &Path) -> Self {
        // Settings of whoever runs the tests must not reach the stack.
        let mut child = Command::new(program("cofferdam"))
            .args(["--json", "dev", "--port", "0", "--dir"])
            .arg(folder)
            .env("AWS_PROFILE", "nobody")
            .env("COFFERDAM_STORE", "s3://nowhere")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let parse = |line: String| serde_json::from_str::<Value>(&line).unwrap();
        let ready =
            lines.by_ref().map_while(Result::ok).map(parse).find(|line| line["ready"] == true).unwrap();
        Self { child, lines, ready }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    fn children(&self) -> Vec<i32> {
        children_of(self.child.id())
    }

    /// The lines that are left, and how it ended.
    fn end(mut self) -> (Vec<String>, ExitStatus) {
        let lines = self.lines.by_ref().map_while(Result::ok).collect();
        (lines, self.child.wait().unwrap())
    }

    fn cofferdam(&self, args: &[&str]) -> Vec<Value> {
        let text = |field: &str| self.ready[field].as_str().unwrap().to_owned();
        let output = Command::new(program("cofferdam"))
            .arg("--json")
            .args(args)
            .args(["--image", &text("image"), "--root", &text("root")])
            .envs(
                self.ready["env"]
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(|(name, value)| (name, value.as_str().unwrap())),
            )
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Ids of a process's children, from /proc.
fn children_of(id: u32) -> Vec<i32> {
    let parent = |stat: &str| -> Option<u32> { stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok() };
    let entries = fs::read_dir("/proc").unwrap().map_while(Result::ok);
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|child| {
        fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| parent(&stat) == Some(id))
    })
    .collect()
}

/// Whether all of them end soon. Zombies have ended: whoever inherits them may not wait for them.
fn all_end(ids: &[i32]) -> bool {
    let runs = |id: &i32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    };
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        if !ids.iter().any(runs) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn program_of(id: i32) -> String {
    fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default().replace('\0', " ")
}

#[test]
fn the_demo_holds_and_leaves_nothing_behind() {
    the_demo_holds("indefinite");
}

/// Boot, clock, certificates, KMS, log and audit, on documents as AWS's NSM wrote them until mid-2025.
#[test]
fn the_demo_holds_on_documents_of_definite_length() {
    the_demo_holds("definite");
}

fn the_demo_holds(payload_form: &str) {
    let (temporary, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let output = Command::new(program("cofferdam"))
        .args(["--json", "dev", "--payload-form", payload_form, "--demo", "--page"])
        .arg(kept.path().join("audit.html"))
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["verified"], true);
    assert_eq!(last["counts"]["chains"], 4);
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    let page = fs::read_to_string(kept.path().join("audit.html")).unwrap();
    assert!(page.contains("Everything held") && page.contains("2 checks were left out on purpose"));
}

#[test]
fn ctrl_c_stops_all_in_order_and_the_same_addresses_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let processes = dev.children();
    assert_eq!(processes.len(), 3);
    let create = ["address", "create", "--verify", "--user", "alice", "--chain", "bitcoin", "--count", "3"];
    let first = dev.cofferdam(&create);
    assert_eq!(first.len(), 3);
    let document = folder.path().join("document.cose");
    let config = folder.path().join("enclave.toml");
    let (document, config) = (document.to_str().unwrap(), config.to_str().unwrap());
    let fetched = dev.cofferdam(&["attestation", "fetch", "--out", document, "--config", config]);
    assert_eq!(fetched[0]["verified"], true);
    assert_eq!(fetched[0]["checked"]["config"], true);

    dev.signal(Signal::SIGINT);
    let (lines, status) = dev.end();
    assert!(status.success(), "{status:?}");
    assert!(all_end(&processes));
    let at = |text: &str| lines.iter().position(|line| line.contains(text)).unwrap();
    assert!(at("stopped") < at("drained"), "the parent first: {lines:?}");

    let dev = Dev::start(folder.path());
    let again = dev.cofferdam(&["address", "list", "--verify", "--user", "alice"]);
    let addresses =
        |lines: &[Value]| -> Vec<Value> { lines.iter().map(|line| line["address"].clone()).collect() };
    let (mut before, mut after) = (addresses(&first), addresses(&again));
    before.sort_by_key(Value::to_string);
    after.sort_by_key(Value::to_string);
    assert_eq!(before, after);
    // A second one in the same folder is refused.
    let mut second = Command::new(program("cofferdam"));
    let second = second.args(["dev", "--port", "0", "--dir"]).arg(folder.path()).output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    dev.signal(Signal::SIGTERM);
    assert!(dev.end().1.success());
}

#[test]
fn when_one_dies_it_is_named_and_all_stop() {
    for (part, name) in [("cofferdam-simulator enclave", "enclave"), ("parent-proxy", "parent")] {
        let folder = tempfile::tempdir().unwrap();
        let dev = Dev::start(folder.path());
        let processes = dev.children();
        let victim = processes.iter().find(|id| program_of(**id).contains(part)).unwrap();
        kill(Pid::from_raw(*victim), Signal::SIGKILL).unwrap();
        let (lines, status) = dev.end();
        assert_eq!(status.code(), Some(1));
        let said: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
        let message = said["error"]["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("{name} ended unexpectedly")), "{message}");
        assert!(all_end(&processes));
    }
}

#[test]
fn no_process_outlives_a_dev_that_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let processes = dev.children();
    assert_eq!(processes.len(), 3);
    dev.signal(Signal::SIGKILL);
    let (_, status) = dev.end();
    assert_eq!(status.code(), None);
    assert!(all_end(&processes));
    // Nor is what it noted of itself taken for a running one.
    assert!(folder.path().join("run/url").exists());
    assert_eq!(cofferdam(&["dev", "env", "--dir", path(&folder)]).status.code(), Some(2));
}

/// Runs `cofferdam` with these arguments to its end.
fn cofferdam(args: &[&str]) -> std::process::Output {
    Command::new(program("cofferdam")).args(args).output().unwrap()
}

fn path(folder: &tempfile::TempDir) -> &str {
    folder.path().to_str().unwrap()
}

#[test]
fn a_port_that_is_taken_is_named_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = cofferdam(&["dev", "--port", &port, "--dir", path(&folder)]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    for text in [&format!("--port {port}"), &format!("127.0.0.1:{port}"), "`--port 0`", "ss -ltnp"] {
        assert!(said.contains(text), "{text} in {said}");
    }
    assert!(!folder.path().join("enclave.toml").exists(), "nothing was prepared");
}

#[test]
fn a_command_runs_with_the_environment_set_and_its_exit_code_is_passed_on() {
    let folder = tempfile::tempdir().unwrap();
    let run = |command: &str| {
        Command::new(program("cofferdam"))
            .args(["dev", "--port", "0", "--dir", path(&folder), "--exec", command])
            // Of another deployment; and what belongs to the command alone stays.
            .env("COFFERDAM_URL", "http://127.0.0.1:1")
            .env("COFFERDAM_STORE", "s3://nowhere")
            .env("AWS_PROFILE", "mine")
            .output()
            .unwrap()
    };
    let own = program("cofferdam");
    let own = own.display();
    let done = run(&format!(
        "{own} address create --user alice --chain evm && {own} dev env --dir {} && printf '%s %s %s' \
         \"$COFFERDAM_CLIENT_ID\" \"$AWS_PROFILE\" \"${{COFFERDAM_STORE-none}}\"; exit 7",
        path(&folder)
    ));
    let said = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(7), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("0x") && said.ends_with("backend mine none"), "{said}");
    assert!(said.contains("export COFFERDAM_CLIENT_ID=backend\n") && !said.contains("127.0.0.1:1\n"));
    assert!(!said.contains("│"), "the lines of the programs are not among them: {said}");
    // It ended with the command, and left nothing that another terminal would take for it.
    assert_eq!(cofferdam(&["dev", "env", "--dir", path(&folder)]).status.code(), Some(2));
    assert!(run("true").status.success());
    assert_eq!(run("kill -9 $$").status.code(), Some(128 + 9));
}

#[test]
fn whoever_stops_it_stops_its_command_and_all_programs() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Command::new(program("cofferdam"))
        .args(["dev", "--port", "0", "--dir", path(&folder), "--exec", "echo begun; exec sleep 600"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "begun");
    let processes = children_of(dev.id());
    assert_eq!(processes.len(), 4);
    kill(Pid::from_raw(i32::try_from(dev.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(dev.wait().unwrap().code(), Some(128 + 15));
    assert!(all_end(&processes));
}

#[test]
fn another_terminal_gets_its_environment_by_eval_and_counters_live() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(cofferdam(&["dev", "env", "--dir", path(&folder)]).status.code(), Some(2));
    let dev = Dev::start(folder.path());
    let names = ["COFFERDAM_URL", "COFFERDAM_DEPLOYMENT", "COFFERDAM_CLIENT_ID", "COFFERDAM_CLIENT_KEY"];
    let script = "eval \"$(\"$0\" dev env --dir \"$1\" $2 $3)\" && for n in COFFERDAM_URL \
                  COFFERDAM_DEPLOYMENT COFFERDAM_CLIENT_ID COFFERDAM_CLIENT_KEY; do eval echo \\$$n; done";
    let shell = |more: &[&str]| -> Vec<String> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(program("cofferdam")).arg(path(&folder)).args(more);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    };
    let expected: Vec<&str> = names.iter().map(|name| dev.ready["env"][name].as_str().unwrap()).collect();
    assert_eq!(shell(&[]), expected);
    let auditor = shell(&["--client", "auditor"]);
    assert!(auditor[2] == "auditor" && auditor[3].ends_with("/clients/auditor"), "{auditor:?}");
    // A client without the role is refused, which is counted though nobody set up alerts.
    let environment = names.iter().zip(&auditor);
    let refused = Command::new(program("cofferdam"))
        .args(["address", "create", "--user", "alice", "--chain", "evm"])
        .envs(environment.map(|(name, value)| (*name, value.as_str())))
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let address = auditor[0].strip_prefix("http://").unwrap();
    let metrics = || {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let line = "\ncofferdam_parent_auth_failures_total{tag=\"auth.role\"} 1\n";
    let until = Instant::now() + Duration::from_secs(10);
    while !metrics().contains(line) {
        assert!(Instant::now() < until, "{}", metrics());
        std::thread::sleep(Duration::from_millis(100));
    }
    dev.signal(Signal::SIGTERM);
    assert!(dev.end().1.success());
}
