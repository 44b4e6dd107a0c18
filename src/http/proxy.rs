//! Proxies that the environment names, and hosts that are reached without them, ports included.
//!
//! The HTTP library reads the same variables by itself, but takes an entry of `NO_PROXY` with a port for a name that no
//! host has. Where there is one, this takes its place.

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

/// What `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say. `Debug` shows no password.
#[derive(Clone)]
pub struct Proxies {
    http: Option<String>,
    https: Option<String>,
    /// Entries without a port: names, addresses, networks.
    hosts: String,
    with_port: Vec<Direct>,
}

/// One port of a host, and of all below it where it is a name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Direct {
    host: String,
    port: u16,
}

impl Proxies {
    /// `None` where the library's own reading does: no entry of `no_proxy` has a port.
    pub fn new(http: Option<String>, https: Option<String>, no_proxy: &str) -> Option<Proxies> {
        let entries = no_proxy.split(',').map(str::trim);
        let (mut hosts, mut with_port) = (Vec::new(), Vec::new());
        for entry in entries.filter(|entry| !entry.is_empty()) {
            match Direct::of(entry) {
                Some(direct) => with_port.push(direct),
                None => hosts.push(entry),
            }
        }
        (!with_port.is_empty()).then(|| Proxies {
            http,
            https,
            hosts: hosts.join(","),
            with_port,
        })
    }

    /// The proxy that leads to `url`; `None`: it is reached directly.
    fn to(&self, url: &Url) -> Option<&str> {
        let proxy = match url.scheme() {
            "https" => self.https.as_deref()?,
            _ => self.http.as_deref()?,
        };
        if self.with_port.iter().any(|direct| direct.is(url)) {
            return None;
        }
        let others = Matcher::builder().all(proxy).no(self.hosts.as_str());
        let uri = url.as_str().parse().ok()?;
        others.build().intercept(&uri).map(|_| proxy)
    }

    pub(super) fn into_proxy(self) -> reqwest::Proxy {
        reqwest::Proxy::custom(move |url| self.to(url).map(str::to_owned))
    }
}

impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxies")
            .field("hosts", &self.hosts)
            .field("with_port", &self.with_port)
            .finish_non_exhaustive()
    }
}

impl Direct {
    fn of(entry: &str) -> Option<Direct> {
        let (host, port) = entry.rsplit_once(':')?;
        // An IPv6 address has a port only behind its brackets.
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']')?,
            None if host.contains(':') => return None,
            None => host.trim_start_matches("*.").trim_start_matches('.'),
        };
        Some(Direct {
            host: host.to_ascii_lowercase(),
            port: port.parse().ok()?,
        })
    }

    fn is(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let host = host.trim_matches(['[', ']']);
        let above = host.strip_suffix(self.host.as_str());
        let is_host = above.is_some_and(|above| above.is_empty() || above.ends_with('.'));
        is_host && url.port_or_known_default() == Some(self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_with_a_port_is_about_that_port() {
        let no_proxy = "localhost:8080, .corp.example:443,10.1.2.3:9000,[::1]:7,plain.example,192.168.0.0/16,::2";
        let proxy = || Some("http://user:hush@proxy.example:3128".to_owned());
        let proxies = Proxies::new(proxy(), proxy(), no_proxy).unwrap();
        for (url, direct) in [
            ("http://localhost:8080/x", true),
            ("http://localhost:8081/x", false),
            ("https://port.corp.example/v1", true),
            ("https://corp.example", true),
            ("https://notcorp.example", false),
            ("http://port.corp.example/v1", false),
            ("http://10.1.2.3:9000", true),
            ("http://10.1.2.3", false),
            ("http://[::1]:7", true),
            ("http://[::1]:8", false),
            ("https://plain.example:5000", true),
            ("https://sub.plain.example", true),
            ("http://192.168.3.4", true),
            ("http://[::2]:5", true),
            ("https://api.getport.io", false),
        ] {
            let found = proxies.to(&url.parse().unwrap());
            assert_eq!(found.is_none(), direct, "{url}");
        }
        assert!(!format!("{proxies:?}").contains("hush"));
    }

    #[tokio::test]
    async fn connections_lead_where_the_entry_says() {
        use sandbox::server::{Response, Server};

        let [proxy, direct, other] = ["proxy", "direct", "other"];
        let serve = |name: &'static str| Server::start(move |_| Response::text(200, name));
        let (proxy, direct, other) = tokio::join!(serve(proxy), serve(direct), serve(other));
        let (proxy, direct, other) = (proxy.unwrap(), direct.unwrap(), other.unwrap());
        let own = direct.url().trim_start_matches("http://").to_owned();
        let proxies = Proxies::new(Some(proxy.url().to_owned()), None, &own);
        let http = super::super::Http::behind(proxies, crate::deadline::Clock::System).unwrap();
        for (url, expected) in [(direct.url(), "direct"), (other.url(), "proxy")] {
            let answer = http.client().get(url).send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), expected);
        }
    }

    #[test]
    fn without_ports_the_library_does() {
        for no_proxy in ["", "localhost, 10.0.0.0/8,::1", "[::1]", "*"] {
            assert!(Proxies::new(None, None, no_proxy).is_none(), "{no_proxy}");
        }
        let only_https = Proxies::new(None, Some("http://p:1".into()), "a:1").unwrap();
        assert_eq!(only_https.to(&"http://b".parse().unwrap()), None);
        assert_eq!(
            only_https.to(&"https://b".parse().unwrap()),
            Some("http://p:1")
        );
    }
}
