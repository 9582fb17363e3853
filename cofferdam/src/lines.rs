//! JSON Lines: one object a line, from a file or standard input, each line bounded.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    str::FromStr,
};

use serde::de::DeserializeOwned;

use crate::{error::Error, input::STDIN};

/// The lines of a file that are not blank.
pub(crate) struct Lines {
    file: String,
    reader: BufReader<Box<dyn Read>>,
    limit: usize,
    number: u64,
}

/// One line, and where it stands.
pub(crate) struct Line {
    at: String,
    bytes: Vec<u8>,
}

impl Lines {
    /// Opens a file, or standard input for `-`, whose lines are shorter than `limit` bytes.
    pub(crate) fn open(file: &Path, limit: usize) -> Result<Self, Error> {
        let reader: Box<dyn Read> = if file.as_os_str() == STDIN {
            Box::new(io::stdin())
        } else {
            let unreadable =
                |error| Error::input(file.display(), format_args!("a readable file was expected: {error}"));
            Box::new(File::open(file).map_err(unreadable)?)
        };
        Ok(Self { file: file.display().to_string(), reader: BufReader::new(reader), limit, number: 0 })
    }

    /// The next line; no bytes at the end.
    fn read(&mut self) -> Result<Line, Error> {
        self.number = self.number.saturating_add(1);
        let mut line = Line { at: format!("{}, line {}", self.file, self.number), bytes: Vec::new() };
        let limit = u64::try_from(self.limit).unwrap_or(u64::MAX);
        let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut line.bytes);
        read.map_err(|error| line.bad(format_args!("a readable file was expected: {error}")))?;
        if line.bytes.len() >= self.limit && !line.bytes.ends_with(b"\n") {
            return Err(line.bad(format_args!("a line of less than {} bytes was expected", self.limit)));
        }
        Ok(line)
    }
}

impl Iterator for Lines {
    type Item = Result<Line, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read() {
                Ok(line) if line.bytes.is_empty() => return None,
                Ok(line) if line.bytes.trim_ascii().is_empty() => {}
                line => return Some(line),
            }
        }
    }
}

impl Line {
    /// The object of the line, which is `what`.
    pub(crate) fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T, Error> {
        serde_json::from_slice(&self.bytes)
            .map_err(|error| self.bad(format_args!("{what} was expected: {error}")))
    }

    /// The value that the line is without the white space around it, which is `what`.
    pub(crate) fn text<T: FromStr>(&self, what: &str) -> Result<T, Error> {
        let text = std::str::from_utf8(self.bytes.trim_ascii()).ok();
        text.and_then(|text| text.parse().ok()).ok_or_else(|| self.bad(format_args!("{what} was expected")))
    }

    /// An error that names the line.
    pub(crate) fn bad(&self, expected: impl fmt::Display) -> Error {
        Error::input(&self.at, expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str, limit: usize) -> Result<Vec<u8>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lines");
        std::fs::write(&file, text).unwrap();
        let lines = Lines::open(&file, limit).unwrap();
        lines.map(|line| line.and_then(|line| line.json("a number"))).collect::<Result<_, _>>().map_err(
            |error| error.to_string().split_once("lines, ").map(|(_, rest)| rest.to_owned()).unwrap(),
        )
    }

    #[test]
    fn blank_lines_are_passed_over_and_bad_ones_are_named() {
        assert_eq!(numbers("", 9), Ok(vec![]));
        assert_eq!(numbers("1\n\n \r\n2", 9), Ok(vec![1, 2]));
        assert!(numbers("1\n\nx\n", 9).unwrap_err().starts_with("line 3: a number was expected"));
    }

    #[test]
    fn a_line_ends_before_the_limit() {
        assert_eq!(numbers("123\n4", 4), Ok(vec![123, 4]));
        let bad = "line 2: a line of less than 4 bytes was expected";
        assert_eq!(numbers("1\n00001", 4), Err(bad.to_owned()));
        assert_eq!(numbers("1\n0001", 4), Err(bad.to_owned()));
    }
}
