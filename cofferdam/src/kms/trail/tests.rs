//! Calls and entries, joined; and what no input may do.

use attestation::{DocumentHash, Pcr};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    books::{Books, Boot, Call, Slot},
    caller::Principal,
    event::Event,
    finding::id,
    intake::{Intake, Scope},
    judge::{Expected, Verdicts, decide},
    read,
    recipient::Recipient,
    report::{Explained, Report},
    windows::Windows,
};
use crate::output::{Sheet, Show};
use verifier::Trust;

const FOUND: &str = include_str!("../../../../tests/vectors/cloudtrail/found.json");
const LOOKUP: &str = include_str!("../../../../tests/vectors/cloudtrail/lookup-events.json");
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab";
const ROLE: &str = "arn:aws:iam::111122223333:role/service/parent";
const WINDOWS: Windows = Windows { after: 30_000, data_key_age: 86_400_000 };
/// When the calls are, in milliseconds: a whole second.
const AT: u64 = 1_767_225_600_000;

fn trust() -> Trust {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/log/image.json");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/log/root.pem");
    crate::trust::TrustArgs::of_images(vec![file.into()], Some(root.into())).load().unwrap()
}

fn take(json: &[u8]) -> Result<Intake, String> {
    let keys = [KEY.parse().unwrap()];
    let scope = Scope { keys: &keys, since: None, until: None };
    let mut taken = Intake::default();
    read::events(json, &mut |event| taken.take(&scope, event)).map_err(|error| error.to_string())?;
    taken.finish();
    Ok(taken)
}

fn judge(taken: &Intake, boots: Vec<Boot>) -> Verdicts {
    let (trust, roles) = (trust(), [ROLE.parse::<Principal>().unwrap()]);
    let books = Books { boots, ..Books::default() };
    decide(
        taken,
        &Expected {
            trust: &trust,
            roles: &roles,
            admins: &[],
            deployment: Some("vectors"),
            books: Some(&books),
            windows: WINDOWS,
        },
    )
}

/// The explained calls: one GenerateDataKey, then Decrypts.
fn explained() -> Vec<Value> {
    let json: Value = serde_json::from_str(LOOKUP).unwrap();
    let events = json["Events"].as_array().unwrap().iter();
    events.map(|event| serde_json::from_str(event["CloudTrailEvent"].as_str().unwrap()).unwrap()).collect()
}

/// Decrypts at these seconds after [`AT`].
fn decrypts(seconds: &[u64]) -> Intake {
    let event = |(n, second): (usize, &u64)| {
        let mut event = explained().remove(1);
        event["eventID"] = json!(format!("{n}"));
        event["eventTime"] = json!(crate::clock::format(AT + second * 1000));
        event
    };
    let events: Vec<Value> = seconds.iter().enumerate().map(event).collect();
    take(json!(events).to_string().as_bytes()).unwrap()
}

fn module_and_image() -> (String, Pcr) {
    let recipient = Recipient::read(&explained()[1]["additionalEventData"]["recipient"]).unwrap();
    (recipient.module.clone(), recipient.image().unwrap())
}

/// A boot that began a minute before, whose entries are at these milliseconds after [`AT`], each
/// of so many keys, and that signed up to `signed` entries at the end of an hour.
fn boot(entries: &[(u64, u32)], signed: u64) -> Boot {
    let (module, pcr0) = module_and_image();
    let slot = |(n, (after, room)): (usize, &(u64, u32))| Slot {
        seq: n as u64 + 1,
        time: AT + after,
        call: Call::Open,
        room: *room,
        refused: false,
    };
    Boot {
        boot: DocumentHash::of(b"boot"),
        module,
        pcr0,
        started: AT - 60_000,
        replaced: None,
        signed: Some((signed, AT + 3_600_000)),
        slots: entries.iter().enumerate().map(slot).collect(),
    }
}

fn ids(verdicts: &Verdicts) -> Vec<&'static str> {
    verdicts.findings.iter().map(|finding| finding.id).collect()
}

