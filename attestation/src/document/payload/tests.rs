//! Payloads in every form that is read, in none that is not, and against another reader.

use super::*;
use proptest::{prelude::*, sample::Index};
use serde_bytes::ByteBuf;
use serde_cbor::Value;

/// What AWS's NSM signed in its form before mid-2025: definite lengths.
fn real() -> Vec<Vec<u8>> {
    [
        include_bytes!("../../../../tests/vectors/attestation/nitro-2022-10-13.cose").as_slice(),
        include_bytes!("../../../../tests/vectors/attestation/nitro-2025-01-06.cose"),
    ]
    .map(|document| {
        let (_, _, payload, _): (ByteBuf, Value, ByteBuf, ByteBuf) =
            crate::cbor::decode(document, 0x3000).unwrap();
        payload.into_vec()
    })
    .to_vec()
}

/// The same in its form since: the outermost map alone is of indefinite length.
fn todays(definite: &[u8]) -> Vec<u8> {
    assert_eq!(definite[0], 0xa9);
    [&[0xbf], &definite[1..], &[0xff]].concat()
}

/// How arrays and maps are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Definite,
    Indefinite,
}
use Length::{Definite, Indefinite};

fn head(major: u8, length: usize) -> Vec<u8> {
    match length {
        0..=23 => vec![major << 5 | length as u8],
        24..=255 => vec![major << 5 | 24, length as u8],
        _ => [&[major << 5 | 25], &(length as u16).to_be_bytes()[..]].concat(),
    }
}

fn container(major: u8, length: Length, count: usize, items: &[Vec<u8>]) -> Vec<u8> {
    match length {
        Definite => [head(major, count), items.concat()].concat(),
        Indefinite => [&[major << 5 | 31], &items.concat()[..], &[0xff]].concat(),
    }
}

fn map(length: Length, entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<_> = entries.iter().map(|(key, value)| [&key[..], value].concat()).collect();
    container(MAP, length, entries.len(), &items)
}

fn array(length: Length, items: &[Vec<u8>]) -> Vec<u8> {
    container(ARRAY, length, items.len(), items)
}

fn bytes(value: &[u8]) -> Vec<u8> {
    [&head(BYTES, value.len()), value].concat()
}

fn text(value: &str) -> Vec<u8> {
    [&head(TEXT, value.len()), value.as_bytes()].concat()
}

/// The fields of a document of 17 registers, each as it is written.
fn fields(pcrs: Length, cabundle: Length) -> Vec<(Vec<u8>, Vec<u8>)> {
    let registers: Vec<_> = (0..17).map(|index| (vec![index], bytes(&[index; 48]))).collect();
    [
        ("module_id", text("i-0-enc1")),
        ("digest", text("SHA384")),
        ("timestamp", vec![0x1b, 0, 0, 1, 0x99, 0x54, 0x6b, 0x68, 0xee]),
        ("pcrs", map(pcrs, &registers)),
        ("certificate", bytes(&[1; 600])),
        ("cabundle", array(cabundle, &[bytes(&[2; 500]), bytes(&[3; 700])])),
        ("public_key", bytes(&[4; 32])),
        ("user_data", bytes(&[])),
        ("nonce", vec![NULL]),
    ]
    .map(|(name, value)| (text(name), value))
    .to_vec()
}

fn written() -> Vec<u8> {
    map(Indefinite, &fields(Definite, Definite))
}

/// A document of these fields with the value of one changed.
fn with(name: &str, value: Vec<u8>) -> Vec<u8> {
    let mut fields = fields(Definite, Definite);
    fields.iter_mut().find(|(key, _)| *key == text(name)).unwrap().1 = value;
    map(Indefinite, &fields)
}

fn with_one_more(key: Vec<u8>, value: Vec<u8>) -> Vec<u8> {
    let mut fields = fields(Definite, Definite);
    fields.insert(4, (key, value));
    map(Indefinite, &fields)
}

fn refused(payload: &[u8]) -> DocumentError {
    Payload::read(payload).unwrap_err()
}

fn is_form(error: &DocumentError) -> bool {
    matches!(error, DocumentError::Cbor(CborError::Form { .. }))
}

#[test]
fn what_aws_signed_says_the_same_in_todays_form() {
    for definite in real() {
        let todays = todays(&definite);
        let (before, after) = (Payload::read(&definite).unwrap(), Payload::read(&todays).unwrap());
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
        assert_eq!(after.pcrs.len(), 16);
    }
}

