//! `cofferdam log verify` on stored logs: honest ones, and edited in every way that someone with
//! the disk in their hands can think of.

mod common;
#[path = "common/logs.rs"]
mod logs;

use std::{fs, path::PathBuf};

use common::{NOT_VERIFIED, Said, UNUSABLE, VERIFIED, cofferdam, of_2022};
use logs::{Enclave, World, segment};
use proptest::prelude::*;
use simulator::PcrConfig;

/// Two boots: the first with three segments, checkpoints over 5 and 10, and two entries that no
/// checkpoint covers; the second continues it at entry 10.
struct Story {
    world: World,
    first: Enclave,
    second: Enclave,
}

impl Story {
    fn new() -> Self {
        let world = World::new();
        let mut first = world.boot(None);
        first.write(5).sign().write(10).sign();
        let known = first.head;
        first.write(12);
        let mut second = world.boot(Some(known));
        second.sign().write(4).sign();
        let story = Self { world, first, second };
        story.store();
        story
    }

    fn log(&self) -> PathBuf {
        self.world.path("log")
    }

    fn store(&self) {
        let _ = fs::remove_dir_all(self.log());
        self.first.store(&self.log(), &[1, 4, 8]);
        self.second.store(&self.log(), &[1]);
    }

    fn segment(&self, enclave: &Enclave, first: u64) -> PathBuf {
        enclave.folder(&self.log()).join(segment(first))
    }

    fn verify(&self, more: &[&str]) -> Said {
        verify(&self.world, more)
    }
}

fn verify(world: &World, more: &[&str]) -> Said {
    let trust = world.trust();
    let trust: Vec<&str> = trust.iter().map(String::as_str).collect();
    cofferdam(&[&["--json", "log", "verify", &world.text("log")], &trust[..], more].concat())
}

/// The check that failed, and the message.
fn failed(said: &Said) -> (String, String) {
    assert_eq!(said.code, NOT_VERIFIED, "{}{}", said.out, said.err);
    let lines = said.json_lines();
    let last = lines.last().unwrap();
    assert_eq!((&last["verified"], &last["error"]["kind"]), (&false.into(), &"verification".into()));
    let text = |name: &str| last["error"][name].as_str().unwrap().to_owned();
    (text("check"), text("message"))
}

fn refused(said: &Said, check: &str, message: &str) {
    let found = failed(said);
    assert_eq!(found.0, check, "{}", found.1);
    assert!(found.1.contains(message), "{}", found.1);
}

#[test]
fn a_log_as_it_was_written_verifies_and_says_what_is_not_signed() {
    let story = Story::new();
    let said = story.verify(&[]);
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    let lines = said.json_lines();
    assert_eq!(lines.len(), 3);
    let (first, second, all) = (&lines[0], &lines[1], &lines[2]);
    assert_eq!(first["boot"], story.first.boot.to_string());
    assert_eq!((&first["entries"], &first["checkpoints"]), (&12.into(), &2.into()));
    assert_eq!((&first["signed"], &first["unsigned"]), (&10.into(), &2.into()));
    assert_eq!(first["operations"], serde_json::json!({"boot": 1, "transaction.sign": 11}));
    assert_eq!(first["denied"], serde_json::json!({"policy.evm.destination": 4}));
    assert_eq!(second["previous"]["seq"], 10);
    assert_eq!(second["unsigned"], 0);
    assert_eq!(
        (&all["verified"], &all["boots"], &all["entries"], &all["unsigned"]),
        (&true.into(), &2.into(), &16.into(), &2.into())
    );
    let trust = story.world.trust();
    let trust: Vec<&str> = trust.iter().map(String::as_str).collect();
    let people = cofferdam(&[&["log", "verify", &story.world.text("log")], &trust[..]].concat());
    assert_eq!(people.code, VERIFIED);
    assert!(people.out.contains("! not signed: 2, from entry 11 on"), "{}", people.out);
    assert!(people.out.contains("✓ verified: 16 entries of 2 boots"), "{}", people.out);
}