#[test]
fn an_entry_accounts_for_a_call_within_its_window_only() {
    for (after, explained) in [(0, true), (31_000, true), (31_001, false)] {
        let verdicts = judge(&decrypts(&[0]), vec![boot(&[(after, 1)], 1)]);
        assert_eq!(verdicts.opened == 1, explained, "{after}");
        assert_eq!(ids(&verdicts).first().copied(), (!explained).then_some(id::NO_ACTIVITY));
    }
    // The clocks may differ a little: the entry seems older than its call.
    for (second, explained) in [(5, true), (6, false)] {
        let verdicts = judge(&decrypts(&[second]), vec![boot(&[(0, 1)], 1)]);
        assert_eq!(verdicts.opened == 1, explained, "{second}");
    }
}

#[test]
fn an_entry_accounts_for_one_call_for_each_key_and_thrice_at_most() {
    let verdicts = judge(&decrypts(&[0; 2]), vec![boot(&[(100, 2)], 1)]);
    assert_eq!((verdicts.opened, ids(&verdicts)), (2, vec![]));
    let verdicts = judge(&decrypts(&[0; 7]), vec![boot(&[(100, 2)], 1)]);
    assert_eq!(verdicts.opened, 2);
    assert_eq!(ids(&verdicts), [[id::REPEATED; 4].as_slice(), &[id::NO_ACTIVITY]].concat());
    let repeated = verdicts.findings.iter().filter(|finding| finding.id == id::REPEATED);
    assert!(repeated.into_iter().all(|finding| finding.boot.is_some()));
}

#[test]
fn an_early_call_takes_no_entry_that_a_later_one_needs() {
    // The first entry is only the first call's, the second entry could be both's.
    let verdicts = judge(&decrypts(&[0, 20]), vec![boot(&[(14_000, 1), (25_000, 1)], 2)]);
    assert_eq!((verdicts.opened, ids(&verdicts)), (2, vec![]));
    let verdicts = judge(&decrypts(&[0, 20, 40]), vec![boot(&[(14_000, 1), (25_000, 1)], 2)]);
    assert_eq!((verdicts.opened, ids(&verdicts)), (2, vec![id::NO_ACTIVITY]));
}

#[test]
fn an_entry_that_no_checkpoint_covers_explains_nothing() {
    let mut unsigned = boot(&[(100, 1)], 1);
    unsigned.signed = Some((0, AT));
    let verdicts = judge(&decrypts(&[0]), vec![unsigned.clone()]);
    assert_eq!(ids(&verdicts), [id::AFTER_LAST_CHECKPOINT]);
    unsigned.signed = None;
    assert_eq!(ids(&judge(&decrypts(&[0]), vec![unsigned])), [id::AFTER_LAST_CHECKPOINT]);
}

#[test]
fn a_call_is_the_boots_that_was_running() {
    let early = Boot { replaced: Some(AT + 1000), ..boot(&[(100, 1), (301_500, 1)], 2) };
    assert_eq!(ids(&judge(&decrypts(&[0]), vec![early.clone()])), [] as [&str; 0]);
    // What was under way may end; then the place is taken.
    assert_eq!(ids(&judge(&decrypts(&[301]), vec![early.clone()])), [] as [&str; 0]);
    assert_eq!(ids(&judge(&decrypts(&[302]), vec![early.clone()])), [id::OUTSIDE_BOOT]);
    let late = Boot { boot: DocumentHash::of(b"late"), started: AT + 302_000, ..boot(&[(302_100, 1)], 1) };
    let verdicts = judge(&decrypts(&[0, 302]), vec![early, late]);
    assert_eq!((verdicts.opened, ids(&verdicts)), (2, vec![]));
    let other = Boot { pcr0: Pcr::new([5; 48]), ..boot(&[(100, 1)], 1) };
    assert_eq!(ids(&judge(&decrypts(&[0]), vec![other])), [id::UNKNOWN_BOOT]);
}

#[test]
fn a_refused_call_of_the_parents_role_is_an_enclaves_where_its_log_says_so() {
    let mut event = explained().remove(1);
    event["additionalEventData"] = Value::Null;
    event["errorCode"] = json!("AccessDenied");
    let taken = take(event.to_string().as_bytes()).unwrap();
    let mut denied = boot(&[(100, 1)], 1);
    assert_eq!(ids(&judge(&taken, vec![denied.clone()])), [id::UNATTESTED]);
    denied.slots[0].refused = true;
    assert_eq!(ids(&judge(&taken, vec![denied])), [id::DENIED]);
}

