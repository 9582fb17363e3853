//! `cofferdam log watch` and `log tail` against parents that are honest, restart, fork, roll back,
//! withhold, or show signatures of others.

mod common;
#[path = "common/logs.rs"]
mod logs;
#[path = "common/parent.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod parent;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use common::{ClientKey, NOT_VERIFIED, Said, UNUSABLE, VERIFIED, cofferdam};
use logs::{Enclave, World};
use parent::{Answer, Parent, Request};
use protocol::log::Checkpoint;
use serde_json::json;

const ALARM: i32 = 3;

/// What a parent shows: boots with their lines, and one checkpoint.
#[derive(Default)]
struct Shown {
    boots: Vec<Enclave>,
    checkpoint: Option<Checkpoint>,
    /// Lines to a page.
    page: usize,
}

/// A parent whose log a test changes while it runs.
struct Log {
    world: World,
    shown: Arc<Mutex<Shown>>,
    parent: Parent,
    client: ClientKey,
}

impl Log {
    fn new() -> Self {
        let shown = Arc::new(Mutex::new(Shown { page: 3, ..Shown::default() }));
        let answering = Arc::clone(&shown);
        let parent = Parent::start(move |request| answer(&answering.lock().unwrap(), request));
        Self { world: World::new(), shown, parent, client: ClientKey::new() }
    }

    /// Shows these boots; the checkpoint is the last one's.
    fn show(&self, boots: &[&Enclave]) {
        let mut shown = self.shown.lock().unwrap();
        shown.checkpoint = boots.last().and_then(|boot| boot.last.clone());
        shown.boots = boots.iter().copied().cloned().collect();
    }

    fn run(&self, command: &[&str], more: &[&str]) -> Said {
        let options = self.options();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        cofferdam(&[&["--json", "log"], command, &options[..], more].concat())
    }

    /// Which parent, who asks, and whom to believe.
    fn options(&self) -> Vec<String> {
        let who = ["--url", &self.parent.url, "--client-key", &self.client.file, "--client-id", "auditor"];
        who.map(str::to_owned).into_iter().chain(self.world.trust()).collect()
    }

    fn watch(&self) -> Said {
        self.run(&["watch", "--once", "--state", &self.state()], &[])
    }

    fn state(&self) -> String {
        self.world.text("state")
    }

    fn remembered(&self) -> Option<Checkpoint> {
        fs::read(self.state()).ok().map(|bytes| Checkpoint::parse(bytes.trim_ascii_end()).unwrap())
    }

    /// A look that finds everything in order, and remembers it.
    fn fine(&self, entries: u64, boots: u64) {
        let said = self.watch();
        assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
        let json = said.json();
        assert_eq!((&json["new_entries"], &json["new_boots"]), (&entries.into(), &boots.into()));
        assert_eq!(self.remembered(), self.shown.lock().unwrap().checkpoint);
    }

    /// A look that alarms, and remembers what it remembered.
    fn alarm(&self, tag: &str) -> String {
        let before = self.remembered();
        let said = self.watch();
        assert_eq!(said.code, ALARM, "{}{}", said.out, said.err);
        let error = &said.json()["error"];
        assert_eq!((&error["kind"], &error["check"]), (&"alarm".into(), &tag.into()), "{error}");
        assert_eq!(error["seen"], json!(before));
        assert_eq!(self.remembered(), before);
        error["message"].as_str().unwrap().to_owned()
    }
}

fn answer(shown: &Shown, request: &Request) -> Answer {
    assert_eq!(request.method, "GET");
    let missing = || Answer::json(404, &json!({"code": "log.not_found"}));
    let boot = |name: &str| shown.boots.iter().find(|boot| boot.boot.to_string() == name);
    if request.target == "/v1/log/checkpoint" {
        return match &shown.checkpoint {
            Some(checkpoint) => Answer::bytes(checkpoint.to_json().into_bytes()),
            None => missing(),
        };
    }
    if let Some(name) = request.target.strip_prefix("/v1/attestations/") {
        return boot(name).map_or_else(missing, |boot| Answer::bytes(boot.document.clone()));
    }
    let query = request.target.strip_prefix("/v1/log?boot=").and_then(|rest| rest.split_once("&from="));
    let (name, from) = query.unwrap();
    boot(name).map_or_else(missing, |boot| Answer::bytes(boot.page(from.parse().unwrap(), shown.page)))
}