#[test]
fn maps_and_arrays_may_be_of_either_length_and_fields_in_any_order() {
    let expected = format!("{:?}", Payload::read(&written()).unwrap());
    for outer in [Definite, Indefinite] {
        for (pcrs, cabundle) in [(Definite, Indefinite), (Indefinite, Definite), (Indefinite, Indefinite)] {
            let mut fields = fields(pcrs, cabundle);
            for _ in 0..fields.len() {
                fields.rotate_left(1);
                let payload = map(outer, &fields);
                assert_eq!(format!("{:?}", Payload::read(&payload).unwrap()), expected);
            }
        }
    }
}

#[test]
fn an_unknown_field_of_any_form_that_is_read_is_skipped() {
    let nested =
        array(Indefinite, &[map(Indefinite, &[(text("a"), array(Definite, &[vec![0xf5]]))]), vec![0x20]]);
    for value in [vec![1], vec![0x38, 99], vec![NULL], vec![0xf4], bytes(&[7; 2000]), text("later"), nested] {
        let payload = with_one_more(text("later"), value);
        assert_eq!(Payload::read(&payload).unwrap().module_id, "i-0-enc1");
    }
    // But none whose key readers by position, or by bytes, take for a field.
    for key in [vec![8], vec![0x20], bytes(b"nonce")] {
        let refused = refused(&with_one_more(key, bytes(b"x")));
        assert!(
            matches!(refused, DocumentError::Cbor(CborError::Shape { expected: "text", .. })),
            "{refused}"
        );
    }
    // An unknown field is held to the same forms.
    for value in [vec![0xf7], vec![0xf9, 0x3c, 0], vec![0xc0, 1], vec![0x5f, 0x41, 1, 0xff], vec![0x18, 1]] {
        assert!(is_form(&refused(&with_one_more(text("later"), value))));
    }
    let twice = map(Definite, &[(vec![1], vec![1]), (vec![1], vec![2])]);
    assert!(matches!(refused(&with_one_more(text("later"), twice)), DocumentError::Repeated { .. }));
    let deep = [vec![0x9f; MAX_DEPTH], vec![0xff; MAX_DEPTH]].concat();
    assert_eq!(refused(&with_one_more(text("later"), deep)), CborError::TooDeep.into());
}

#[test]
fn strings_in_chunks_tags_floats_and_undefined_are_refused() {
    let chunked = |major: u8| [&[major << 5 | 31], &head(major, 1)[..], b"x", &[0xff]].concat();
    assert!(is_form(&refused(&with("certificate", chunked(BYTES)))));
    assert!(is_form(&refused(&with("module_id", chunked(TEXT)))));
    for name in ["public_key", "user_data", "nonce"] {
        for value in [chunked(BYTES), vec![0xf7], vec![0xc2, 0x41, 1], vec![0xf9, 0, 0], vec![0xf8, 22]] {
            assert!(is_form(&refused(&with(name, value))), "{name}");
        }
    }
    for timestamp in
        [vec![0xfb, 0x42, 0x79, 0, 0, 0, 0, 0, 0], vec![0xc1, 0x1a, 0x60, 0, 0, 0], vec![0x18, 5]]
    {
        assert!(is_form(&refused(&with("timestamp", timestamp))));
    }
    let key_in_chunks = with_one_more(chunked(TEXT), vec![1]);
    assert!(is_form(&refused(&key_in_chunks)));
}

#[test]
fn a_break_stands_where_it_belongs_and_nowhere_else() {
    let payload = written();
    let early = payload.strip_suffix(&[0xff]).unwrap();
    assert_eq!(refused(early), CborError::Truncated { at: early.len() }.into());
    assert_eq!(refused(&[&payload[..], &[0xff]].concat()), CborError::Trailing { at: payload.len() }.into());
    assert_eq!(refused(&[&payload[..], &[0]].concat()), CborError::Trailing { at: payload.len() }.into());
    // In place of a value, of a key of a map of definite length, of the whole.
    let mut without_value = fields(Definite, Definite);
    without_value.last_mut().unwrap().1.clear();
    assert!(is_form(&refused(&map(Indefinite, &without_value))));
    let mut short = fields(Definite, Definite);
    short.pop();
    assert!(is_form(&refused(&container(MAP, Definite, 9, &[map(Indefinite, &short)[1..].to_vec()]))));
    assert!(is_form(&refused(&[0xff])));
    for cabundle in [vec![0x81, 0xff], [&[0x9f], &bytes(&[2; 9])[..]].concat()] {
        assert!(Payload::read(&with("cabundle", cabundle)).is_err());
    }
}

