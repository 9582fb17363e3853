//! Log lines for the console: one line and one write for each event. A production enclave has no
//! console; the lines are for a debug enclave, the virtual machine and the local stack.
//!
//! A line holds what our own code says about itself. Spans are not kept, and libraries are heard from
//! warnings on, so that no request, header or credential of theirs ends up here.

use std::{
    fmt::{self, Debug, Write as _},
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use protocol::timestamp::Timestamp;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::set_global_default,
};

/// The longest line in bytes, without its end. Longer ones are cut.
const MAX_LINE: usize = 2048;
/// What events of our own code name as their origin.
const OURS: &str = "enclave_app";

/// Writes the program's log lines to standard output from now on. A second call changes nothing.
pub fn start() {
    let _ = set_global_default(Console { out: io::stdout });
}

/// Formats events and writes them to what `out` opens.
struct Console<F> {
    out: F,
}

impl<F, W> Subscriber for Console<F>
where
    F: Fn() -> W + Send + Sync + 'static,
    W: io::Write,
{
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().split("::").next() == Some(OURS);
        metadata.is_event() && *metadata.level() <= if ours { Level::INFO } else { Level::WARN }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = line(SystemTime::now(), event);
        line.push('\n');
        // Nobody can be told of a console that takes no lines.
        let _ = (self.out)().write_all(line.as_bytes());
    }

    // Spans are never enabled: these are not called.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Moment, level, origin, message and `name=value` of the other fields.
fn line(now: SystemTime, event: &Event<'_>) -> String {
    let (mut message, mut fields) = (Bounded::default(), Bounded::default());
    event.record(&mut Fields { message: &mut message, fields: &mut fields });
    let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let moment = Timestamp::from_seconds(now.as_secs()).unwrap_or(Timestamp::MAX).to_string();
    let (moment, micros) = (moment.trim_end_matches('Z'), now.subsec_micros());
    let (level, target) = (event.metadata().level(), event.metadata().target());
    let mut line = Bounded::default();
    let (message, fields) = (message.0, fields.0);
    let _ = write!(line, "{moment}.{micros:06}Z {level:>5} {target}: {message}{fields}");
    line.0
}

/// Text of one line: control characters are escaped, and what is too long is dropped.
#[derive(Default)]
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let escaped = character.is_control().then(|| character.escape_default().to_string());
            let length = escaped.as_ref().map_or(character.len_utf8(), String::len);
            if self.0.len().saturating_add(length) > MAX_LINE {
                return Err(fmt::Error);
            }
            match escaped {
                Some(escaped) => self.0.push_str(&escaped),
                None => self.0.push(character),
            }
        }
        Ok(())
    }
}

struct Fields<'a> {
    message: &'a mut Bounded,
    fields: &'a mut Bounded,
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;

    use super::*;

    /// Keeps each write apart.
    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<String>>>);

    impl io::Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines_of(say: impl FnOnce()) -> Vec<String> {
        let writes = Writes::default();
        let out = writes.clone();
        with_default(Console { out: move || out.clone() }, say);
        let writes = writes.0.lock().unwrap();
        writes.clone()
    }

    /// What follows the moment, which has one length.
    fn said(line: &str) -> &str {
        line.split_at("2026-01-31T00:00:00.000000Z ".len()).1
    }

    #[test]
    fn an_event_is_one_write_with_moment_level_origin_message_and_fields() {
        let lines = lines_of(|| {
            tracing::info!(deployment = %"d1", activation = ?Some(1), name = "n", count = 3, "serving on {}", 5);
            tracing::error!("cannot serve");
        });
        assert_eq!(lines.len(), 2);
        let rest = " INFO enclave_app::console::tests: serving on 5 deployment=d1 activation=Some(1) name=\"n\" count=3\n";
        assert_eq!(said(&lines[0]), rest);
        assert_eq!(said(&lines[1]), "ERROR enclave_app::console::tests: cannot serve\n");
        let (seconds, rest) = lines[0].split_at("2026-01-31T00:00:00".len());
        assert!(format!("{seconds}Z").parse::<Timestamp>().is_ok(), "{seconds}");
        assert!(rest.starts_with('.') && rest.split_at(7).1.starts_with("Z  INFO"), "{rest}");
    }

    #[test]
    fn a_text_from_outside_makes_no_second_line_and_no_colours() {
        let lines = lines_of(|| tracing::warn!(error = %"a\n2026 ERROR \u{1b}[31mb\r", "KMS"));
        assert_eq!(
            said(&lines[0]),
            " WARN enclave_app::console::tests: KMS error=a\\n2026 ERROR \\u{1b}[31mb\\r\n"
        );
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let lines = lines_of(|| tracing::warn!(error = %"€".repeat(MAX_LINE), "KMS"));
        assert_eq!(lines.len(), 1);
        assert!((MAX_LINE - 3..=MAX_LINE + 1).contains(&lines[0].len()), "{}", lines[0].len());
        assert!(lines[0].ends_with("€\n"));
    }

    #[test]
    fn libraries_are_heard_from_warnings_on_and_spans_are_not_kept() {
        let lines = lines_of(|| {
            let _span = tracing::error_span!("request", secret = "s").entered();
            tracing::info!(target: "hyper", "header");
            tracing::info!(target: "enclave_apps", "header");
            tracing::debug!("detail");
            tracing::warn!(target: "hyper", "slow");
        });
        assert_eq!(lines.iter().map(|line| said(line)).collect::<Vec<_>>(), [" WARN hyper: slow\n"]);
    }
}
