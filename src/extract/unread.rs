//! What a file costs that Bitbucket does not give: the item that holds it, or, where Bitbucket gives none at all,
//! everything that is being read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::bitbucket;
use crate::failure::{Class, UnreadFile};
use crate::telemetry::chain;

/// Files of one repository that fail one after the other, for a reason that may pass, before Bitbucket is taken to be down.
const OUTAGE: usize = 5;

/// An item that is there, and that is not known, for a file of it could not be read.
#[derive(Clone, Debug)]
pub struct Unread {
    /// As much as tells which item it is.
    pub raw: Value,
    pub file: Arc<UnreadFile>,
}

/// Tells a file that cannot be read from an outage, for the files of one repository.
#[derive(Default)]
pub(super) struct Tolerance {
    failed_in_a_row: AtomicUsize,
}

impl Tolerance {
    /// What was read of the file at `path`. Only what would meet any other file as well is an error.
    pub(super) fn judge<T>(
        &self,
        path: &str,
        read: Result<T, bitbucket::Error>,
    ) -> Result<Result<T, Arc<UnreadFile>>, bitbucket::Error> {
        let error = match read {
            Ok(read) => {
                self.failed_in_a_row.store(0, Ordering::Relaxed);
                return Ok(Ok(read));
            }
            Err(error) => error,
        };
        let Some(file) = unread_file(path, &error) else {
            return Err(error);
        };
        if file.may_pass && OUTAGE <= 1 + self.failed_in_a_row.fetch_add(1, Ordering::Relaxed) {
            return Err(error);
        }
        Ok(Err(file))
    }
}

/// The file at `path`, where `error` is about it, and not about the moment or the credentials.
pub fn unread_file(path: &str, error: &bitbucket::Error) -> Option<Arc<UnreadFile>> {
    let may_pass = match error.class() {
        Class::Value | Class::Item | Class::Part => false,
        Class::Later if !error.meets_every_request() => true,
        Class::Later | Class::Credentials | Class::Ours => return None,
    };
    Some(Arc::new(UnreadFile {
        path: path.to_owned(),
        reason: chain(error),
        may_pass,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable() -> bitbucket::Error {
        bitbucket::Error::Unavailable {
            request: "GET a file".to_owned(),
            status: Some(500),
            source: None,
        }
    }

    #[test]
    fn a_file_costs_itself_and_an_outage_everything() {
        let tolerance = Tolerance::default();
        for _ in 0..3 {
            for _ in 1..OUTAGE {
                let judged = tolerance.judge::<()>("a.yml", Err(unavailable()));
                assert!(judged.unwrap().unwrap_err().may_pass);
            }
            assert_eq!(tolerance.judge("b.yml", Ok(1)).unwrap(), Ok(1));
        }
        for _ in 1..OUTAGE {
            tolerance
                .judge::<()>("a.yml", Err(unavailable()))
                .unwrap()
                .unwrap_err();
        }
        tolerance
            .judge::<()>("a.yml", Err(unavailable()))
            .unwrap_err();
    }

    #[test]
    fn what_meets_everything_is_no_fault_of_the_file() {
        let tolerance = Tolerance::default();
        tolerance
            .judge::<()>("a.yml", Err(bitbucket::Error::OutOfTime))
            .unwrap_err();
        let forbidden = bitbucket::Error::Forbidden {
            request: "GET a file".to_owned(),
            message: String::new(),
        };
        let judged = tolerance.judge::<()>("a.yml", Err(forbidden)).unwrap();
        assert!(!judged.unwrap_err().may_pass);
    }
}
