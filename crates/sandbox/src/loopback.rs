//! The HTTP client with which the simulated world, and whoever tests it, speaks over loopback. It knows no server.

/// Plain HTTP is all it is used for; a client of reqwest is nevertheless not made without somebody who does TLS.
pub fn client() -> reqwest::ClientBuilder {
    // The first one stays, be it ours or that of who runs beside us.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    reqwest::Client::builder()
}
