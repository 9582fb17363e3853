//! A log that was written verifies; every way of editing one is told by name.

use attestation::{DocumentHash, Pcr};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use protocol::{
    Deployment, KeyId, PolicyRef,
    log::{
        BootFacts, CHECKPOINT_WINDOW, Chain, Checkpoint, ContentHash, Detail, Entry, EntryHash, Head, Keys,
        MAX_ENTRY_KEYS, MAX_LINE, MAX_SIGN_DETAIL, NewEntry, OperationName, Outcome, ReasonTag,
    },
};

const CONFIG: [u8; 48] = [4; 48];
const STARTED: u64 = 1_700_000_000_000;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn deployment() -> Deployment {
    "laptop".parse().unwrap()
}

fn boot() -> DocumentHash {
    DocumentHash::of(b"document")
}

fn facts() -> BootFacts {
    BootFacts { previous: None, config: CONFIG, pcr0: Pcr::new([1; 48]) }
}

fn identity() -> BootIdentity {
    let session = key(1).verifying_key().into();
    BootIdentity { boot: boot(), session, config: CONFIG, pcr0: Pcr::new([1; 48]), started: STARTED }
}

fn verifier() -> Verifier {
    Verifier::new(identity(), deployment())
}

fn event(n: u64) -> NewEntry {
    let id: KeyId = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq".parse().unwrap();
    let outcome = match n % 3 {
        0 => Outcome::deny(ReasonTag::from_static("policy.evm.destination")),
        _ => Outcome::ALLOW,
    };
    NewEntry {
        client: Some("backend".parse().unwrap()),
        keys: Keys::one(id),
        policy: Some(PolicyRef { version: 3, sha256: serde_bytes::ByteArray::new([5; 32]) }),
        request: Some(ContentHash::of(&n.to_be_bytes())),
        result: n.is_multiple_of(2).then(|| ContentHash::of(b"result")),
        detail: Some(Detail::new(
            &OperationName::KEY_CHECK,
            &json!({"found": format!("{n}"), "allowed": ["1", "2"]}),
        )),
        ..NewEntry::new(OperationName::TRANSACTION_SIGN, outcome)
    }
}

/// A boot of `count` entries with a checkpoint over every `every`th.
fn log(count: u64, every: u64) -> Vec<String> {
    let (mut chain, first) = Chain::begin(boot(), &facts(), STARTED);
    let mut lines = vec![first.text];
    for n in 2..=count {
        lines.push(chain.append(&event(n), STARTED + n * 10).text);
        if n.is_multiple_of(every) {
            lines.push(Checkpoint::sign(&key(1), &deployment(), chain.head(), STARTED + n * 10).to_line());
        }
    }
    lines
}

fn verify(lines: &[impl AsRef<[u8]>]) -> Result<Verifier, LogFault> {
    let mut verifier = verifier();
    let mut result = Ok(());
    for line in lines {
        result = verifier.push(line.as_ref()).map(|_| ());
    }
    result.map(|()| verifier)
}

fn fault(lines: &[impl AsRef<[u8]>]) -> LogFault {
    verify(lines).map(|_| ()).unwrap_err()
}

/// Where entry `seq` is among the lines.
fn at(lines: &[String], seq: u64) -> usize {
    lines.iter().position(|line| line.contains(&format!("\"seq\":{seq},\"time\""))).unwrap()
}

#[test]
fn what_was_written_verifies() {
    let verifier = verify(&log(12, 5)).unwrap();
    assert_eq!(verifier.head().unwrap().seq, 12);
    assert_eq!((verifier.signed().unwrap().seq, verifier.unsigned()), (10, 2));
    assert_eq!(verify(&Vec::<String>::new()).unwrap().head(), None);
}