#[test]
fn an_honest_log_is_followed_page_by_page() {
    let log = Log::new();
    let mut enclave = log.world.boot(None);
    log.show(&[enclave.write(4).sign()]);
    let said = log.watch();
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    assert!(said.err.contains("no checkpoint is remembered"), "{}", said.err);
    log.fine(0, 0);
    log.show(&[enclave.write(6).sign().write(20).sign().write(22)]);
    log.fine(16, 0);
    let asked: Vec<String> = log.parent.seen().iter().map(|seen| seen.target.clone()).collect();
    assert!(asked.iter().filter(|target| target.contains("from=")).count() >= 5, "{asked:?}");
    log.fine(0, 0);
}

#[test]
fn restarts_are_followed_over_several_boots() {
    let log = Log::new();
    let mut first = log.world.boot(None);
    log.show(&[first.write(4).sign()]);
    assert_eq!(log.watch().code, VERIFIED);
    first.write(7).sign();
    let mut second = log.world.boot(Some(first.head));
    second.sign().write(5).sign();
    let mut third = log.world.boot(Some(second.head));
    third.write(2).sign();
    log.show(&[&first, &second, &third]);
    log.fine(3 + 5 + 2, 2);
    // A restart right after what was seen.
    let mut fourth = log.world.boot(Some(third.head));
    fourth.sign();
    log.show(&[&first, &second, &third, &fourth]);
    log.fine(1, 1);
}

#[test]
fn a_fork_is_told_on_the_same_boot_and_over_a_restart() {
    let log = Log::new();
    let mut honest = log.world.boot(None);
    let before = honest.clone();
    log.show(&[honest.write(6).sign()]);
    assert_eq!(log.watch().code, VERIFIED);
    // The same boot, as if it had written something else: same length, longer, and unsigned as such.
    let mut other = before.clone();
    log.show(&[other.write_as(6, "mallory").sign()]);
    assert!(log.alarm("fork").contains("entry 6"));
    log.show(&[other.write_as(9, "mallory").sign()]);
    let message = log.alarm("fork");
    assert!(message.contains("entry 7"), "{message}");
    // The next boot continues another entry than the one that was seen.
    let mut next = log.world.boot(Some(other.head));
    log.show(&[&other, next.sign()]);
    log.alarm("fork");
    // The next boot continues nothing at all.
    let mut new = log.world.boot(None);
    log.show(&[&honest, new.sign()]);
    assert!(log.alarm("fork").contains("continues nothing"));
    // Both halves are not lost: the honest log is still fine.
    log.show(&[honest.write(8).sign()]);
    log.fine(2, 0);
}

#[test]
fn a_rollback_is_told_on_the_same_boot_and_over_a_restart() {
    let log = Log::new();
    let mut enclave = log.world.boot(None);
    let old = enclave.write(3).sign().clone();
    log.show(&[enclave.write(6).sign()]);
    assert_eq!(log.watch().code, VERIFIED);
    log.show(&[&old]);
    let message = log.alarm("rollback");
    assert!(message.contains("entry 6 was seen signed") && message.contains("entry 3"), "{message}");
    let mut next = log.world.boot(Some(old.head));
    log.show(&[&enclave, next.sign()]);
    assert!(log.alarm("rollback").contains("the next boot continues entry 3"));
    let mut next = log.world.boot(Some(enclave.head));
    log.show(&[&enclave, next.sign()]);
    log.fine(1, 1);
    // Back to the boot before.
    log.show(&[enclave.write(9).sign()]);
    log.alarm("fork");
}

#[test]
fn gaps_and_withheld_parts_are_told() {
    let log = Log::new();
    let mut first = log.world.boot(None);
    log.show(&[first.write(4).sign()]);
    assert_eq!(log.watch().code, VERIFIED);
    let whole = first.write(12).sign().clone();
    let without = |seq: u64| {
        let mut cut = whole.clone();
        cut.lines.remove(cut.at(seq));
        cut
    };
    log.show(&[&without(7)]);
    assert!(log.alarm("missing").contains("entry 7 is missing"));
    let mut short = whole.clone();
    short.lines.truncate(9);
    short.head.seq = 8;
    log.show(&[&short]);
    assert!(log.alarm("gap").contains("entry 9 is not shown"));
    // A boot in between, and the old one's rest.
    let mut second = log.world.boot(Some(whole.head));
    second.write(3).sign();
    let mut third = log.world.boot(Some(second.head));
    third.sign();
    log.show(&[&whole, &third]);
    log.alarm("gap");
    log.show(&[&second, &third]);
    log.alarm("gap");
    log.show(&[&whole, &second, &third]);
    log.fine(8 + 3 + 1, 2);
}

