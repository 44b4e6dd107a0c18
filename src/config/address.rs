//! Addresses: of the two APIs, as people copy them, and of ourselves.

use std::fmt;

use url::{Host, Url};

use super::pasted::without_password;

/// Web pages that are taken for the API behind them, and where that is.
const PAGES: [(&str, &str); 5] = [
    ("app.getport.io", "https://api.getport.io"),
    ("app.port.io", "https://api.getport.io"),
    ("app.us.getport.io", "https://api.us.getport.io"),
    ("app.us.port.io", "https://api.us.getport.io"),
    ("bitbucket.org", "https://api.bitbucket.org/2.0"),
];

/// An address under which Bitbucket reaches us. Shown, it holds no password.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicAddress(String);

impl PublicAddress {
    pub fn new(address: impl Into<String>) -> PublicAddress {
        PublicAddress(address.into())
    }

    /// In full.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl fmt::Debug for PublicAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Port's API without its version, which is ours to add.
pub(super) fn of_port(mut url: Url) -> Url {
    if last_segment(&url) == "v1"
        && let Ok(mut segments) = url.path_segments_mut()
    {
        segments.pop_if_empty().pop();
    }
    url
}

/// Bitbucket's API with its version.
pub(super) fn of_bitbucket(mut url: Url) -> Result<Url, String> {
    let last = last_segment(&url);
    let is_version = last.split('.').count() == 2 && last.parse::<f64>().is_ok();
    if is_version && last != "2.0" {
        return Err(format!(
            "is version {last} of the API, which Ferry does not speak"
        ));
    }
    if !is_version && let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push("2.0");
    }
    Ok(url)
}

/// Secrets travel on these connections: encrypted, or not leaving the machine. The error says what is wrong with `text`.
pub(super) fn of_api(text: &str) -> Result<Url, String> {
    let shown = without_password(text);
    let url =
        Url::parse(text).map_err(|error| format!("is `{shown}`, which is not a URL ({error})"))?;
    let host = url
        .host_str()
        .unwrap_or_default()
        .trim_start_matches("www.");
    if let Some((page, api)) = PAGES.iter().find(|(page, _)| *page == host) {
        return Err(format!("is `{page}`, a web page: its API is at {api}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "is `{shown}`, with a user or password, which would be sent beside the token"
        ));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(format!(
            "is `{shown}`, which would send credentials unencrypted"
        )),
        _ => Err(format!("is `{shown}`, which is not a web address")),
    }
}

fn last_segment(url: &Url) -> String {
    let mut segments = url.path_segments().into_iter().flatten();
    let last = segments.rfind(|segment| !segment.is_empty());
    last.unwrap_or_default().to_ascii_lowercase()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