#[test]
fn a_key_that_stands_twice_is_refused_in_every_map() {
    for length in [Definite, Indefinite] {
        for (name, value) in fields(length, length) {
            let mut all = fields(length, length);
            all.push((name, value));
            let found = refused(&map(length, &all));
            assert!(matches!(found, DocumentError::Repeated { .. }), "{found}");
        }
        // The value of a register is not the last one, nor the first one, but none.
        let registers = [(vec![0], bytes(&[1; 48])), (vec![0], bytes(&[2; 48]))];
        let found = refused(&with("pcrs", map(length, &registers)));
        assert!(matches!(found, DocumentError::Repeated { .. }), "{found}");
    }
}

#[test]
fn registers_are_0_to_31_of_48_bytes() {
    let one = |index: Vec<u8>, value: Vec<u8>| with("pcrs", map(Indefinite, &[(index, value)]));
    let registers = |count: u8| -> Vec<_> {
        (0..count)
            .map(|index| (if index < 24 { vec![index] } else { vec![24, index] }, bytes(&[index; 48])))
            .collect()
    };
    assert_eq!(Payload::read(&with("pcrs", map(Definite, &registers(32)))).unwrap().pcrs.len(), 32);
    assert!(Payload::read(&one(vec![24, 31], bytes(&[7; 48]))).is_ok());
    for wrong in [
        one(vec![24, 32], bytes(&[7; 48])),
        one(vec![24, 0xff], bytes(&[7; 48])),
        one(vec![25, 1, 0], bytes(&[7; 48])),
        one(vec![27, 1, 0, 0, 0, 0, 0, 0, 0], bytes(&[7; 48])),
        one(vec![0], bytes(&[7; 32])),
        one(vec![0], bytes(&[7; 64])),
        with("pcrs", map(Indefinite, &registers(33))),
        with("pcrs", map(Indefinite, &[])),
    ] {
        assert!(matches!(refused(&wrong), DocumentError::Field { field: "pcrs", .. }));
    }
    for index in [vec![0x20], text("0"), bytes(&[0]), vec![NULL], array(Definite, &[])] {
        assert!(matches!(
            refused(&one(index, bytes(&[7; 48]))),
            DocumentError::Cbor(CborError::Shape { .. })
        ));
    }
}

#[test]
fn a_nitrotpms_document_is_named_as_what_it_is() {
    let registers: Vec<_> = (0..24).map(|index| (head(0, index), bytes(&[7; 48]))).collect();
    let mut fields = fields(Definite, Definite);
    fields.retain(|(name, _)| *name != text("pcrs"));
    fields.insert(3, (text("nitrotpm_pcrs"), map(Definite, &registers)));
    assert_eq!(refused(&map(Indefinite, &fields)), DocumentError::NitroTpm);
    // Beside an enclave's registers as well.
    assert_eq!(refused(&with_one_more(text("nitrotpm_pcrs"), vec![NULL])), DocumentError::NitroTpm);
    assert!(DocumentError::NitroTpm.to_string().contains("EC2 instance"));
}