#[test]
fn entries_that_were_changed_between_two_checkpoints_are_told() {
    let log = Log::new();
    let mut first = log.world.boot(None);
    log.show(&[first.write(4).sign()]);
    assert_eq!(log.watch().code, VERIFIED);
    let mut changed = first.write(9).sign().clone();
    let at = changed.at(6);
    changed.lines[at] = changed.lines[at].replace("backend", "mallory");
    log.show(&[&changed]);
    assert!(log.alarm("changed").contains("entry 6 was changed"));
    let garbage = "not a line".to_owned();
    changed.lines[at] = garbage;
    log.show(&[&changed]);
    assert!(log.alarm("malformed").contains("entry 6"));
    log.show(&[&first]);
    log.fine(5, 0);
}

#[test]
fn checkpoints_and_documents_of_others_are_told() {
    let log = Log::new();
    let mut first = log.world.boot(None);
    log.show(&[first.write(4).sign()]);
    assert_eq!(log.watch().code, VERIFIED);
    let good = first.clone();
    first.write(6).sign_with_another_key();
    let line = first.lines.last().unwrap();
    let json = line.strip_prefix("{\"checkpoint\":").unwrap().strip_suffix('}').unwrap();
    first.last = Some(Checkpoint::parse(json.as_bytes()).unwrap());
    log.show(&[&first]);
    log.alarm("signer");
    // An enclave of another root, with a log of its own that names the right entry.
    let other = World::new();
    let mut foreign = other.boot(Some(good.head));
    log.show(&[&good, foreign.sign()]);
    log.alarm("path");
    let mut forged = foreign.clone();
    forged.document.clone_from(&good.document);
    log.show(&[&good, &forged]);
    log.alarm("document");
    // A forged boot in between, though the last one is genuine: it was shown a lie at its start.
    let mut last = log.world.boot(Some(foreign.head));
    log.show(&[&good, &foreign, last.sign()]);
    log.alarm("path");
    log.show(&[&good]);
    log.fine(0, 0);
}

#[test]
fn a_parent_that_does_not_answer_is_no_alarm_until_its_log_is_too_old() {
    let log = Log::new();
    let said = log.watch();
    assert_eq!((said.code, &said.json()["error"]["kind"]), (NOT_VERIFIED, &"problem".into()));
    let mut enclave = log.world.boot(None);
    log.show(&[enclave.write(4).sign()]);
    assert_eq!(log.watch().code, VERIFIED);
    let state = log.state();
    let aged = |seconds: &str| log.run(&["watch", "--once", "--state", &state], &["--max-age", seconds]);
    assert_eq!(aged("600").code, VERIFIED);
    thread::sleep(Duration::from_millis(2100));
    let said = aged("1");
    assert_eq!(said.code, ALARM, "{}{}", said.out, said.err);
    assert_eq!(said.json_lines()[1]["error"]["check"], "stale");
    log.shown.lock().unwrap().checkpoint = None;
    assert_eq!(aged("600").code, NOT_VERIFIED);
    assert_eq!(aged("1").code, ALARM);
}

#[test]
fn a_memory_that_cannot_be_read_is_not_taken_for_none() {
    let log = Log::new();
    let mut enclave = log.world.boot(None);
    log.show(&[enclave.write(4).sign()]);
    let checkpoint = enclave.last.as_ref().unwrap().to_json();
    let forged = checkpoint.replace("\"seq\":4", "\"seq\":3");
    for unusable in ["", "{}", "garbage", &checkpoint[..checkpoint.len() - 3], &forged] {
        fs::write(log.state(), unusable).unwrap();
        let said = log.watch();
        assert_eq!(said.code, UNUSABLE, "{unusable}: {}", said.out);
        assert_eq!(fs::read_to_string(log.state()).unwrap(), *unusable);
    }
}