#[test]
fn a_deleted_a_swapped_and_a_repeated_line_are_named() {
    let mut story = Story::new();
    for seq in [1, 2, 4, 5, 7, 9, 10, 11] {
        let good = story.first.lines.clone();
        let at = story.first.at(seq);
        story.first.lines.remove(at);
        // The segments are cut where they were.
        let _ = fs::remove_dir_all(story.log());
        let segments: Vec<u64> = [1, 4, 8].into_iter().filter(|first| *first != seq).collect();
        story.first.store(&story.log(), if seq == 1 { &[2, 4, 8] } else { &segments });
        story.second.store(&story.log(), &[1]);
        refused(&story.verify(&[]), "missing", &format!("entry {seq} is missing"));

        story.first.lines = good.clone();
        let next = story.first.at(seq + 1);
        story.first.lines.swap(at, next);
        let folder = story.first.folder(&story.log());
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("attestation.cose"), &story.first.document).unwrap();
        let all = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        fs::write(folder.join(segment(1)), all(&story.first.lines)).unwrap();
        refused(&story.verify(&[]), "reordered", &format!("entry {seq} is not in its place"));

        story.first.lines = good.clone();
        story.first.lines.insert(at, good[at].clone());
        fs::write(folder.join(segment(1)), all(&story.first.lines)).unwrap();
        refused(&story.verify(&[]), "repeated", &format!("entry {seq} comes a second time"));
        story.first.lines = good;
    }
}

#[test]
fn a_changed_field_is_found_whichever_it_is() {
    let story = Story::new();
    let file = story.segment(&story.first, 4);
    let text = fs::read_to_string(&file).unwrap();
    // Entry 7 is the last of the segment: the next segment's first entry tells.
    let line = text.lines().last().unwrap();
    let seven = ["\"seq\":7", "\"v\":1", "\"boot\":\"", "\"time\":1", "\"operation\":\"t", "\"client\":\"b"];
    let more =
        ["\"keys\":[", "\"decision\":\"a", "\"tag\":\"o", "\"policy\":n", "\"request\":\"", "\"result\":n"];
    let rest = ["\"detail\":n", "\"prev\":\""];
    for field in seven.iter().chain(&more).chain(&rest) {
        let at = line.find(field).unwrap() + field.len();
        let mut changed = line.as_bytes().to_vec();
        // A digit stays a digit and a letter a letter, so that the form is right where it can be.
        changed[at] = match changed[at] {
            b'0'..=b'8' => changed[at] + 1,
            b'9' => b'0',
            b'z' => b'a',
            letter => letter ^ 1,
        };
        let changed = text.replace(line, std::str::from_utf8(&changed).unwrap());
        fs::write(&file, changed).unwrap();
        let (check, message) = failed(&story.verify(&[]));
        assert!(
            ["malformed", "changed", "signer", "missing", "repeated", "time"].contains(&check.as_str()),
            "{check}"
        );
        assert!(message.contains("entry 6") || message.contains("entry 7"), "{field}: {message}");
    }
    // The same length and form throughout: only the hash tells.
    fs::write(&file, text.replace("\"client\":\"backend\"", "\"client\":\"backenc\"")).unwrap();
    refused(&story.verify(&[]), "changed", "entry 4 was changed");
}

#[test]
fn entries_written_anew_up_to_a_checkpoint_are_found() {
    let mut story = Story::new();
    let checkpoint = story.first.lines[story.first.at(5) + 1].clone();
    let mut forged = story.first.clone();
    forged.lines.truncate(3);
    forged.write_as(5, "mallory").lines.push(checkpoint);
    story.first = forged;
    let _ = fs::remove_dir_all(story.log());
    story.first.store(&story.log(), &[1]);
    story.second.store(&story.log(), &[1]);
    refused(&story.verify(&[]), "changed", "the checkpoint over entry 5 is not over these entries 1 to 5");
    // Signed again, by a key that no document binds.
    let last = story.first.lines.len() - 1;
    story.first.lines.truncate(last);
    story.first.sign_with_another_key();
    story.first.store(&story.log(), &[1]);
    refused(&story.verify(&[]), "signer", "the checkpoint over entry 5 was signed by another enclave");
}

