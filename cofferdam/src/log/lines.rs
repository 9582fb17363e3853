//! Lines of a file of any size, one at a time, in bounded memory.

use std::io::{self, BufRead, BufReader, Read};

use protocol::log::MAX_LINE;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A line without its newline. One that is longer than [`MAX_LINE`] is cut: no reader takes it.
    Line(&'a [u8]),
    /// The end of the file, within a line: bytes that a crash left.
    Unfinished(usize),
    /// The end.
    End,
}

/// Reads lines.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    /// From the beginning of `reader`.
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(1 << 16, reader), line: Vec::new() }
    }

    /// The next line.
    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        self.line.clear();
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX) + 1;
        self.reader.by_ref().take(limit).read_until(b'\n', &mut self.line)?;
        Ok(match self.line.as_slice() {
            [] => Next::End,
            [line @ .., b'\n'] => Next::Line(line),
            cut if cut.len() > MAX_LINE => Next::Line(cut),
            rest => Next::Unfinished(rest.len()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_a_newline_and_what_does_not_is_unfinished() {
        let mut lines = Lines::new(&b"one\n\ntwo"[..]);
        assert_eq!(lines.next().unwrap(), Next::Line(b"one"));
        assert_eq!(lines.next().unwrap(), Next::Line(b""));
        assert_eq!(lines.next().unwrap(), Next::Unfinished(3));
        assert_eq!(lines.next().unwrap(), Next::End);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut lines = Lines::new(io::repeat(b'x'));
        assert!(matches!(lines.next().unwrap(), Next::Line(line) if line.len() == MAX_LINE + 1));
    }
}
