//! The text of an expression before jq sees it: single quotes become double quotes, by Ocean's rule.

/// Replaces each single quote that starts a word or ends one by a double quote, so that `.a == 'x'` works
/// (`contains('x')` does not, in Ocean neither).
///
/// The rule is `(^|\s)'(?!\s|")|(?<!\s|")'(\s|$)`, applied from left to right without overlap.
pub(super) fn double_quoted(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let at = |index: usize| chars.get(index).copied();
    let blank_or_quote = |char: char| char.is_whitespace() || char == '"';
    let mut out = String::with_capacity(source.len());
    let mut index = 0;
    while let Some(char) = at(index) {
        // `(^|\s)'(?!\s|")`: at the very start, or with the blank before it.
        if index == 0 && char == '\'' && !at(1).is_some_and(blank_or_quote) {
            out.push('"');
            index += 1;
            continue;
        }
        if char.is_whitespace()
            && at(index + 1) == Some('\'')
            && !at(index + 2).is_some_and(blank_or_quote)
        {
            out.push(char);
            out.push('"');
            index += 2;
            continue;
        }
        // `(?<!\s|")'(\s|$)`: with the blank after it.
        let after = at(index + 1);
        let preceded = index
            .checked_sub(1)
            .and_then(at)
            .is_some_and(blank_or_quote);
        if char == '\'' && !preceded && after.is_none_or(char::is_whitespace) {
            out.push('"');
            out.extend(after);
            index += 2;
            continue;
        }
        out.push(char);
        index += 1;
    }
    out
}
