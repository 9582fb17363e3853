//! Text from outside, made visible: control characters, and those that turn the direction of writing
//! or are not seen at all, stand there by their number.

/// Whether a reader would be misled by it.
fn is_hidden(c: char) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_mislead_is_seen() {
        assert_eq!(visible("abc \u{202e}gnp.exe"), "abc [U+202E]gnp.exe");
        assert_eq!(visible("a\u{1b}[2J\n\u{200b}"), "a[U+001B][2J[U+000A][U+200B]");
        assert_eq!(visible("Ünïcode 日本語 ✓"), "Ünïcode 日本語 ✓");
        assert_eq!(visible("\u{e0041}"), "[U+E0041]");
    }
}
