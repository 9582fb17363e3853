//! The demo's audit: the log is taken away, as an auditor would take it, verified offline by
//! `cofferdam log verify`, and then changed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{
    authority::AUDITOR,
    demo::expect,
    folder::{DEPLOYMENT, Folder},
    programs::{own, without_settings},
    stack::Stack,
    story::Story,
};
use crate::error::Error;

/// The most bytes of a checkpoint's answer.
const MAX_CHECKPOINT: u64 = 4096;
/// A denial that the demo caused, and what a thief would rather have there.
const DENIAL: (&str, &str) = (r#""tag":"policy.evm.destination""#, r#""tag":"policy.evm.network""#);

/// What `cofferdam log verify` says.
struct Verdict {
    verified: bool,
    lines: Vec<Value>,
}

/// Verifies the log, changes a line, removes one, and sees both named. Answers where the copy is.
pub(super) async fn show(stack: &Stack, story: &mut Story<'_>) -> Result<PathBuf, Error> {
    stack.client(AUDITOR)?.bytes(&["log", "checkpoint"], &[], MAX_CHECKPOINT).await?;
    story.holds("the enclave signs where its log stands")?;
    let folder = stack.folder();
    let taken = folder.at("audit");
    copy(&folder.log(), &taken)?;
    let verdict = verify(folder, &taken)?;
    expect(verdict.verified, "a log that verifies")?;
    let number = |name: &str| verdict.lines.last().and_then(|line| line.get(name)).and_then(Value::as_u64);
    let (entries, boots) = (number("entries").unwrap_or_default(), number("boots").unwrap_or_default());
    expect(boots >= 2, "the log of both boots")?;
    story.holds(&format!("its {entries} entries of {boots} boots verify offline, up to the root"))?;

    let (segment, text, line) = denial(&taken)?;
    let seq = entry(&line)?;
    write(&segment, &text.replacen(&line, &line.replacen(DENIAL.0, DENIAL.1, 1), 1))?;
    named(&verify(folder, &taken)?, "changed", seq)?;
    story.holds(&format!("one word of entry {seq}, a denial, is changed: log verify names the entry"))?;
    write(&segment, &text.replacen(&format!("{line}\n"), "", 1))?;
    named(&verify(folder, &taken)?, "missing", seq)?;
    story.holds("the entry is removed: log verify names what is missing")?;
    write(&segment, &text)?;
    expect(verify(folder, &taken)?.verified, "a log that verifies again")?;
    Ok(taken)
}

/// That an enclave of another image, which ran meanwhile, is named.
pub(super) fn names_another_image(folder: &Folder) -> Result<(), Error> {
    let taken = folder.at("audit-again");
    copy(&folder.log(), &taken)?;
    let verdict = verify(folder, &taken)?;
    let is_named = |line: &Value| line.pointer("/error/check").and_then(Value::as_str) == Some("pcr");
    let found = !verdict.verified && verdict.lines.iter().any(is_named);
    expect(found, "a log whose boot of another image is named (pcr)")
}

/// Runs `cofferdam log verify` for the pinned image.
fn verify(folder: &Folder, log: &Path) -> Result<Verdict, Error> {
    let failed = |text: String| Error::Failed(format!("log verify was expected to work: {text}"));
    let mut command = Command::new(own()?);
    without_settings(&mut command);
    command.args(["--json", "log", "verify", "--deployment", DEPLOYMENT]).arg(log);
    command.arg("--image").arg(folder.image()).arg("--root").arg(folder.nsm_root());
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    match output.status.code() {
        Some(0) => Ok(Verdict { verified: true, lines }),
        Some(1) => Ok(Verdict { verified: false, lines }),
        _ => Err(failed(format!("{text}{}", String::from_utf8_lossy(&output.stderr)))),
    }
}

/// That the log does not verify, for this entry and this reason.
fn named(verdict: &Verdict, check: &str, seq: u64) -> Result<(), Error> {
    let is_named = |line: &Value| {
        let error = line.get("error");
        let field = |name: &str| error.and_then(|error| error.get(name));
        field("check").and_then(Value::as_str) == Some(check) && field("seq") == Some(&seq.into())
    };
    let found = !verdict.verified && verdict.lines.iter().any(is_named);
    expect(found, &format!("a log whose entry {seq} is named ({check})"))
}

/// A denial with an entry right behind it, its segment, and the segment's text.
fn denial(log: &Path) -> Result<(PathBuf, String, String), Error> {
    for boot in list(log)? {
        for segment in list(&boot)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
        {
            let text = fs::read_to_string(&segment).map_err(|error| unreadable(&segment, &error))?;
            let lines: Vec<&str> = text.lines().collect();
            let followed = lines.windows(2).find_map(|pair| match pair {
                [line, next] if line.contains(DENIAL.0) && entry(next).is_ok() => Some((*line).to_owned()),
                _ => None,
            });
            if let Some(line) = followed {
                return Ok((segment, text, line));
            }
        }
    }
    Err(Error::Failed("a denial on the log was expected".to_owned()))
}

/// The number of an entry's line.
fn entry(line: &str) -> Result<u64, Error> {
    let seq = serde_json::from_str::<Value>(line).ok().and_then(|entry| entry.get("seq")?.as_u64());
    seq.ok_or_else(|| Error::Failed("a line of an entry was expected".to_owned()))
}

/// The boots of a log. What else the parent keeps beside them is no part of it.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    for boot in list(from)?.into_iter().filter(|path| path.is_dir()) {
        let target = to.join(boot.file_name().unwrap_or_default());
        fs::create_dir_all(&target).map_err(|error| unreadable(&target, &error))?;
        for file in list(&boot)? {
            let copy = target.join(file.file_name().unwrap_or_default());
            fs::copy(&file, &copy).map_err(|error| unreadable(&file, &error))?;
        }
    }
    Ok(())
}

/// What is in a folder, by name, without names that begin with a dot.
fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let items = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let paths: io::Result<Vec<PathBuf>> = items.map(|item| item.map(|item| item.path())).collect();
    let mut paths = paths.map_err(|error| unreadable(folder, &error))?;
    let hidden =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    paths.retain(|path| !hidden(path));
    paths.sort();
    Ok(paths)
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    fs::write(file, text).map_err(|error| unreadable(file, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::Failed(format!("{} was expected to be readable and writable: {error}", path.display()))
}
