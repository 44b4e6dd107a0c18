//! What people paste: quotes, `Bearer `, addresses instead of names; and what of it is meant.
//!
//! Pure. Never shows what may be a secret.

/// The quotes that shells, files and word processors leave around a value.
const QUOTES: [(char, char); 5] = [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’')];

/// Longest slug of a workspace (Bitbucket Cloud, repository names and slugs).
const LONGEST_SLUG: usize = 62;

/// Where people read the address of a workspace, and where programs ask.
const BITBUCKET: [&str; 3] = ["bitbucket.org", "www.bitbucket.org", "api.bitbucket.org"];

/// `text` without blanks and quotes around it.
pub(super) fn unquoted(text: &str) -> &str {
    let mut text = text.trim();
    for (open, close) in QUOTES {
        let inner = text
            .strip_prefix(open)
            .and_then(|text| text.strip_suffix(close))
            // Of several in quotes, each has its own.
            .filter(|inner| !inner.contains([open, close]));
        text = inner.map_or(text, str::trim);
    }
    text
}

/// The token in what was copied out of a header.
pub(super) fn token(text: &str) -> &str {
    let mut text = unquoted(text);
    for before in ["authorization:", "bearer "] {
        if let Some((start, rest)) = text.split_at_checked(before.len())
            && start.eq_ignore_ascii_case(before)
        {
            text = unquoted(rest);
        }
    }
    text
}

/// The workspace in its name, its address, or the address of something in it.
pub(super) fn workspace(text: &str) -> String {
    let text = unquoted(text);
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let bare = bare.split(['?', '#']).next().unwrap_or_default();
    // Of a repository's address for cloning: who clones it, over HTTPS or SSH.
    let bare = bare.split_once('@').map_or(bare, |(_, host)| host);
    let mut segments = bare
        .split(['/', ':'])
        .filter(|segment| !segment.is_empty())
        .peekable();
    let host = segments.next_if(|first| BITBUCKET.contains(&first.to_ascii_lowercase().as_str()));
    if host.is_none() && text.contains("://") {
        // Somebody else's address: `is_workspace` says so.
        return text.to_owned();
    }
    if host.is_some() {
        // Of the API's addresses.
        while segments
            .next_if(|next| matches!(*next, "2.0" | "workspaces" | "repositories"))
            .is_some()
        {}
    }
    let name = segments.next().unwrap_or(text);
    let name = name.replace("%7B", "{").replace("%7D", "}");
    match is_uuid(&name) {
        true => format!("{{{name}}}"),
        false => name,
    }
}

/// Whether it can be a workspace: a slug, or a uuid in braces.
pub(super) fn is_workspace(text: &str) -> bool {
    let uuid = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'));
    let is_slug = |text: &str| {
        text.len() <= LONGEST_SLUG
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    uuid.map_or_else(|| is_slug(text), is_uuid)
}

/// `text` with what stands before an `@` left out: it may be a password.
pub(super) fn without_password(text: &str) -> String {
    let Some((before, host)) = text.rsplit_once('@') else {
        return text.to_owned();
    };
    let scheme = before.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some(scheme) => format!("{scheme}://…@{host}"),
        None => format!("…@{host}"),
    }
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_what_was_pasted() {
        for text in [
            "ATCTT-x=1",
            " ATCTT-x=1\n",
            "\"ATCTT-x=1\"",
            "'ATCTT-x=1'",
            "“ATCTT-x=1”",
            "Bearer ATCTT-x=1",
            "bearer  ATCTT-x=1",
            "'Bearer ATCTT-x=1'",
            "Authorization: Bearer ATCTT-x=1",
            "Bearer \"ATCTT-x=1\"",
        ] {
            assert_eq!(token(text), "ATCTT-x=1", "{text}");
        }
        assert_eq!(token("bearer"), "bearer");
        assert_eq!(token("ü"), "ü");
    }

    #[test]
    fn a_workspace_is_found_in_its_addresses() {
        let uuid = "5c1f9e1a-8f0e-4b5d-9c3b-2a7d1e6f4b10";
        let in_braces = format!("{{{uuid}}}");
        for (text, expected) in [
            ("acme", "acme"),
            (" 'acme' ", "acme"),
            ("acme/", "acme"),
            ("/acme", "acme"),
            ("https://bitbucket.org/acme", "acme"),
            ("https://bitbucket.org/acme/", "acme"),
            ("bitbucket.org/acme/payments-api/src/main/", "acme"),
            (
                "https://bitbucket.org/acme/workspace/overview?x=1#y",
                "acme",
            ),
            (
                "https://someone@bitbucket.org/acme/payments-api.git",
                "acme",
            ),
            ("git@bitbucket.org:acme/payments-api.git", "acme"),
            ("https://api.bitbucket.org/2.0/repositories/acme", "acme"),
            (
                "https://api.bitbucket.org/2.0/workspaces/acme/projects",
                "acme",
            ),
            (uuid, &in_braces),
            (&in_braces, &in_braces),
            (
                "https://git.example.com/acme",
                "https://git.example.com/acme",
            ),
            ("Acme Platform", "Acme Platform"),
        ] {
            assert_eq!(workspace(text), expected, "{text}");
        }
        for (text, expected) in [
            ("acme", true),
            ("Acme_1.x-y", true),
            (&in_braces, true),
            ("{acme}", false),
            ("Acme Platform", false),
            ("https://git.example.com/acme", false),
            ("ATCTT3xFfGN0=123", false),
        ] {
            assert_eq!(is_workspace(text), expected, "{text}");
        }
    }

    #[test]
    fn a_password_is_left_out_wherever_it_stands() {
        for (text, expected) in [
            ("https://me:hush@host/x", "https://…@host/x"),
            ("https://me:hu@sh@host/x", "https://…@host/x"),
            ("https://me:hu/sh@host", "https://…@host"),
            ("me:hush@host", "…@host"),
            ("https://host/x", "https://host/x"),
        ] {
            assert_eq!(without_password(text), expected);
        }
    }
}