#[test]
fn absent_and_null_are_the_same_and_what_must_be_there_is_named() {
    let all = fields(Definite, Definite);
    for (at, (name, _)) in all.iter().enumerate() {
        let mut without = all.clone();
        without.remove(at);
        match Payload::read(&map(Indefinite, &without)) {
            Ok(payload) => {
                assert!(at >= 6);
                let found = [payload.public_key, payload.user_data, payload.nonce];
                assert_eq!(found[at - 6], None);
            }
            Err(DocumentError::Missing { field }) => assert_eq!(text(field), *name),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(refused(&[0xbf, 0xff]), DocumentError::Missing { field: "module_id" });
    for name in ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"] {
        assert!(Payload::read(&with(name, vec![NULL])).is_err(), "{name}");
    }
}

#[test]
fn the_limits_of_the_specification_hold() {
    for (name, value) in [
        ("module_id", text("")),
        ("digest", text("SHA256")),
        ("timestamp", vec![0]),
        ("certificate", bytes(&[])),
        ("certificate", bytes(&[1; 1025])),
        ("cabundle", array(Indefinite, &[])),
        ("cabundle", array(Definite, &[bytes(&[2; 1025])])),
        ("cabundle", array(Definite, &[bytes(&[])])),
        ("public_key", bytes(&[])),
        ("public_key", bytes(&[4; 1025])),
        ("user_data", bytes(&[4; 1025])),
        ("nonce", bytes(&[4; 1025])),
    ] {
        let found = refused(&with(name, value));
        assert!(matches!(found, DocumentError::Field { field, .. } if field == name), "{name}: {found}");
    }
    for name in ["user_data", "nonce", "public_key"] {
        assert!(Payload::read(&with(name, bytes(&[4; 1024]))).is_ok());
    }
    // Text where bytes belong, and the reverse.
    for (name, value) in [("nonce", text("abc")), ("certificate", text("abc")), ("module_id", bytes(b"abc"))]
    {
        assert!(matches!(refused(&with(name, value)), DocumentError::Cbor(CborError::Shape { .. })));
    }
    for payload in [vec![], vec![0x80], vec![0x9f, 0xff], vec![NULL], text("x")] {
        assert!(Payload::read(&payload).is_err());
    }
}

/// What another reader of CBOR finds, which takes every form there is.
fn as_serde_cbor_reads(payload: &[u8]) -> BTreeMap<Value, Value> {
    match serde_cbor::from_slice(payload).unwrap() {
        Value::Map(fields) => fields,
        other => panic!("{other:?} is no map"),
    }
}

fn assert_the_same(payload: &[u8]) -> Result<(), TestCaseError> {
    let Ok(ours) = Payload::read(payload) else { return Ok(()) };
    let theirs = as_serde_cbor_reads(payload);
    let field = |name: &str| theirs.get(&Value::Text(name.to_owned()));
    let string = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
    prop_assert_eq!(field("module_id"), Some(&Value::Text(ours.module_id.to_owned())));
    prop_assert_eq!(field("digest"), Some(&Value::Text("SHA384".to_owned())));
    prop_assert_eq!(field("timestamp"), Some(&Value::Integer(ours.timestamp.into())));
    let registers =
        ours.pcrs.iter().map(|(index, pcr)| (Value::Integer(index.get().into()), string(pcr.as_bytes())));
    prop_assert_eq!(field("pcrs"), Some(&Value::Map(registers.collect())));
    prop_assert_eq!(field("certificate"), Some(&string(ours.certificate)));
    prop_assert_eq!(
        field("cabundle"),
        Some(&Value::Array(ours.cabundle.iter().map(|der| string(der)).collect()))
    );
    for (name, found) in
        [("public_key", ours.public_key), ("user_data", ours.user_data), ("nonce", ours.nonce)]
    {
        prop_assert_eq!(field(name).unwrap_or(&Value::Null), &found.map_or(Value::Null, string), "{}", name);
    }
    prop_assert!(field("nitrotpm_pcrs").is_none());
    Ok(())
}

/// Bytes that mean something in CBOR, put where they may do harm.
const TELLING: [u8; 16] =
    [0xff, 0xbf, 0x9f, 0x5f, 0x7f, 0xf6, 0xf7, 0xf9, 0xc0, 0xa0, 0x80, 0x40, 0x60, 0x18, 0x1b, 0x00];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_read_another_reader_reads_the_same(
        which in 0usize..5,
        changes in prop::collection::vec((any::<Index>(), prop::sample::select(&TELLING[..]), 0u8..4), 0..4),
    ) {
        let [first, second] = real().try_into().unwrap();
        let mut payload = [todays(&first), todays(&second), first, second, written()][which].clone();
        for (at, byte, how) in changes {
            let at = at.index(payload.len());
            match how {
                0 => payload[at] = byte,
                1 => payload.insert(at, byte),
                2 => drop(payload.remove(at)),
                // Among the heads at the beginning, where most of the form is.
                _ => payload[at % 80] = byte,
            }
        }
        assert_the_same(&payload)?;
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Payload::read(&bytes);
        let _ = Payload::read(&[&[0xbf], &bytes[..]].concat());
    }
}