#[test]
fn a_cut_end_is_found_as_far_as_anyone_signed_or_named_it() {
    let story = Story::new();
    let file = story.segment(&story.first, 8);
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    assert_eq!(lines.len(), 6, "8, 9, 10, its checkpoint, 11, 12");
    let keep = |count: usize| {
        fs::write(&file, lines[..count].concat()).unwrap();
        story.verify(&[])
    };
    // After the checkpoint: nobody can tell, and it was told that nobody could.
    assert_eq!(keep(5).code, VERIFIED);
    assert_eq!(keep(4).json_lines()[0]["unsigned"], 0);
    // The checkpoint itself: the next boot still names its entry.
    let said = keep(3);
    assert_eq!(said.code, VERIFIED);
    assert_eq!(said.json_lines()[0]["unsigned"], 5);
    // Before it: the next boot names an entry that is not there.
    refused(&keep(2), "missing", "entry 10 is missing: boot");
    refused(&keep(1), "missing", "entry 9 is missing: boot");
    refused(&keep(0), "missing", "entry 8 is missing");
    // Within a line: what a crash leaves is told, in the middle of the log it is a fault.
    fs::write(&file, &text[..text.len() - 10]).unwrap();
    let said = story.verify(&[]);
    assert_eq!(said.code, VERIFIED);
    assert!(said.json_lines()[0]["unfinished_bytes"].as_u64().unwrap() > 100);
    let middle = story.segment(&story.first, 4);
    let text = fs::read_to_string(&middle).unwrap();
    fs::write(&middle, &text[..text.len() - 10]).unwrap();
    refused(&story.verify(&[]), "malformed", "entry 7: the segment 000000000004.jsonl ends within a line");
}

#[test]
fn segments_that_are_missing_foreign_or_misnamed_are_found() {
    let story = Story::new();
    let (one, four, eight) =
        (story.segment(&story.first, 1), story.segment(&story.first, 4), story.segment(&story.first, 8));
    fs::remove_file(&four).unwrap();
    refused(&story.verify(&[]), "missing", "entry 4 is missing");
    story.store();
    fs::remove_file(&eight).unwrap();
    refused(&story.verify(&[]), "missing", "entry 8 is missing");
    story.store();
    fs::remove_file(&one).unwrap();
    refused(&story.verify(&[]), "missing", "entry 1 is missing");

    // Another boot's segment, of the same numbers.
    story.store();
    fs::copy(story.segment(&story.second, 1), &one).unwrap();
    refused(&story.verify(&[]), "signer", "found a line of another enclave or boot");

    story.store();
    fs::rename(&four, story.segment(&story.first, 5)).unwrap();
    refused(&story.verify(&[]), "reordered", "entry 4 is not in its place: it comes later, in 000000000005");
    story.store();
    fs::rename(&four, story.segment(&story.first, 3)).unwrap();
    refused(&story.verify(&[]), "layout", "000000000003.jsonl");
    story.store();
    fs::write(story.first.folder(&story.log()).join("1.jsonl"), "").unwrap();
    refused(&story.verify(&[]), "layout", "segments of 12 digits");
    story.store();
    fs::create_dir(story.log().join("lost+found")).unwrap();
    refused(&story.verify(&[]), "layout", "64 digits");
    story.store();
    fs::write(story.log().join(".tmp-upload"), "x").unwrap();
    assert_eq!(story.verify(&[]).code, VERIFIED);
}

#[test]
fn documents_that_are_missing_changed_or_of_others_are_found() {
    let story = Story::new();
    let document = story.first.folder(&story.log()).join("attestation.cose");
    fs::remove_file(&document).unwrap();
    refused(&story.verify(&[]), "document", "the boot's attestation document was expected");
    fs::write(&document, &story.second.document).unwrap();
    refused(&story.verify(&[]), "document", "was expected");
    fs::copy(of_2022().file, &document).unwrap();
    refused(&story.verify(&[]), "path", "root");
    story.store();

    // Another root, another image, another deployment.
    let other = World::new();
    let (log, trust) = (story.world.text("log"), story.world.trust());
    let with = |at: usize, value: &str| {
        let mut args: Vec<&str> = trust.iter().map(String::as_str).collect();
        args[at] = value;
        cofferdam(&[&["--json", "log", "verify", &log], &args[..]].concat())
    };
    refused(&with(3, &other.text("root.pem")), "path", "root");
    refused(&with(5, &format!("0={}", "ab".repeat(48))), "pcr", "PCR0");
    refused(&with(1, "another"), "signer", "for another deployment");
    assert_eq!(with(1, "Not A Name").code, UNUSABLE);
    let said = cofferdam(&["--json", "log", "verify", &log, "--deployment", "laptop"]);
    assert_eq!(said.code, UNUSABLE, "no image is named");
    assert_eq!(with(1, "laptop").code, VERIFIED);
}