#[test]
fn an_entry_is_spelled_as_the_specification_says() {
    let (_, line) = Chain::begin(boot(), &facts(), STARTED);
    let (boot, pcr0, zeroes) = (boot(), "01".repeat(48), "00".repeat(32));
    let config = "04".repeat(48);
    assert_eq!(
        line.text,
        format!(
            r#"{{"v":1,"boot":"{boot}","seq":1,"time":1700000000000,"operation":"boot","client":null,"keys":[],"decision":"allow","tag":"ok","policy":null,"request":null,"result":null,"detail":{{"config":"{config}","pcr0":"{pcr0}","previous":null}},"prev":"{zeroes}"}}"#
        )
    );
    assert_eq!(line.hash, EntryHash::of(line.text.as_bytes()));
}

#[test]
fn a_deleted_entry_is_the_first_that_is_missing() {
    let lines = log(12, 5);
    for seq in 1..12 {
        let mut cut = lines.clone();
        cut.remove(at(&lines, seq));
        // Before a checkpoint's line nothing but the checkpoint tells.
        assert_eq!(fault(&cut), LogFault::Missing { seq, found: if seq % 5 == 0 { seq } else { seq + 1 } });
    }
}

#[test]
fn swapped_entries_are_out_of_place_and_not_missing() {
    let lines = log(12, 5);
    for seq in [1, 2, 6, 7, 11] {
        let mut swapped = lines.clone();
        swapped.swap(at(&lines, seq), at(&lines, seq + 1));
        assert_eq!(fault(&swapped), LogFault::Reordered { seq, after: seq + 1 });
    }
}

#[test]
fn a_repeated_entry_is_told() {
    let lines = log(12, 5);
    for seq in [1, 5, 7] {
        let mut repeated = lines.clone();
        repeated.insert(at(&lines, seq) + 1, lines[at(&lines, seq)].clone());
        assert_eq!(fault(&repeated), LogFault::Repeated { seq, expected: seq + 1 });
    }
}

#[test]
fn an_entry_that_was_written_anew_is_told_by_the_next_or_by_the_checkpoint() {
    let lines = log(12, 5);
    let rewritten = |seq| {
        let mut entry = Entry::parse(lines[at(&lines, seq)].as_bytes()).unwrap();
        entry.event.client = Some("mallory".parse().unwrap());
        entry.to_line()
    };
    for (seq, fault_expected) in [
        (3, LogFault::Changed { seq: 3, by: 4 }),
        (4, LogFault::Changed { seq: 4, by: 5 }),
        (5, LogFault::NotAsSigned { seq: 5, since: 2 }),
        (10, LogFault::NotAsSigned { seq: 10, since: 6 }),
        (11, LogFault::Changed { seq: 11, by: 12 }),
    ] {
        let mut changed = lines.clone();
        changed[at(&lines, seq)] = rewritten(seq);
        let found = fault(&changed);
        match (&found, &fault_expected) {
            (LogFault::NotAsSigned { seq: a, .. }, LogFault::NotAsSigned { seq: b, .. }) => assert_eq!(a, b),
            _ => assert_eq!(found, fault_expected),
        }
    }
    // The link itself was changed, and the entry before it is covered by a checkpoint.
    let mut entry = Entry::parse(lines[at(&lines, 6)].as_bytes()).unwrap();
    entry.prev = EntryHash::of(b"another");
    let mut changed = lines.clone();
    changed[at(&lines, 6)] = entry.to_line();
    assert_eq!(fault(&changed), LogFault::Unlinked { seq: 6 });
}

#[test]
fn a_chain_that_was_written_anew_does_not_pass_the_checkpoint() {
    let lines = log(12, 5);
    let (mut chain, first) = Chain::begin(boot(), &facts(), STARTED);
    let mut forged = vec![first.text];
    for n in 2..=5 {
        let mut event = event(n);
        event.outcome = Outcome::ALLOW;
        forged.push(chain.append(&event, STARTED + n * 10).text);
    }
    forged.push(lines[5].clone());
    assert_eq!(fault(&forged), LogFault::NotAsSigned { seq: 5, since: 1 });
    // Signed by a key that the document does not bind.
    let last = forged.len() - 1;
    forged[last] = Checkpoint::sign(&key(2), &deployment(), chain.head(), STARTED).to_line();
    assert_eq!(fault(&forged), LogFault::Signature { seq: 5 });
    // Signed for another deployment.
    forged[last] = Checkpoint::sign(&key(1), &"other".parse().unwrap(), chain.head(), STARTED).to_line();
    assert_eq!(fault(&forged), LogFault::Signature { seq: 5 });
    // What cannot be told: the same without any checkpoint. It is not signed, and said so.
    assert_eq!(verify(&forged[..last]).unwrap().unsigned(), 5);
}

