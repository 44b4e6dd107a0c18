//! What a failure costs, and what is done about it: one table for both flows and both outside systems.
//!
//! | class | examples | costs | then |
//! |---|---|---|---|
//! | [`Value`](Class::Value) | Port would refuse this value; a file that does not parse | the value, reported | goes on |
//! | [`Item`](Class::Item) | a mapping error on an item; Port's 403 or 422 about one entity | the item; nothing of it is deleted | goes on, reported |
//! | [`Part`](Class::Part) | 403, 404 on a list, 400 to a user's query, 410, 555 after shrinking, a missing scope | that partition of that resource; others commit | tried first next time |
//! | [`Later`](Class::Later) | 429, 5xx on either side (500 too), resets, time-outs, 200 with garbage, an entity of a 207 with such | time | the message again, or `again`; never dropped |
//! | [`Credentials`](Class::Credentials) | 401 confirmed by a probe; settings that lead nowhere | that token; all tokens: the run | alarm; resumes by itself when the secret changes |
//! | [`Ours`](Class::Ours) | an unknown event, a broken document, a bug | the invocation | error, alarm |
//!
//! Whether a failure is repeated *in place* is the [`RetryPolicy`](crate::http::RetryPolicy)'s; what is left after that
//! is judged by this table and nowhere else. A failure that keeps coming back as `Later` is the caller's to count: after
//! as many times as it bears, that part has failed.
//!
//! Knows no error type: each says its own class.

/// What a failure means. In ascending order of what it costs, except that `Later` costs only time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// One value is left out.
    Value,
    /// One item or entity is left as it is.
    Item,
    /// One partition of one resource is left as it is; it takes somebody to change something.
    Part,
    /// The same request may succeed without anybody changing anything.
    Later,
    /// Nothing succeeds before somebody changes the credentials or settings.
    Credentials,
    /// A defect of Ferry or of what it stored.
    Ours,
}

impl Class {
    /// Of an answer that is no usable success, whatever its body says. Bitbucket's 555 stands for a list that is too
    /// large; it comes here when the list cannot be made smaller.
    ///
    /// A 401 means the credentials only where a probe has confirmed it.
    pub fn of_status(status: u16) -> Class {
        match status {
            401 => Class::Credentials,
            408 | 429 => Class::Later,
            400..500 | 555 => Class::Part,
            // 5xx; a success that could not be read; a redirect that leads nowhere: some gateway's words.
            _ => Class::Later,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_class() {
        let table = [
            (Class::Credentials, vec![401]),
            (
                Class::Later,
                vec![408, 429, 500, 501, 502, 503, 504, 520, 599],
            ),
            (Class::Later, vec![100, 200, 204, 206, 301, 302, 304, 308]),
            (
                Class::Part,
                vec![
                    400, 402, 403, 404, 405, 409, 410, 413, 414, 415, 422, 451, 499, 555,
                ],
            ),
        ];
        for (class, statuses) in table {
            for status in statuses {
                assert_eq!(Class::of_status(status), class, "{status}");
            }
        }
    }
}
