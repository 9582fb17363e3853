//! Text in a page. Nothing from outside reaches the page by another way.

use crate::visible::visible;

/// Text between tags or in an attribute: no markup, nothing hidden.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// What is copied and compared, letter by letter.
pub(super) fn code(value: &str) -> String {
    format!("<code>{}</code>", text(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        assert_eq!(
            text("<a href=\"x\" id='y'>&amp;"),
            "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;"
        );
        assert_eq!(code("\u{202e}<"), "<code>[U+202E]&lt;</code>");
    }
}
