//! What was verified so far: a file of JSON Lines that only grows. The first line says of which
//! deployment and KMS key it is, every other one names a key. What a crash left unfinished at its end is
//! cut off; the key counts as not verified.

use std::{
    collections::HashMap,
    fs::{File, TryLockError},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::Path,
};

use protocol::{Deployment, KeyId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::batch::Outcome;
use crate::error::Error;

const VERSION: u8 = 1;
/// The longest line.
const MAX_LINE: usize = 4096;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    v: u8,
    deployment: Deployment,
    kms_key: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key_id: KeyId,
    object: String,
}

/// The keys that were verified, and where they are remembered.
pub(super) struct State {
    /// The objects that were opened.
    verified: HashMap<KeyId, String>,
    file: Option<(File, String)>,
}

impl State {
    /// Reads the file, or begins it. Without one, what was verified is forgotten in the end.
    pub(super) fn open(file: Option<&Path>, deployment: &Deployment, kms_key: &str) -> Result<Self, Error> {
        let Some(path) = file else { return Ok(Self { verified: HashMap::new(), file: None }) };
        let name = path.display().to_string();
        let unusable = |error: io::Error| {
            Error::input(&name, format_args!("a file that can be read and written was expected: {error}"))
        };
        let mut file = File::options().read(true).append(true).create(true).open(path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::input(&name, "a state file that no other run uses was expected"));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let head = Head { v: VERSION, deployment: deployment.clone(), kms_key: kms_key.to_owned() };
        let verified = match read(&file, &name)? {
            Read { head: None, .. } => {
                file.set_len(0).map_err(unusable)?;
                let line = line(&head)?;
                let written = file.write_all(&line).and_then(|()| file.sync_all());
                written.and_then(|()| sync_folder_of(path)).map_err(unusable)?;
                HashMap::new()
            }
            Read { head: Some(found), verified, length } => {
                if found != head {
                    let text = format!(
                        "the state of deployment {} and KMS key {} was expected, found that of {} and {}",
                        head.deployment, head.kms_key, found.deployment, found.kms_key
                    );
                    return Err(Error::input(&name, text));
                }
                file.set_len(length).map_err(unusable)?;
                file.seek(SeekFrom::End(0)).map_err(unusable)?;
                verified
            }
        };
        Ok(Self { verified, file: Some((file, name)) })
    }

    /// Whether a key was verified.
    pub(super) fn is_verified(&self, key: &KeyId) -> bool {
        self.verified.contains_key(key)
    }

    /// Remembers those of a batch that were verified. When this returns they are on the disk.
    pub(super) fn remember(&mut self, outcomes: &[(KeyId, Outcome)]) -> Result<(), Error> {
        let mut bytes = Vec::new();
        for (key_id, outcome) in outcomes {
            let (Outcome::Current(object) | Outcome::Verified(object)) = outcome else { continue };
            bytes.extend_from_slice(&line(&Entry { key_id: *key_id, object: object.clone() })?);
            self.verified.insert(*key_id, object.clone());
        }
        let Some((file, name)) = self.file.as_mut().filter(|_| !bytes.is_empty()) else { return Ok(()) };
        file.write_all(&bytes)
            .and_then(|()| file.sync_data())
            .map_err(|error| Error::Failed(format!("{name}: the state was expected to be written: {error}")))
    }

    /// Writes the paths of the records that were made with those of these keys which were verified in
    /// another object.
    pub(super) fn list_superseded(&self, file: &Path, keys: &[KeyId]) -> Result<(), Error> {
        let failed = |error: io::Error| {
            Error::Failed(format!("{}: the list was expected to be written: {error}", file.display()))
        };
        let mut list = io::BufWriter::new(File::create_new(file).map_err(failed)?);
        for key in keys {
            let made = key.object_path();
            if self.verified.get(key).is_some_and(|object| *object != made) {
                writeln!(list, "{made}").map_err(failed)?;
            }
        }
        list.flush().and_then(|()| list.get_ref().sync_all()).map_err(failed)
    }
}

/// What a file says, and where its last whole line ends.
#[derive(Default)]
struct Read {
    head: Option<Head>,
    verified: HashMap<KeyId, String>,
    length: u64,
}

