//! JSON with texts that are none: half a surrogate pair, bytes that are no UTF-8, bare control characters.
//!
//! Bitbucket cuts descriptions and commit messages at a number of bytes or UTF-16 units, and hands on what people
//! pushed. One such text must not cost the page that it stands in. Owns the repair; knows nobody's shapes.

use std::borrow::Cow;

use serde_json::Value;

/// What stands for a character that is none.
const REPLACEMENT: &str = "\u{fffd}";

/// Reads `bytes` as JSON, with U+FFFD where a string holds what is no character.
///
/// A byte-order mark at the beginning is skipped, and control characters in strings count as if they were escaped.
/// Anything wrong outside strings is an error, as it is for [`serde_json::from_slice`]; what that accepts is returned
/// as it does.
pub fn from_slice(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(bytes).or_else(|error| {
        let text = String::from_utf8_lossy(bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let repaired = repaired(text);
        // The first error is about the text as it came.
        serde_json::from_str(&repaired).map_err(|_| error)
    })
}

/// `text` with every string made one that `serde_json` reads.
fn repaired(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_string = false;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let mut taken = next.len_utf8();
        let shown = match next {
            '"' => {
                in_string = !in_string;
                None
            }
            '\\' if in_string => {
                let (escape, length) = escape(rest);
                taken = length;
                escape
            }
            control if in_string && control < ' ' => {
                Some(Cow::Owned(format!("\\u{:04x}", u32::from(control))))
            }
            _ => None,
        };
        let (raw, after) = rest.split_at_checked(taken).unwrap_or((rest, ""));
        out.push_str(shown.as_deref().unwrap_or(raw));
        rest = after;
    }
    out
}

/// What the escape at the beginning of `text` is replaced by, if by anything, and how many bytes it takes.
fn escape(text: &str) -> (Option<Cow<'static, str>>, usize) {
    let replaced = Some(Cow::Borrowed(REPLACEMENT));
    match text.as_bytes().get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => (None, 2),
        Some(b'u') => match unit(text) {
            Some(0xd800..0xdc00) => match text.get(6..).and_then(unit) {
                Some(0xdc00..0xe000) => (None, 12),
                _ => (replaced, 6),
            },
            Some(0xdc00..0xe000) => (replaced, 6),
            Some(_) => (None, 6),
            None => (replaced, 2),
        },
        // No escape of JSON: the backslash is what is too much.
        _ => (replaced, 1),
    }
}

/// The UTF-16 unit that `text` begins with, escaped.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex
        .then(|| u16::from_str_radix(digits, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_that_is_none_costs_a_character_and_not_the_page() {
        for (raw, expected) in [
            (&br#""a\ud83d""#[..], "a\u{fffd}"),
            (br#""\udc00b""#, "\u{fffd}b"),
            (br#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (br#""\ud83d\n""#, "\u{fffd}\n"),
            (br#""\ud83dx\ude00""#, "\u{fffd}x\u{fffd}"),
            (br#""\\ud83d\ud83d""#, "\\ud83d\u{fffd}"),
            (b"\"a\xffb\"", "a\u{fffd}b"),
            (b"\"\xf0\x9f\x98\"", "\u{fffd}"),
            (b"\"a\nb\tc\x00\"", "a\nb\tc\0"),
            (br#""\x41\u12\ud83d""#, "\u{fffd}x41\u{fffd}12\u{fffd}"),
            (b"\xef\xbb\xbf\"a\"", "a"),
        ] {
            let read = from_slice(raw).unwrap();
            assert_eq!(read, json!(expected), "{}", String::from_utf8_lossy(raw));
        }
    }

    #[test]
    fn what_is_no_json_stays_an_error() {
        for raw in [
            &b""[..],
            b"<html>\xff</html>",
            b"{\"values\": [1, 2",
            b"{\"a\": \"b\\ud83d",
            b"\"a\" \"b\"",
            b"\"a\\",
            b"{a: 1}",
            b"\xef\xbb\xbf",
        ] {
            assert!(from_slice(raw).is_err(), "{}", String::from_utf8_lossy(raw));
        }
    }

    /// The bytes of a string between its quotes: pieces of all that may stand there, and of what may not.
    fn content() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            "[a-zäß😀 ]{0,4}".prop_map(String::into_bytes),
            "\\\\u[0-9a-fA-F]{4}".prop_map(String::into_bytes),
            "\\\\ud[89ab][0-9a-f]{2}\\\\ud[c-f][0-9a-f]{2}".prop_map(String::into_bytes),
            "\\\\[nrtbf/\\\\x0u]".prop_map(String::into_bytes),
            prop::collection::vec(
                any::<u8>().prop_filter("ends the string", |byte| !b"\"\\".contains(byte)),
                0..4
            ),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_content_of_a_string_costs_what_is_beside_it(content in content()) {
            let raw = [br#"{"before": "\u00e4", "text": ""#, &content[..], br#"", "after": [1, "\\"]}"#].concat();
            let read = from_slice(&raw).unwrap();
            prop_assert!(read["text"].is_string());
            prop_assert_eq!(&read["before"], &json!("ä"));
            prop_assert_eq!(&read["after"], &json!([1, "\\"]));
        }

        #[test]
        fn nothing_else_changes_what_is_read(raw in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(read) = serde_json::from_slice::<Value>(&raw) {
                prop_assert_eq!(from_slice(&raw).unwrap(), read);
            } else {
                // No panic, and no success where what is outside of strings is broken.
                drop(from_slice(&raw));
            }
        }

        #[test]
        fn what_is_sound_is_left_as_it_is(text in ".{0,20}", escaped in any::<bool>()) {
            let mut sound = json!({ "text": text, "list": [null, 1.5, true] }).to_string();
            if escaped {
                sound = sound.replace('ä', "\\u00e4");
            }
            prop_assert_eq!(repaired(&sound), sound);
        }
    }
}