#[test]
fn another_boots_lines_do_not_fit_in() {
    let other = DocumentHash::of(b"other");
    let (mut chain, first) = Chain::begin(other, &facts(), STARTED);
    assert_eq!(fault(&[first.text]), LogFault::OtherBoot { seq: 1, found: other });
    let mut lines = log(5, 5);
    let checkpoint = Checkpoint::sign(&key(1), &deployment(), chain.head(), STARTED);
    lines.push(checkpoint.to_line());
    assert_eq!(fault(&lines), LogFault::OtherBoot { seq: 6, found: other });
    lines.pop();
    lines.push(chain.append(&event(2), STARTED).text);
    assert_eq!(fault(&lines), LogFault::OtherBoot { seq: 6, found: other });
}

#[test]
fn the_first_entry_says_what_the_document_says() {
    let first = |facts: &BootFacts, time| {
        let (_, line) = Chain::begin(boot(), facts, time);
        verify(&[line.text]).map(|_| ())
    };
    first(&facts(), STARTED).unwrap();
    let loop_to_itself = Head { boot: boot(), seq: 1, hash: EntryHash::START };
    for wrong in [
        BootFacts { config: [9; 48], ..facts() },
        BootFacts { pcr0: Pcr::new([9; 48]), ..facts() },
        BootFacts { previous: Some(loop_to_itself), ..facts() },
        BootFacts {
            previous: Some(Head { boot: DocumentHash::of(b"x"), seq: 0, ..loop_to_itself }),
            ..facts()
        },
    ] {
        assert!(matches!(first(&wrong, STARTED), Err(LogFault::Boot { .. })), "{wrong:?}");
    }
    let early = first(&facts(), STARTED - 1);
    assert_eq!(early, Err(LogFault::Time { seq: 1, least: STARTED, found: STARTED - 1 }));
    let no_boot = Entry { boot: boot(), seq: 1, time: STARTED, event: event(1), prev: EntryHash::START };
    assert!(matches!(fault(&[no_boot.to_line()]), LogFault::Boot { .. }));
}

#[test]
fn a_checkpoint_may_come_late_but_not_early_and_not_before_an_older_one() {
    let (mut chain, first) = Chain::begin(boot(), &facts(), STARTED);
    let mut lines = vec![first.text];
    let sign = |chain: &Chain| Checkpoint::sign(&key(1), &deployment(), chain.head(), STARTED).to_line();
    let at_1 = sign(&chain);
    for n in 2..=CHECKPOINT_WINDOW as u64 {
        lines.push(chain.append(&event(n), STARTED).text);
    }
    let at_1024 = sign(&chain);
    let late = [&lines[..], std::slice::from_ref(&at_1)].concat();
    assert_eq!(verify(&late).unwrap().unsigned(), 1023);
    let again = [&late[..], std::slice::from_ref(&at_1)].concat();
    assert!(verify(&again).is_ok(), "the same one twice says nothing new");
    let crossed = [&lines[..], &[at_1024, at_1.clone()]].concat();
    assert_eq!(fault(&crossed), LogFault::Misplaced { seq: 1, head: 1024 });
    for n in 0..2 {
        lines.push(chain.append(&event(n), STARTED).text);
    }
    assert_eq!(fault(&[&lines[..], &[at_1]].concat()), LogFault::Misplaced { seq: 1, head: 1026 });
    assert_eq!(fault(&[sign(&chain)]), LogFault::Missing { seq: 1, found: 1026 });
}

