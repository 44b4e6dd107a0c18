//! Texts from outside as Markdown in which nothing of them is a sign. Knows no report.

use super::plan::Subject;

/// Lines of a list.
const LINES: usize = 30;

/// Whose workspace, and which installation.
pub(super) fn heading(subject: &Subject) -> String {
    format!(
        "### Ferry: workspace {} into Port ({})",
        code(&subject.workspace),
        code(&subject.identifier)
    )
}

pub(super) fn list(heading: &str, all: &[String]) -> Vec<String> {
    if all.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("**{heading}**"), String::new()];
    lines.extend(
        all.iter()
            .take(LINES)
            .map(|line| format!("- {}", plain(line))),
    );
    if LINES < all.len() {
        lines.push(format!("- and {} more", all.len() - LINES));
    }
    lines.push(String::new());
    lines
}

/// Text in which nothing is a sign to Markdown, on one line.
pub(super) fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '\r' | '\n' | '\t' => safe.push(' '),
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            // A sign `@` calls people, `#` leads to issues: not to be followed by what they would name.
            '@' | '#' => {
                safe.push(sign);
                safe.push('\u{200b}');
            }
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => {
                safe.push('\\');
                safe.push(sign);
            }
            sign => safe.push(sign),
        }
    }
    safe
}

/// Text as code. A table ends at `|` even there, so that one becomes another sign.
pub(super) fn code(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|sign| match sign {
            '\r' | '\n' | '\t' => ' ',
            '`' => 'ˋ',
            '|' => '¦',
            sign => sign,
        })
        .collect();
    match text.is_empty() {
        true => String::new(),
        false => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_a_sign() {
        assert_eq!(
            plain("a|b\n*c* <d> @all #1"),
            "a\\|b \\*c\\* &lt;d&gt; @\u{200b}all #\u{200b}1"
        );
        assert_eq!(code("a`|b"), "`aˋ¦b`");
        assert_eq!(code(""), "");
    }
}
