//! Envelopes in files: read as they are, or made around a payload; written so that no signature of
//! another operator is lost.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
};

use protocol::dsse::{Envelope, MAX_ENVELOPE};
use serde_json::Value;

use crate::{
    error::Error,
    input::{self, STDIN},
    output::Screen,
};

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Given {
    /// The envelope; a new one around a bare payload.
    pub(crate) envelope: Envelope,
    /// What is signed.
    pub(crate) payload: Vec<u8>,
    /// Whether the file was a bare payload.
    pub(crate) bare: bool,
}

/// Reads a payload of this type, or its envelope.
pub(crate) fn read(file: &Path, payload_type: &'static str) -> Result<Given, Error> {
    // With room for a newline at the end, and for an envelope that was laid out in lines.
    let bytes = input::read(file, 2 * MAX_ENVELOPE as u64)?;
    let wrong = |error: protocol::dsse::DsseError| Error::input(file.display(), error);
    if !is_envelope(&bytes) {
        let envelope = Envelope::new(payload_type, &bytes);
        return Ok(Given { envelope, payload: bytes, bare: true });
    }
    let envelope = Envelope::parse(&bytes, payload_type).map_err(wrong)?;
    let payload = envelope.payload().map_err(wrong)?;
    Ok(Given { envelope, payload, bare: false })
}

/// Whether it is meant as one: neither policies nor orders have this member.
fn is_envelope(bytes: &[u8]) -> bool {
    matches!(serde_json::from_slice(bytes), Ok(Value::Object(fields)) if fields.contains_key("payloadType"))
}

/// Writes a file that does not exist yet; `-` is standard output. `replaced` may exist: it is the
/// file that the contents were made from.
pub(crate) fn write_new(
    out: &Path,
    contents: &str,
    replaced: Option<&Path>,
    screen: &Screen,
) -> Result<(), Error> {
    let line = format!("{contents}\n");
    if out.as_os_str() == STDIN {
        return screen.bytes(line.as_bytes());
    }
    let folder = match out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || {
        if replaced != Some(out) {
            let mut file = OpenOptions::new().write(true).create_new(true).open(out)?;
            return file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
        }
        // Whole or not at all: a signature costs an operator's time.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(line.as_bytes())?;
        file.as_file().set_permissions(std::fs::metadata(out)?.permissions())?;
        file.as_file().sync_all()?;
        file.persist(out).map(|_| ()).map_err(|error| error.error)
    };
    write().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Error::input(out.display(), "a file that does not exist yet was expected")
        }
        _ => Error::input(out.display(), format_args!("a writable folder was expected: {error}")),
    })
}