#[test]
fn as_many_calls_as_entries_in_one_window_are_joined_in_a_moment() {
    let call = take(explained()[1].to_string().as_bytes()).unwrap().events.remove(0);
    let mut taken = Intake::default();
    taken.events = vec![call; 200_000];
    let entries: Vec<(u64, u32)> = (0..200_000).map(|n| (n % 30_000, 1)).collect();
    let begun = std::time::Instant::now();
    let verdicts = judge(&taken, vec![boot(&entries, 200_000)]);
    assert_eq!(verdicts.opened, 200_000);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

/// Everything that is done with a file, up to the text for people.
fn whole(json: &[u8]) {
    let Ok(taken) = take(json) else { return };
    let verdicts = judge(&taken, vec![boot(&[(100, 1)], 1)]);
    let mut report = Report {
        verified: false,
        fail_on: kms_policies::audit::Severity::Medium,
        read: taken.counts.clone(),
        files_not_read: 0,
        covered: None,
        explained: Explained::default(),
        boots: None,
        severities: Default::default(),
        not_compared: Vec::new(),
        findings: verdicts.findings,
    };
    report.arrange();
    report.show(&mut Sheet::default());
    serde_json::to_string(&report).unwrap();
    // Nothing on the key is passed over.
    let reads: u64 = taken.reads.values().map(|reads| reads.count).sum();
    let kept = taken.events.len() as u64 + reads;
    assert_eq!(kept, taken.counts.on_key);
    let told = taken.events.len() + taken.reads.len() + taken.stops.len() + taken.unnamed.len();
    let said = report.findings.len() as u64 + verdicts.made + verdicts.opened;
    assert_eq!(said, (told + taken.conflicts.len()) as u64);
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(json!(KEY)),
        Just(json!("AAAA")),
        Just(json!("2026-01-01T00:00:00Z")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z]{0,6}", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// The places of an event that are looked at.
fn places() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "/eventVersion",
        "/eventSource",
        "/eventName",
        "/eventTime",
        "/eventID",
        "/eventType",
        "/errorCode",
        "/sourceIPAddress",
        "/userIdentity",
        "/userIdentity/arn",
        "/userIdentity/invokedBy",
        "/userIdentity/sessionContext",
        "/userIdentity/sessionContext/sessionIssuer",
        "/requestParameters",
        "/requestParameters/keyId",
        "/requestParameters/encryptionContext",
        "/responseElements",
        "/additionalEventData",
        "/additionalEventData/recipient",
        "/additionalEventData/recipient/attestationDocumentModuleId",
        "/additionalEventData/recipient/attestationDocumentEnclavePCR1",
        "/resources",
        "/resources/0",
        "/resources/0/ARN",
    ])
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        whole(&bytes);
        let _ = super::gzip::decompress(&bytes, 1 << 16);
    }

    #[test]
    fn no_cut_or_changed_file_panics(cut in 0..FOUND.len(), at in 0..FOUND.len(), byte: u8) {
        whole(&FOUND.as_bytes()[..cut]);
        let mut changed = FOUND.as_bytes().to_vec();
        changed[at] = byte;
        whole(&changed);
    }

    #[test]
    fn no_event_panics_or_is_passed_over(
        which in 0..37usize,
        changes in prop::collection::vec((places(), anything()), 1..4),
    ) {
        let found: Value = serde_json::from_str(FOUND).unwrap();
        let mut events = [explained(), found["Records"].as_array().unwrap().clone()].concat();
        let mut event = events.remove(which);
        for (place, value) in changes {
            if let Some(slot) = event.pointer_mut(place) {
                *slot = value;
            }
        }
        whole(json!({"Records": [event]}).to_string().as_bytes());
    }

    #[test]
    fn no_value_is_an_event_by_chance(value in anything()) {
        if let Some(fields) = value.as_object() {
            prop_assert!(Event::read(fields).is_err());
        }
        whole(value.to_string().as_bytes());
    }
}