#[test]
fn time_on_the_log_never_goes_back() {
    let (mut chain, first) = Chain::begin(boot(), &facts(), STARTED);
    let second = chain.append(&event(2), 5);
    assert_eq!(Entry::parse(second.text.as_bytes()).unwrap().time, STARTED);
    let mut entry = Entry::parse(second.text.as_bytes()).unwrap();
    entry.time -= 1;
    let wrong = fault(&[first.text, entry.to_line()]);
    assert_eq!(wrong, LogFault::Time { seq: 2, least: STARTED, found: STARTED - 1 });
}

#[test]
fn a_witness_goes_on_from_what_it_knows() {
    let lines = log(12, 5);
    let known = verify(&lines[..7]).unwrap().head().unwrap();
    assert_eq!(known.seq, 6);
    let mut on = Verifier::after(identity(), deployment(), known.seq, known.hash);
    assert_eq!((on.head(), on.unsigned()), (Some(known), 0));
    lines[7..].iter().for_each(|line| drop(on.push(line.as_bytes()).unwrap()));
    assert_eq!((on.head().unwrap().seq, on.unsigned()), (12, 2));
    // A checkpoint that came late, over an entry before what is known.
    let mut late = Verifier::after(identity(), deployment(), known.seq, known.hash);
    late.push(lines[7].as_bytes()).unwrap();
    late.push(lines[5].as_bytes()).unwrap();
    assert_eq!((late.signed(), late.unsigned()), (None, 1));
    let mut other = Verifier::after(identity(), deployment(), 6, EntryHash::of(b"another"));
    assert_eq!(other.push(lines[7].as_bytes()), Err(LogFault::Forked { seq: 7 }));
}

#[test]
fn only_one_spelling_is_an_entry() {
    let lines = log(3, 3);
    for line in &lines {
        assert!(LogLine::parse(line.as_bytes()).is_ok());
        let with = |from: &str, to: &str| line.replacen(from, to, 1);
        for other in [
            format!("{line}\n"),
            format!(" {line}"),
            format!("{line} "),
            format!("{line}{line}"),
            with(":", ": "),
            with("\"v\":1", "\"v\":2"),
            with("\"v\":1", "\"v\":1.0"),
            with("\"v\":1,", ""),
            with("\"v\":1,", "\"v\":1,\"v\":1,"),
            with("\"v\":1,", "\"v\":1,\"more\":1,"),
            with("\"boot\"", "\"\\u0062oot\""),
            with("\"seq\":", "\"seq\":0"),
            line.to_uppercase(),
        ] {
            assert!(LogLine::parse(other.as_bytes()).is_err(), "{other}");
        }
    }
    for (from, to) in [
        ("\"decision\":\"allow\"", "\"decision\":\"deny\""),
        ("\"tag\":\"ok\"", "\"tag\":\"policy.x\""),
        ("\"detail\":{", "\"detail\":{\"b\":1,\"a\":2,"),
        ("\"allowed\"", "\"found\""),
        ("\"keys\":[", "\"keys\":[\"key_x\","),
        ("\"client\":\"backend\"", "\"client\":\"\""),
        ("\"result\":null", "\"result\":\"\""),
    ] {
        let line = lines.iter().find(|line| line.contains(from)).unwrap();
        assert!(LogLine::parse(line.replace(from, to).as_bytes()).is_err(), "{to}");
    }
    let deep = format!("{{\"detail\":{}1{}}}", "[".repeat(8000), "]".repeat(8000));
    assert!(LogLine::parse(deep.as_bytes()).is_err());
    assert!(LogLine::parse(&[b' '; MAX_LINE + 1]).is_err());
}

