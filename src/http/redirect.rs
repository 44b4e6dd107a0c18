//! Where an answer sends whoever asked. The connections follow nothing by themselves: a client that follows says
//! where to, and with which headers.

use reqwest::header::LOCATION;
use url::Url;

use super::Answer;

/// How much of an address that is none an error shows.
const SHOWN_PATH_CHARS: usize = 200;

/// The address that the answer to a request for `asked` redirects to; `None` where it redirects nowhere.
pub fn redirect_target(answer: &Answer, asked: &Url) -> Option<Url> {
    asked.join(location(answer)?).ok()
}

/// The same as errors show it: without the query, which may hold a key.
pub fn shown_redirect(answer: &Answer) -> Option<String> {
    let location = location(answer)?;
    Some(match Url::parse(location) {
        Ok(url) if url.has_host() => {
            format!("{}{}", url.origin().ascii_serialization(), url.path())
        }
        Ok(url) => format!("{}:", url.scheme()),
        // Below the host that was asked.
        Err(_) => {
            let path = location.split(['?', '#']).next().unwrap_or_default();
            path.chars().take(SHOWN_PATH_CHARS).collect()
        }
    })
}

fn location(answer: &Answer) -> Option<&str> {
    matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308)
        .then(|| answer.headers.get(LOCATION)?.to_str().ok())
        .flatten()
}

/// The same place written in another way: with a slash at its end, or without.
pub fn is_same_place(asked: &Url, target: &Url) -> bool {
    let path = |url: &Url| url.path().trim_end_matches('/').to_owned();
    asked.origin() == target.origin()
        && path(asked) == path(target)
        && asked.query() == target.query()
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use reqwest::header::{HeaderMap, HeaderValue};

    use super::*;

    fn answer(status: u16, location: &'static str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_static(location));
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Vec::new(),
        }
    }

    #[test]
    fn a_redirect_is_read_and_shown_without_what_may_be_a_key() {
        let asked = "https://a.test/2.0/x?q=1".parse().unwrap();
        for (status, location, target, shown) in [
            (
                302,
                "/login?t=k",
                Some("https://a.test/login?t=k"),
                Some("/login"),
            ),
            (
                301,
                "http://u:p@b.test:81/y?k",
                Some("http://u:p@b.test:81/y?k"),
                Some("http://b.test:81/y"),
            ),
            (
                307,
                "//c.test/z",
                Some("https://c.test/z"),
                Some("//c.test/z"),
            ),
            (308, "data:x", Some("data:x"), Some("data:")),
            (308, "https://[", None, Some("https://[")),
            (304, "/y", None, None),
            (201, "/y", None, None),
        ] {
            let answer = answer(status, location);
            let found = redirect_target(&answer, &asked);
            assert_eq!(found.as_ref().map(Url::as_str), target, "{location}");
            assert_eq!(shown_redirect(&answer).as_deref(), shown, "{location}");
        }
    }

    #[test]
    fn only_a_slash_at_the_end_is_the_same_place() {
        let asked: Url = "https://a.test/x?q=1".parse().unwrap();
        for (other, is_same) in [
            ("https://a.test/x/?q=1", true),
            ("https://a.test:443/x?q=1", true),
            ("https://a.test/x/", false),
            ("https://a.test/x?q=2", false),
            ("https://a.test/y?q=1", false),
            ("http://a.test/x?q=1", false),
            ("https://b.test/x?q=1", false),
            ("https://a.test:444/x?q=1", false),
        ] {
            assert_eq!(
                is_same_place(&asked, &other.parse().unwrap()),
                is_same,
                "{other}"
            );
        }
    }
}
