//! Text from outside, made visible: control characters, and those that turn the direction of writing
//! or are not seen at all, stand there by their number.

/// Whether a reader would be misled by it.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Unicode 16, bidirectional formatting (UAX #9), zero width, separators, tags, fillers.
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text with every hidden character as `[U+202E]`.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            out.push_str(&format!("[U+{:04X}]", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// JSON in which every hidden character is written as `\u202e`: the same JSON, and nothing on a terminal.
pub(crate) fn visible_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut units = [0u16; 2];
    for c in json.chars() {
        // Line ends stand between values; within strings they are escaped already.
        if is_hidden(c) && !c.is_ascii_whitespace() {
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"a\u{202e}b": ["\u{e0041}", "\u{1b}[2J", "é\n"]});
        let shown = visible_json(&format!("{value}\n"));
        assert!(!shown.trim_end().chars().any(is_hidden), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn what_would_mislead_is_seen() {
        assert_eq!(visible("abc \u{202e}gnp.exe"), "abc [U+202E]gnp.exe");
        assert_eq!(visible("a\u{1b}[2J\n\u{200b}"), "a[U+001B][2J[U+000A][U+200B]");
        assert_eq!(visible("Ünïcode 日本語 ✓"), "Ünïcode 日本語 ✓");
        assert_eq!(visible("\u{e0041}"), "[U+E0041]");
    }
}
