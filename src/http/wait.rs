//! How long a server asks to be left alone, in the several ways in which it may say so.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;

use super::Answer;

/// From this on, a whole number of seconds can only be a UNIX time.
const LARGEST_DELAY_SECONDS: i64 = 10_000;

/// How long the server asks to wait: `Retry-After`, and after a 429 `x-ratelimit-reset`. Port sends the latter with every
/// answer: after any other it says nothing about when to come back.
///
/// Port documents it as seconds in one place and as a UNIX time in another; both APIs have been seen to send HTTP dates.
/// What is unreadable, zero or in the past asks for nothing: it would make a tight loop.
pub fn retry_after(answer: &Answer, now: Timestamp) -> Option<Duration> {
    let names: &[&str] = match answer.status {
        StatusCode::TOO_MANY_REQUESTS => &["retry-after", "x-ratelimit-reset"],
        _ => &["retry-after"],
    };
    names
        .iter()
        .filter_map(|name| parse_delay(answer.header(name)?, now))
        .find(|delay| !delay.is_zero())
}

fn parse_delay(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let until = |moment: Timestamp| {
        Duration::try_from(moment.duration_since(now)).unwrap_or(Duration::ZERO)
    };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds: i64 = text.parse().ok()?;
        return match seconds {
            ..=LARGEST_DELAY_SECONDS => Some(Duration::from_secs(seconds.unsigned_abs())),
            _ => Timestamp::from_second(seconds).ok().map(until),
        };
    }
    let moment = text.parse::<Timestamp>().ok();
    moment
        .or_else(|| {
            jiff::fmt::rfc2822::parse(text)
                .ok()
                .map(|date| date.timestamp())
        })
        .map(until)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    #[test]
    fn waits_are_read_as_the_golden_vectors_say() {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let seconds = |text: &str| parse_delay(text, now).map(|delay| delay.as_secs_f64());
        for (text, expected) in [
            ("0", Some(0.0)),
            ("30", Some(30.0)),
            ("300", Some(300.0)),
            ("10000", Some(10_000.0)),
            ("-1", None),
            ("abc", None),
            ("1.5", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text:?}");
        }
    }

    #[test]
    fn moments_are_waited_for_and_past_ones_are_no_wait() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let seconds = |text: &str| parse_delay(text, now).map(|delay| delay.as_secs());
        assert_eq!(seconds(&(now.as_second() + 90).to_string()), Some(90));
        assert_eq!(seconds("2026-11-23T12:01:00+00:00"), Some(60));
        assert_eq!(seconds("Mon, 23 Nov 2026 12:00:05 GMT"), Some(5));
        assert_eq!(seconds("Mon, 23 Nov 2026 11:00:00 GMT"), Some(0));
        assert_eq!(seconds("99999999999999999999"), None);
    }

    #[test]
    fn a_wait_of_nothing_is_none_and_a_reset_counts_after_a_429_only() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let past = "Mon, 23 Nov 2026 11:00:00 GMT";
        for (status, after, reset, expected) in [
            (429, "0", "", None),
            (429, past, "", None),
            (429, "", "0", None),
            (429, "0", "40", Some(40)),
            (429, past, "40", Some(40)),
            (429, "7", "40", Some(7)),
            (429, "", "1795435200", None),
            (503, "", "40", None),
            (500, "", "1795435260", None),
            (503, "7", "40", Some(7)),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [("retry-after", after), ("x-ratelimit-reset", reset)] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            let answer = Answer {
                status: StatusCode::from_u16(status).unwrap(),
                headers,
                body: Vec::new(),
            };
            let wait = retry_after(&answer, now).map(|wait| wait.as_secs());
            assert_eq!(wait, expected, "{status} {after:?} {reset:?}");
        }
    }
}