#[test]
fn a_witness_that_goes_on_runs_the_operators_program_and_ends() {
    let log = Log::new();
    let mut enclave = log.world.boot(None);
    let old = enclave.write(3).sign().clone();
    log.show(&[enclave.write(6).sign()]);
    let told = log.world.text("told");
    let command = format!("cat > '{told}'; test \"$COFFERDAM_ALARM\" = rollback");
    let state = log.state();
    let said = thread::scope(|scope| {
        let watching = scope
            .spawn(|| log.run(&["watch", "--state", &state, "--interval", "1"], &["--alarm-exec", &command]));
        let deadline = Instant::now() + Duration::from_secs(20);
        while log.remembered().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(50));
        }
        log.show(&[&old]);
        watching.join().unwrap()
    });
    assert_eq!(said.code, ALARM, "{}{}", said.out, said.err);
    assert!(!said.err.contains("--alarm-exec"), "{}", said.err);
    assert_eq!(said.json_lines().len(), 2, "what was seen, then the alarm");
    let told: serde_json::Value = serde_json::from_slice(&fs::read(told).unwrap()).unwrap();
    assert_eq!(
        (&told["check"], &told["seen"]["seq"], &told["offered"]["seq"]),
        (&"rollback".into(), &6.into(), &3.into())
    );
    let said = log.run(&["watch", "--once", "--state", &state], &["--alarm-exec", "exit 7"]);
    assert_eq!(said.code, ALARM);
    assert!(said.err.contains("--alarm-exec"), "{}", said.err);
}

#[test]
fn tail_prints_what_is_signed_and_nothing_else() {
    let log = Log::new();
    let mut enclave = log.world.boot(None);
    log.show(&[enclave.write(7).sign().write(30).sign().write(33)]);
    let seqs = |said: &Said| -> Vec<u64> {
        assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
        said.json_lines().iter().map(|line| line["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(seqs(&log.run(&["tail"], &[])), (11..=30).collect::<Vec<_>>());
    assert_eq!(seqs(&log.run(&["tail", "--lines", "2"], &[])), [29, 30]);
    let all = log.run(&["tail", "--from", "1"], &[]);
    assert_eq!(seqs(&all), (1..=30).collect::<Vec<_>>());
    assert_eq!(all.out.lines().nth(4).unwrap(), enclave.lines[4], "the entry as it is");
    assert_eq!(log.run(&["tail", "--from", "31"], &[]).code, UNUSABLE);
    let options = log.options();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let people = cofferdam(&[&["log", "tail", "--lines", "2"], &options[..]].concat());
    let lines: Vec<&str> = people.out.lines().collect();
    assert_eq!(lines.len(), 2, "{}", people.out);
    assert!(
        lines[1].contains("deny  transaction.sign    backend          policy.evm.destination"),
        "{}",
        lines[1]
    );

    let mut changed = enclave.clone();
    let at = changed.at(20);
    changed.lines[at] = changed.lines[at].replace("backend", "mallory");
    log.show(&[&changed]);
    let said = log.run(&["tail"], &[]);
    assert_eq!(
        (said.code, &said.json_lines()[0]["error"]["check"]),
        (NOT_VERIFIED, &"changed".into()),
        "{}",
        said.out
    );
}

#[test]
fn tail_follows_over_a_restart_and_ends_at_a_fork() {
    let log = Log::new();
    let mut first = log.world.boot(None);
    log.show(&[first.write(3).sign()]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_cofferdam"))
        .args(["--json", "log", "tail", "--follow", "--interval", "1"])
        .args(log.options())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut next = |enclave: &Enclave, seq: u64| {
        let line = lines.next().unwrap();
        assert_eq!(line, enclave.lines[enclave.at(seq)]);
    };
    (1..=3).for_each(|seq| next(&first, seq));
    log.show(&[first.write(5).sign()]);
    (4..=5).for_each(|seq| next(&first, seq));
    first.write(6).sign();
    let mut second = log.world.boot(Some(first.head));
    log.show(&[&first, second.write(2).sign()]);
    next(&first, 6);
    (1..=2).for_each(|seq| next(&second, seq));
    let mut other = log.world.boot(None);
    log.show(&[other.sign()]);
    let last: serde_json::Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    assert_eq!(last["error"]["check"], "fork");
    assert_eq!(child.wait().unwrap().code(), Some(NOT_VERIFIED));
}