#[test]
fn an_image_that_was_not_accepted_is_found_though_its_log_is_whole() {
    let story = Story::new();
    let pcrs = PcrConfig::measure(b"kernel", b"another program", b"configuration");
    let mut third = Enclave::start(&story.world.root, &pcrs, Some(story.second.head));
    third.sign();
    third.store(&story.log(), &[1]);
    refused(&story.verify(&[]), "pcr", "PCR0");
}

#[test]
fn a_rollback_a_fork_and_a_second_first_boot_are_found() {
    // Boot 2 continues entry 5, though boot 1 had signed entry 10.
    let story = Story::new();
    let mut earlier = story.world.boot(None);
    earlier.write(5).sign();
    let at_5 = earlier.head;
    earlier.write(10).sign();
    let mut later = story.world.boot(Some(at_5));
    later.sign();
    let _ = fs::remove_dir_all(story.log());
    earlier.store(&story.log(), &[1]);
    later.store(&story.log(), &[1]);
    refused(&story.verify(&[]), "rollback", "continues entry 5");

    story.store();
    let mut fork = story.world.boot(story.second.head.into());
    fork.sign().store(&story.log(), &[1]);
    assert_eq!(story.verify(&[]).code, VERIFIED, "three boots in a line");
    let mut fork = story.world.boot(story.second.head.into());
    fork.store(&story.log(), &[1]);
    assert_eq!(story.verify(&[]).code, VERIFIED, "one that signed nothing proves nothing");
    fork.sign().store(&story.log(), &[1]);
    refused(&story.verify(&[]), "fork", "the log was forked");

    story.store();
    let mut root = story.world.boot(None);
    root.sign().store(&story.log(), &[1]);
    refused(&story.verify(&[]), "roots", "1 first boot was expected, found 2");
    assert_eq!(story.verify(&["--allow-roots", "2"]).code, VERIFIED);
}

#[test]
fn a_boot_that_is_missing_or_was_replaced_is_found_by_the_next() {
    let mut story = Story::new();
    fs::remove_dir_all(story.first.folder(&story.log())).unwrap();
    refused(&story.verify(&[]), "missing", &format!("the boot {} is missing", story.first.boot));
    // The last boot can be cut off, and only a witness tells.
    story.store();
    fs::remove_dir_all(story.second.folder(&story.log())).unwrap();
    assert_eq!(story.verify(&[]).code, VERIFIED);
    let state = story.world.text("state");
    fs::write(&state, story.second.last.as_ref().unwrap().to_json()).unwrap();
    refused(&story.verify(&["--seen", &state]), "missing", "the witness saw its entry 4");
    // Entries before the one that the next boot names, written anew and not signed.
    let mut forged = story.world.boot(None);
    std::mem::swap(&mut forged, &mut story.first);
    story.first = forged.clone();
    story.first.lines.truncate(3);
    story.first.write_as(12, "mallory");
    story.store();
    refused(&story.verify(&[]), "changed", "entry 10 was changed, or boot");
    let empty = World::new();
    fs::create_dir(empty.path("log")).unwrap();
    refused(&verify(&empty, &[]), "missing", "at least one boot");
}