fn read(file: &File, name: &str) -> Result<Read, Error> {
    let mut reader = BufReader::new(file);
    let (mut found, mut number, mut line) = (Read::default(), 0u64, Vec::new());
    loop {
        number = number.saturating_add(1);
        line.clear();
        let at = format!("{name}, line {number}");
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        io::Read::take(&mut reader, limit)
            .read_until(b'\n', &mut line)
            .map_err(|error| Error::input(&at, format_args!("a readable file was expected: {error}")))?;
        let Some(whole) = line.strip_suffix(b"\n") else {
            return match line.len() < MAX_LINE {
                // The end, or what a crash left.
                true => Ok(found),
                false => Err(Error::input(&at, format_args!("at most {MAX_LINE} bytes were expected"))),
            };
        };
        if found.head.is_none() {
            let head: Head = parse(whole, &at, "the state file of a run of rewrap")?;
            if head.v != VERSION {
                return Err(Error::input(&at, format_args!("version {VERSION} was expected")));
            }
            found.head = Some(head);
        } else {
            let Entry { key_id, object } = parse(whole, &at, "a key that was verified")?;
            found.verified.insert(key_id, object);
        }
        found.length = found.length.saturating_add(u64::try_from(line.len()).unwrap_or_default());
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8], at: &str, what: &str) -> Result<T, Error> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::input(at, format_args!("{what} was expected: {error}")))
}

fn line(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut bytes = client::encode(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn sync_folder_of(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::Problem;

    const ONE: &str = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";
    const TWO: &str = "key_b2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";

    fn key(text: &str) -> KeyId {
        text.parse().unwrap()
    }

    fn open(path: &Path) -> Result<State, Error> {
        State::open(Some(path), &"laptop".parse().unwrap(), "arn")
    }

    #[test]
    fn what_was_verified_is_remembered_and_what_was_refused_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut state = open(&path).unwrap();
        let refused = Outcome::Refused(Problem::default());
        state.remember(&[(key(ONE), Outcome::Verified("rewrapped/x".into())), (key(TWO), refused)]).unwrap();
        assert!(open(&path).is_err(), "another run uses it");
        drop(state);
        let state = open(&path).unwrap();
        assert!(state.is_verified(&key(ONE)) && !state.is_verified(&key(TWO)));
        let list = folder.path().join("list");
        state.list_superseded(&list, &[key(ONE), key(TWO)]).unwrap();
        assert_eq!(std::fs::read_to_string(&list).unwrap(), format!("{}\n", key(ONE).object_path()));
        assert!(state.list_superseded(&list, &[]).is_err(), "nothing is overwritten");
    }

    #[test]
    fn a_torn_end_is_cut_off_wherever_it_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        open(&path).unwrap().remember(&[(key(ONE), Outcome::Current(key(ONE).object_path()))]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let head = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for end in 0..=whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            let mut state = open(&path).unwrap();
            assert_eq!(state.is_verified(&key(ONE)), end == whole.len(), "cut at {end}");
            state.remember(&[(key(TWO), Outcome::Verified("rewrapped/x".into()))]).unwrap();
            drop(state);
            assert!(open(&path).unwrap().is_verified(&key(TWO)), "cut at {end}");
        }
        assert!(std::fs::read(&path).unwrap().starts_with(&whole[..head]));
    }

    #[test]
    fn the_state_of_something_else_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        drop(open(&path).unwrap());
        let other = State::open(Some(&path), &"another".parse().unwrap(), "arn");
        assert!(other.is_err_and(|error| error.to_string().contains("deployment another")));
        let other = State::open(Some(&path), &"laptop".parse().unwrap(), "arn:2");
        assert!(other.is_err_and(|error| error.to_string().contains("KMS key arn:2")));
        let text = std::fs::read_to_string(&path).unwrap();
        for bad in [
            "{}\n".to_owned(),
            "a list of shopping\n".to_owned(),
            text.replace("\"v\":1", "\"v\":2"),
            format!("{text}{ONE}\n"),
            format!("{text}{}", "x".repeat(MAX_LINE)),
        ] {
            std::fs::write(&path, &bad).unwrap();
            assert!(open(&path).is_err(), "{bad}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), bad);
        }
    }
}