#[test]
fn the_largest_entry_that_can_be_made_is_read() {
    let id: KeyId = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq".parse().unwrap();
    let mut event = event(0);
    event.operation = OperationName::TRANSACTION_SIGN;
    event.outcome = Outcome::deny("x".repeat(64).parse().unwrap());
    event.client = Some("x".repeat(64).parse().unwrap());
    event.keys = Keys::try_from(vec![id; MAX_ENTRY_KEYS]).unwrap();
    event.policy = Some(PolicyRef { version: u64::MAX, sha256: serde_bytes::ByteArray::new([5; 32]) });
    let text = "\u{1}".repeat((MAX_SIGN_DETAIL - 8) / 6);
    event.detail = Some(Detail::from_json(&json!({"a": text}), MAX_SIGN_DETAIL).unwrap());
    let entry = Entry { boot: boot(), seq: u64::MAX, time: u64::MAX, event, prev: EntryHash::START };
    let line = entry.to_line();
    assert!(line.len() > MAX_LINE / 2 && line.len() <= MAX_LINE, "{}", line.len());
    assert_eq!(Entry::parse(line.as_bytes()), Ok(entry));
}

#[test]
fn a_checkpoint_is_read_as_it_was_signed_and_no_character_can_be_changed() {
    let head = Head { boot: boot(), seq: 7, hash: EntryHash::of(b"entry") };
    let checkpoint = Checkpoint::sign(&key(1), &deployment(), head, STARTED);
    let session = key(1).verifying_key().into();
    let json = checkpoint.to_json();
    assert_eq!(Checkpoint::parse(json.as_bytes()), Ok(checkpoint.clone()));
    assert_eq!(serde_json::to_string(&checkpoint).unwrap(), json);
    checkpoint.verify(&session, &deployment()).unwrap();
    let believed =
        |json: &[u8]| Checkpoint::parse(json).is_ok_and(|read| read.verify(&session, &deployment()).is_ok());
    assert!(believed(json.as_bytes()));
    for at in 0..json.len() {
        for to in [b'0', b'1', b'A', b'a', b'"', b' '] {
            let mut changed = json.clone().into_bytes();
            if changed[at] != to {
                changed[at] = to;
                assert!(!believed(&changed), "character {at}");
            }
        }
        assert!(!believed(&json.as_bytes()[..at]));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_line_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = LogLine::parse(&bytes);
        let _ = verifier().push(&bytes);
    }

    #[test]
    fn any_entry_is_read_as_it_was_written(
        seq in 1u64.., time: u64, operation in "[a-z0-9_]{1,8}(\\.[a-z0-9_]{1,8}){0,3}",
        client in prop::option::of("[a-zA-Z0-9._:@/+-]{1,64}"), denied: bool, text: String, number: u64,
        result: Option<[u8; 32]>, prev: [u8; 32], version: Option<u64>,
    ) {
        let outcome = if denied { Outcome::deny(ReasonTag::from_static("a.b")) } else { Outcome::ALLOW };
        let event = NewEntry {
            client: client.map(|client| client.parse().unwrap()),
            policy: version.map(|version| PolicyRef { version, sha256: serde_bytes::ByteArray::new(prev) }),
            result: result.map(ContentHash::new),
            detail: Some(Detail::new(&OperationName::KEY_CHECK, &json!({"text": text, "list": [number, null, denied]}))),
            ..NewEntry::new(operation.parse().unwrap(), outcome)
        };
        let entry = Entry { boot: boot(), seq, time, event, prev: EntryHash::new(prev) };
        let line = entry.to_line();
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(Entry::parse(line.as_bytes()), Ok(entry));
        // Another reader of JSON reads the same.
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(&value["detail"]["list"][0], number);
    }

    /// One byte anywhere: found, or in the part that no checkpoint covers, which is told apart.
    #[test]
    fn no_byte_before_the_last_checkpoint_can_be_changed(position: prop::sample::Index, to: u8) {
        let lines = log(12, 5);
        let mut bytes = lines.join("\n").into_bytes();
        let signed: usize = lines[..lines.len() - 2].iter().map(|line| line.len() + 1).sum();
        let at = position.index(bytes.len());
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        let changed: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        match verify(&changed) {
            Err(_) => {}
            Ok(verifier) => {
                prop_assert!(at >= signed - 1, "byte {at} of {signed}");
                prop_assert_eq!(verifier.signed().unwrap().seq, 10);
            }
        }
    }
}