#[test]
fn what_the_witness_saw_must_be_in_the_log() {
    let story = Story::new();
    let state = story.world.text("state");
    let with = |text: &str| {
        fs::write(&state, text).unwrap();
        story.verify(&["--seen", &state])
    };
    let seen = story.second.last.as_ref().unwrap().to_json();
    let said = with(&seen);
    assert_eq!(said.code, VERIFIED, "{}", said.out);
    assert_eq!(said.json_lines()[2]["witnessed"], true);
    let mut longer = story.second.clone();
    longer.write(9).sign();
    refused(
        &with(&longer.last.as_ref().unwrap().to_json()),
        "missing",
        "entry 5 is missing: the witness names entry 9",
    );
    let mut other = story.second.clone();
    other.lines.truncate(2);
    let other = other.write_as(4, "mallory").sign().last.as_ref().unwrap().to_json();
    refused(&with(&other), "changed", "entry 4 was changed, or the witness names another");
    for unusable in ["", "{}", "x", &seen.replace("\"seq\":4", "\"seq\":3")] {
        assert_eq!(with(unusable).code, UNUSABLE, "{unusable}");
    }
}

#[test]
fn a_boot_without_entries_and_files_that_hold_anything_do_no_harm() {
    let story = Story::new();
    let third = story.world.boot(None);
    third.store(&story.log(), &[]);
    let said = story.verify(&[]);
    assert_eq!(said.code, VERIFIED, "{}", said.out);
    assert_eq!(said.json_lines()[2]["entries"], 0);
    let file = story.segment(&story.second, 1);
    for garbage in [&vec![b'x'; 1 << 20][..], b"\n", b"\xff\xfe\n", b"{}\n", b"[[[[[[[[\n", b"\0\n"] {
        fs::write(&file, garbage).unwrap();
        let (check, message) = failed(&story.verify(&[]));
        assert_eq!((check.as_str(), message.contains("entry 1")), ("malformed", true), "{message}");
    }
}

#[test]
fn a_long_log_is_read_in_little_memory() {
    use nix::sys::resource::{UsageWho, getrusage};
    let world = World::new();
    let bytes = world.boot(None).store_long(&world.path("log"), 30_000);
    let said = verify(&world, &[]);
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    assert_eq!(said.json_lines()[1]["entries"], 30_000);
    // In KiB; of the largest child so far.
    let most = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() * 1024;
    assert!(bytes > 100_000_000 && most < 50_000_000, "{bytes} bytes of log, {most} of memory");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 20, ..ProptestConfig::default() })]

    /// One byte of one file: found, or in entries that no checkpoint covers, which are told apart.
    #[test]
    fn no_byte_of_any_file_changes_unnoticed(which in 0usize..6, position: prop::sample::Index, flip in 1u8..) {
        // One story for all cases: files are put back after each.
        static STORY: std::sync::LazyLock<Story> = std::sync::LazyLock::new(Story::new);
        let story = &*STORY;
        let file = match which {
            0 => story.first.folder(&story.log()).join("attestation.cose"),
            1 => story.second.folder(&story.log()).join("attestation.cose"),
            2 => story.segment(&story.second, 1),
            3 => story.segment(&story.first, 1),
            4 => story.segment(&story.first, 4),
            _ => story.segment(&story.first, 8),
        };
        let good = fs::read(&file).unwrap();
        let at = position.index(good.len());
        let mut bytes = good.clone();
        bytes[at] ^= flip;
        fs::write(&file, &bytes).unwrap();
        let said = story.verify(&[]);
        fs::write(&file, &good).unwrap();
        if said.code == VERIFIED {
            let lines = said.json_lines();
            let report = lines.iter().find(|line| file.to_str().unwrap().contains(line["boot"].as_str().unwrap()));
            let report = report.unwrap();
            let number = |name: &str| report[name].as_u64().unwrap();
            prop_assert!(which == 5 || which == 2, "file {which}, byte {at}");
            prop_assert!(number("unsigned") + number("unfinished_bytes") > 0, "{}", said.out);
            let text = String::from_utf8(good.clone()).unwrap();
            // The newline after the last checkpoint ends what it covers.
            let signed = text.rfind("{\"checkpoint\"").unwrap();
            let end = signed + text[signed..].find('\n').unwrap();
            prop_assert!(at >= end, "byte {at} of {end}");
        } else {
            prop_assert_eq!(said.code, NOT_VERIFIED, "{}{}", said.out, said.err);
        }
    }
}
