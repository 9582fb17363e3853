//! Verifies one boot's files, line by line: its document, its segments in order, its checkpoints,
//! and the entries that later boots or a witness name.

use std::collections::BTreeMap;

use protocol::log::{BootFacts, Decision, Entry, Head};
use verifier::log::{BootIdentity, LogFault, LogLine, Verifier};

use super::{
    folder::{BootFolder, Segment},
    judge::Judge,
    lines::Next,
    report::{BootFault, BootReport},
};
use crate::error::Error;
use verifier::Refused;

/// More different names than this are counted together: entries that are not signed could have
/// as many as someone liked.
const MAX_NAMES: usize = 64;

/// An entry that someone outside this boot names.
#[derive(Debug, Clone)]
pub(super) struct Pin {
    pub(super) head: Head,
    /// Who names it, in words.
    pub(super) by: String,
}

/// Why a boot was not read to its end.
enum Stop {
    Fault(BootFault),
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Takes every line that follows those before it.
pub(super) type Sink<'s> = &'s mut dyn FnMut(&LogLine) -> Result<(), Error>;

/// Verifies a boot. What is wrong with the log is in the inner result; the outer one is for files
/// that cannot be read. `sink` sees every line before it is known whether the whole
/// holds.
pub(super) fn verify(
    folder: &BootFolder,
    judge: &Judge,
    pins: &[Pin],
    sink: Sink<'_>,
) -> Result<Result<BootReport, BootFault>, Error> {
    let identity = match folder.document() {
        Ok(document) => judge.identity(folder.boot, &document),
        Err(Error::Refused(refused)) => Err(refused),
        Err(error) => return Err(error),
    };
    let identity = match identity {
        Ok(identity) => identity,
        Err(refused) => return Ok(Err(BootFault { boot: folder.boot, seq: None, refused })),
    };
    let mut reading = Reading::new(identity, judge, pins, sink);
    match reading.read(folder) {
        Ok(()) => Ok(Ok(reading.report)),
        Err(Stop::Fault(fault)) => Ok(Err(fault)),
        Err(Stop::Error(error)) => Err(error),
    }
}

struct Reading<'p> {
    verifier: Verifier,
    /// By number, those that were not reached yet.
    pins: Vec<&'p Pin>,
    report: BootReport,
    sink: Sink<'p>,
}

impl<'p> Reading<'p> {
    fn new(identity: BootIdentity, judge: &Judge, pins: &'p [Pin], sink: Sink<'p>) -> Self {
        let mut pins: Vec<&Pin> = pins.iter().collect();
        pins.sort_by_key(|pin| std::cmp::Reverse(pin.head.seq));
        let report = BootReport::new(&identity);
        Self { verifier: Verifier::new(identity, judge.deployment().clone()), pins, report, sink }
    }

    fn read(&mut self, folder: &BootFolder) -> Result<(), Stop> {
        let mut segments = folder.segments.iter().peekable();
        while let Some(segment) = segments.next() {
            self.segment(segment, segments.peek().is_none()).map_err(|stop| match stop {
                // The line that is missing may come later: then it is out of place.
                Stop::Fault(fault) if fault.refused.check == "missing" => {
                    self.look_on(fault, segment, &mut segments)
                }
                stop => stop,
            })?;
        }
        if let Some(pin) = self.pins.last() {
            let (seq, next) = (pin.head.seq, self.next());
            let text = format!("entry {next} is missing: {} names entry {seq}", pin.by);
            return Err(self.fault("missing", next, text));
        }
        self.report.end(&self.verifier);
        Ok(())
    }

    fn segment(&mut self, segment: &Segment, last: bool) -> Result<(), Stop> {
        let next = self.next();
        if segment.first > next {
            let text =
                format!("entry {next} is missing: the next segment is {}, from its entry on", segment.name());
            return Err(self.fault("missing", next, text));
        }
        if segment.first < next {
            let text =
                format!("the segment {} was expected to begin after entry {}", segment.name(), next - 1);
            return Err(self.fault("layout", segment.first, text));
        }
        let mut lines = segment.open()?;
        let mut empty = true;
        loop {
            match lines.next().map_err(|error| segment.unreadable(&error))? {
                Next::Line(line) => {
                    let line = self.verifier.push(line).map_err(|fault| self.of(&fault))?;
                    (self.sink)(&line)?;
                    match line {
                        LogLine::Entry(entry) => self.entry(&entry)?,
                        LogLine::Checkpoint(_) if empty => {
                            let text =
                                format!("the segment {} was expected to begin with an entry", segment.name());
                            return Err(self.fault("layout", next, text));
                        }
                        LogLine::Checkpoint(_) => self.report.checkpoints += 1,
                    }
                    empty = false;
                }
                // A crash of the parent leaves such a line, at the very end only.
                Next::Unfinished(bytes) if last => {
                    self.report.unfinished = bytes;
                    return Ok(());
                }
                Next::End if last || !empty => return Ok(()),
                Next::Unfinished(_) | Next::End => {
                    let next = self.next();
                    let text = format!("entry {next}: the segment {} ends within a line", segment.name());
                    return Err(self.fault("malformed", next, text));
                }
            }
        }
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Stop> {
        while let Some(pin) = self.pins.pop_if(|pin| pin.head.seq <= entry.seq) {
            let head = self.verifier.head();
            if head != Some(pin.head) {
                let seq = pin.head.seq;
                let text = format!("entry {seq} was changed, or {} names another: the hashes differ", pin.by);
                return Err(self.fault("changed", seq, text));
            }
        }
        let report = &mut self.report;
        report.entries += 1;
        report.from = report.from.or(Some(entry.time));
        report.to = Some(entry.time);
        if entry.seq == 1 {
            report.previous = BootFacts::of(entry).and_then(|facts| facts.previous);
        }
        count(&mut report.operations, entry.event.operation.as_str());
        if entry.event.outcome.decision() == Decision::Deny {
            count(&mut report.denied, entry.event.outcome.tag().as_str());
        }
        Ok(())
    }

    /// Reads on after a missing entry, to tell whether it is missing or out of place.
    fn look_on<'s>(
        &mut self,
        first: BootFault,
        segment: &'s Segment,
        rest: &mut impl Iterator<Item = &'s Segment>,
    ) -> Stop {
        let missing = first.seq.unwrap_or_default();
        let of_missing = |line: &[u8]| Entry::parse(line).ok().filter(|entry| entry.seq == missing);
        for segment in std::iter::once(segment).chain(rest) {
            let Ok(mut lines) = segment.open() else { break };
            while let Ok(Next::Line(line)) = lines.next() {
                if of_missing(line).is_some_and(|entry| entry.boot == first.boot) {
                    let text =
                        format!("entry {missing} is not in its place: it comes later, in {}", segment.name());
                    return self.fault("reordered", missing, text);
                }
            }
        }
        Stop::Fault(first)
    }

    fn next(&self) -> u64 {
        self.verifier.head().map_or(1, |head| head.seq.saturating_add(1))
    }

    fn of(&self, fault: &LogFault) -> Stop {
        self.fault(fault.check(), fault.seq(), fault.to_string())
    }

    fn fault(&self, check: &'static str, seq: u64, text: String) -> Stop {
        let boot = self.verifier.identity().boot;
        let refused = Refused::new(check, format!("boot {boot}: {text}"));
        Stop::Fault(BootFault { boot, seq: Some(seq), refused })
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    let name = if counts.len() < MAX_NAMES || counts.contains_key(name) { name } else { "others" };
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(name.to_owned(), 1)),
    }
}
