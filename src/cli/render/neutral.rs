//! Text from outside, made harmless for a terminal: nothing in it is obeyed, hidden or shown in another order.
use std::{borrow::Cow, fmt::Write};

/// Control characters, and characters that change the order of others or are not seen at all.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            // Line and paragraph separator; embeddings and overrides.
            | '\u{2028}'..='\u{202e}'
            // Invisible operators; isolates.
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The text with each such character written out as its escape: `\n`, `\u{1b}`, `\u{202e}`.
pub fn neutral(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_unsafe(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// JSON text with each such character as JSON's own escape. The printer's line feeds stay; strings have none.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    let escaped = |c: char| c != '\n' && is_unsafe(c);
    if !text.contains(escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if escaped(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _infallible = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        let evil = "a\u{1b}[2J\u{9b}31m\u{202e}txt\u{2066}\u{200b}\u{7}\nb\tc\u{e0041}\u{7f}";
        let safe = neutral(evil);
        assert_eq!(safe, "a\\u{1b}[2J\\u{9b}31m\\u{202e}txt\\u{2066}\\u{200b}\\u{7}\\nb\\tc\\u{e0041}\\u{7f}");
        assert!(!safe.contains(is_unsafe));
        assert!(matches!(neutral("Größe 東京 – ok"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_keeps_its_value() {
        let value = json!({"na\u{202e}me": "a\u{1b}[2J\u{9b}\u{e0041}\u{7f}\n", "n": [1, "東京"]});
        let text = format!("{value:#}");
        let safe = super::json(&text);
        assert!(!safe.contains(|c| c != '\n' && is_unsafe(c)));
        assert_eq!(serde_json::from_str::<Value>(&safe).unwrap(), value);
    }
}
