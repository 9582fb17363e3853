//! The two formats in which metrics are told, and which of them is asked for: OpenMetrics 1.0.0, and
//! the older text format of Prometheus, 0.0.4, which also people and small tools read.

use std::fmt::Write;

/// A format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Text,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
}

impl Format {
    /// The content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What an `Accept` header asks for (RFC 9110, section 12.5.1): OpenMetrics where it is preferred,
    /// or named and not less wanted, and else text. Whoever can read neither gets text as well.
    pub fn from_accept(accept: &str) -> Self {
        let (mut text, mut open) = (Wish::default(), Wish::default());
        for range in accept.split(',').filter_map(Range::read) {
            text.hear(&range, ["text", "plain"], "0.0.4");
            open.hear(&range, ["application", "openmetrics-text"], "1.0.0");
        }
        let named = open.exactness == Some(Exactness::Named);
        if open.weight > text.weight || named && open.weight > 0 && open.weight == text.weight {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }
}

/// How much a format is wanted, by the most exact range that it is in.
#[derive(Default)]
struct Wish {
    exactness: Option<Exactness>,
    weight: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Exactness {
    /// `*/*`
    Anything,
    /// `text/*`
    Kind,
    /// `text/plain`
    Named,
}

/// A range of media types.
struct Range {
    kind: String,
    subtype: String,
    version: Option<String>,
    /// In thousandths.
    weight: u16,
}

impl Range {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
        let name = parts.next()?;
        let (kind, subtype) = name.split_once('/')?;
        let mut range =
            Self { kind: kind.to_owned(), subtype: subtype.to_owned(), version: None, weight: 1000 };
        for part in parts {
            match part.split_once('=') {
                Some(("q", weight)) => range.weight = thousandths(weight)?,
                Some(("version", version)) => range.version = Some(version.trim_matches('"').to_owned()),
                _ => {}
            }
        }
        Some(range)
    }
}

impl Wish {
    fn hear(&mut self, range: &Range, [kind, subtype]: [&str; 2], version: &str) {
        let exactness = match (range.kind.as_str(), range.subtype.as_str()) {
            ("*", "*") => Exactness::Anything,
            (of, "*") if of == kind => Exactness::Kind,
            (of, name) if of == kind && name == subtype => Exactness::Named,
            _ => return,
        };
        if range.version.as_deref().is_some_and(|asked| asked != version) {
            return;
        }
        if self.exactness < Some(exactness) {
            self.weight = range.weight;
        } else if self.exactness == Some(exactness) {
            self.weight = self.weight.max(range.weight);
        } else {
            return;
        }
        self.exactness = Some(exactness);
    }
}

/// A weight from 0 to 1 with at most three digits after the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.len() > 3 || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{rest:0<3}").parse().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

/// The text format of what is in OpenMetrics: a counter is named as its samples are, there are no
/// units, no `info` and no end.
pub(super) fn text_of(open: &str) -> String {
    let mut text = String::with_capacity(open.len());
    let mut help = "";
    for line in open.lines() {
        if let Some(told) = line.strip_prefix("# HELP ") {
            help = told.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|told| told.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            // Writing to a text does not fail.
            let _ = writeln!(text, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_prefer_it_and_text_for_all_others() {
        // As Prometheus 2.53 and 3.5 ask.
        let prometheus_2 = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for open in [
            prometheus_2,
            prometheus_3,
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; Version=\"1.0.0\" ; Q=0.1",
            "text/plain, application/openmetrics-text",
            "text/plain;q=0.5, application/*",
            "application/openmetrics-text;q=0.001, text/plain;q=0, */*",
        ] {
            assert_eq!(Format::from_accept(open), Format::OpenMetrics, "{open}");
        }
        for text in [
            "",
            "*/*",
            "text/*",
            "text/plain",
            "text/plain;version=0.0.4, application/openmetrics-text;q=0.9",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;version=2.0.0,text/plain;q=0.1",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=2",
            "application/openmetrics-text;q=0.1, */*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/json",
            ",;/=,\u{e9}",
        ] {
            assert_eq!(Format::from_accept(text), Format::Text, "{text}");
        }
    }

    #[test]
    fn text_names_counters_as_their_samples_and_has_nothing_that_only_openmetrics_has() {
        let open = "# HELP a_bytes Of a.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\na_bytes_total{x=\"#\"} 1\n# HELP b What.\n# TYPE b info\nb_info{v=\"1\"} 1\n# HELP c Now.\n# TYPE c gauge\nc 2\n# EOF\n";
        let text = "# HELP a_bytes_total Of a.\n# TYPE a_bytes_total counter\na_bytes_total{x=\"#\"} 1\n# HELP b_info What.\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n# HELP c Now.\n# TYPE c gauge\nc 2\n";
        assert_eq!(text_of(open), text);
    }
}
