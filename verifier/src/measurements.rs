//! The registers of an image, in what nitro-cli prints: `build-enclave` (an object, and lines of
//! progress around it where both outputs went into one file), `describe-eif` (an object that says
//! more), `describe-enclaves` (a list, one item for each enclave), or the registers alone.

use std::collections::BTreeSet;

use serde_json::{Deserializer, Map, Value};

use crate::json::Unambiguous;

const EXPECTED: &str = "JSON with the fields PCR0, PCR1 and PCR2 was expected";

/// The registers of the one image in a text, as `INDEX=HEX`. Fields that are no register are of no
/// interest.
///
/// # Errors
/// What was expected, and what was found.
pub fn read(text: &str) -> Result<Vec<String>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    for value in values(text)? {
        match value {
            Value::Array(items) if items.is_empty() => {
                return Err(format!("{EXPECTED}, found an empty list: nitro-cli lists no enclave"));
            }
            Value::Array(items) => {
                for item in items.iter().filter_map(Value::as_object) {
                    found.extend(registers(item)?);
                }
            }
            Value::Object(fields) => found.extend(registers(&fields)?),
            _ => {}
        }
    }
    // What stands in no JSON that was read could be another image's.
    let named = text.matches("\"PCR0\"").count();
    let read = found.iter().flatten().filter(|register| register.starts_with("0=")).count();
    if named != read {
        return Err(format!("{EXPECTED}, found PCR0 {named} times, {read} of them where it is read"));
    }
    let mut images: BTreeSet<_> = found.into_iter().collect();
    let count = images.len();
    match (images.pop_first(), images.is_empty()) {
        (Some(image), true) => Ok(image),
        (None, _) => Err(EXPECTED.to_owned()),
        (Some(_), false) => Err(format!("{EXPECTED}, of one image, found those of {count}: use --pcr")),
    }
}

/// The JSON values that begin a line. Lines that are no JSON are progress.
fn values(text: &str) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        if !line.trim_start().starts_with(['{', '[']) {
            rest = after;
            continue;
        }
        let mut stream = Deserializer::from_str(rest).into_iter::<Unambiguous>();
        match stream.next() {
            Some(Ok(Unambiguous(value))) => {
                let behind = rest.get(stream.byte_offset()..).unwrap_or_default();
                let (tail, after) = behind.split_once('\n').unwrap_or((behind, ""));
                // With more behind it, it is a line of progress that begins like JSON.
                if tail.trim().is_empty() {
                    values.push(value);
                }
                rest = after;
            }
            Some(Err(error)) if error.is_data() => return Err(format!("{EXPECTED}: {error}")),
            _ => rest = after,
        }
    }
    Ok(values)
}

/// The registers of an object, if there are any.
fn registers(fields: &Map<String, Value>) -> Result<Option<Vec<String>>, String> {
    let measured = |fields: &Map<String, Value>| -> Result<Vec<String>, String> {
        let named = fields.iter().filter_map(|(name, value)| Some((name.strip_prefix("PCR")?, value)));
        named
            .map(|(index, value)| {
                let text =
                    value.as_str().ok_or_else(|| format!("{EXPECTED}, found PCR{index} without text"))?;
                Ok(format!("{index}={}", text.to_ascii_lowercase()))
            })
            .collect()
    };
    let beside = measured(fields)?;
    let registers = match fields.get("Measurements") {
        None => beside,
        Some(Value::Object(within)) if beside.is_empty() => measured(within)?,
        Some(_) => {
            return Err(format!("{EXPECTED} under Measurements, found others, or other ones beside it"));
        }
    };
    Ok((!registers.is_empty()).then_some(registers))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str = r#"{"PCR0": "a0", "PCR1": "a1", "PCR2": "a2"}"#;

    fn found(text: &str) -> Result<String, String> {
        read(text).map(|registers| registers.join(" "))
    }

    fn measured(digit: char) -> String {
        format!(
            r#"{{"HashAlgorithm": "Sha384 {{ ... }}", "PCR0": "{digit}0", "PCR1": "{digit}1", "PCR2": "{digit}2"}}"#
        )
    }

    /// As `nitro-cli describe-enclaves` prints an enclave.
    fn enclave(digit: char) -> String {
        format!(
            r#"{{"EnclaveName": "app", "EnclaveID": "i-0-enc0", "ProcessID": 4494, "EnclaveCID": 16,
                "NumberOfCPUs": 2, "CPUIDs": [1, 3], "MemoryMiB": 2048, "State": "RUNNING", "Flags": "NONE",
                "Measurements": {}}}"#,
            measured(digit)
        )
    }

    #[test]
    fn everything_that_nitro_cli_prints_of_one_image_is_read() {
        let wrapped = format!("{{\n  \"Measurements\": {}\n}}", measured('a'));
        let progress = format!(
            "Start building the Enclave Image...\nUsing the locally available Docker image...\n\
             [+] Building 0.1s (5/5) FINISHED\n[1/2] FROM scratch\n[1]\n[1] 12345\n[\"/bin/sh\"] done\n\
             Enclave Image successfully created.\n\
             {wrapped}\n"
        );
        let described =
            wrapped.replacen('{', "{\"EifVersion\": 4, \"IsSigned\": false, \"Metadata\": {},", 1);
        for text in [
            BARE.to_owned(),
            wrapped.clone(),
            described,
            progress.clone(),
            progress.replace('\n', "\r\n"),
            format!("{wrapped}\nEnclave Image successfully created.\n"),
            format!("\u{feff}{wrapped}"),
            format!("[{}]", enclave('a')),
            format!("[{}, {}]", enclave('a'), enclave('a').replace("\"a", "\"A")),
            format!("\n[{}, {}]\n", enclave('a'), enclave('a')),
        ] {
            assert_eq!(found(&text), Ok("0=a0 1=a1 2=a2".to_owned()), "{text}");
        }
    }

    #[test]
    fn what_names_no_image_or_several_is_refused() {
        let twice = BARE.replace("\"PCR1\": \"a1\"", "\"PCR0\": \"b0\"");
        for (text, why) in [
            (String::new(), EXPECTED),
            ("Start building the Enclave Image...\n".to_owned(), EXPECTED),
            ("{\"Measurements\": {\"HashAlgorithm\": \"x\"}}".to_owned(), EXPECTED),
            ("{\"Measurements\": [1]}".to_owned(), "under Measurements"),
            ("{\"Measurements\": {\"PCR0\": \"a0\"}, \"PCR0\": \"b0\"}".to_owned(), "beside it"),
            ("{\"PCR0\": 7}".to_owned(), "PCR0 without text"),
            ("[]".to_owned(), "lists no enclave"),
            (format!("[{}, {}]", enclave('a'), enclave('b')), "found those of 2"),
            (format!("{BARE}\n{}", BARE.replace('a', "b")), "found those of 2"),
            (format!("{BARE} {}", BARE.replace('a', "b")), "found PCR0 2 times, 0"),
            (format!("{}\n{BARE}", &BARE[..30]), "found PCR0 2 times, 1"),
            (format!("x {BARE}\n{BARE}"), "found PCR0 2 times, 1"),
            (format!("[[{BARE}]]\n{BARE}"), "found PCR0 2 times, 1"),
            (format!("{{\"x\": {BARE}}}\n{BARE}"), "found PCR0 2 times, 1"),
            (twice, "found one again"),
            (BARE[..20].to_owned(), EXPECTED),
        ] {
            let error = found(&text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
