//! Why no connection comes about, and what people can do about it.
//!
//! Reads what the HTTP library and TLS say. Knows no server.

use std::error::Error;
use std::fmt;
use std::io;

/// What stands between us and a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoConnection {
    /// No address is known for its name.
    UnknownName,
    /// Nothing listens, or a firewall says no.
    Refused,
    /// TLS fails: as a rule because nobody vouches for the certificate.
    Untrusted,
    /// Nobody answers at all.
    Silent,
    Other,
}

impl NoConnection {
    /// `None` where there was a connection.
    pub(super) fn of(error: &reqwest::Error) -> Option<NoConnection> {
        if !error.is_connect() {
            return None;
        }
        if error.is_timeout() {
            return Some(NoConnection::Silent);
        }
        let causes = std::iter::successors(error.source(), |cause| (*cause).source());
        Some(
            causes
                .filter_map(of_cause)
                .last()
                .unwrap_or(NoConnection::Other),
        )
    }

    /// What to do where it stays so.
    fn remedy(self) -> &'static str {
        match self {
            NoConnection::UnknownName => {
                "look for a typing error; where only a proxy leads out, set HTTPS_PROXY"
            }
            NoConnection::Refused => {
                "look for a typing error; where only a proxy leads out, set HTTPS_PROXY, and where one is set, see that \
                 it runs and that NO_PROXY is right"
            }
            NoConnection::Untrusted => {
                "where a proxy reads along, name the file with its certificate authority in SSL_CERT_FILE"
            }
            NoConnection::Silent => {
                "look at firewalls; where only a proxy leads out, set HTTPS_PROXY"
            }
            NoConnection::Other => "look at HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE",
        }
    }
}

fn of_cause(cause: &(dyn Error + 'static)) -> Option<NoConnection> {
    // The library has no type for this that others may name.
    if ["dns error", "invalid dns name"].contains(&cause.to_string().as_str()) {
        return Some(NoConnection::UnknownName);
    }
    if cause.is::<rustls::Error>() {
        return Some(NoConnection::Untrusted);
    }
    let error = cause.downcast_ref::<io::Error>()?;
    // What it wraps is no source of it: that one's is.
    if let Some(found) = error.get_ref().and_then(|inner| of_cause(inner)) {
        return Some(found);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(NoConnection::Refused),
        io::ErrorKind::TimedOut => Some(NoConnection::Silent),
        _ => None,
    }
}

impl fmt::Display for NoConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            NoConnection::UnknownName => "its name is not known here (DNS)",
            NoConnection::Refused => "the connection is refused",
            NoConnection::Untrusted => "TLS fails",
            NoConnection::Silent => "nobody answers",
            NoConnection::Other => "there is no connection",
        };
        write!(f, "{what}: {}", self.remedy())
    }
}
