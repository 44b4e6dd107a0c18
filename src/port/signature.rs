//! Whether a call comes from Port: an HMAC over the moment of sending and the bytes as they arrived.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// How far a call's own time may be from ours; an older one may be a replay.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// Whether a call is Port's, and recent.
///
/// True when `signature` (`x-port-signature`: `v1,<base64>`) signs `timestamp` (`x-port-timestamp`: seconds) and `body`
/// with our client secret (Port docs, validate webhook signatures). Compares in constant time.
pub fn is_signed_by_port(
    secret: &SecretString,
    timestamp: Option<&str>,
    signature: Option<&str>,
    body: &[u8],
    now: Timestamp,
) -> bool {
    let (Some(timestamp), Some(signature)) = (timestamp, signature) else {
        return false;
    };
    if !is_recent(timestamp, now) {
        return false;
    }
    let Some(signature) = signature.trim().strip_prefix("v1,") else {
        return false;
    };
    let Ok(signature) = STANDARD.decode(signature) else {
        return false;
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else {
        return false;
    };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.verify_slice(&signature).is_ok()
}

/// Seconds or milliseconds since 1970; the documentation does not say which.
fn is_recent(timestamp: &str, now: Timestamp) -> bool {
    let Ok(number) = timestamp.parse::<i64>() else {
        return false;
    };
    let moments = [
        Timestamp::from_second(number),
        Timestamp::from_millisecond(number),
    ];
    moments
        .into_iter()
        .flatten()
        .any(|moment| moment.duration_since(now).abs() <= TOLERANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED_AT: &str = "1795417200";
    const BODY: &[u8] = br#"{"action":"resync"}"#;

    fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(timestamp.as_bytes());
        mac.update(b".");
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }

    #[test]
    fn only_a_recent_call_with_our_secret_counts() {
        let secret = SecretString::from("secret");
        let now: Timestamp = "2026-11-23T07:01:00Z".parse().unwrap();
        let valid = sign("secret", SIGNED_AT, BODY);
        let check = |timestamp: Option<&str>, signature: Option<&String>, body: &[u8], now| {
            is_signed_by_port(&secret, timestamp, signature.map(String::as_str), body, now)
        };
        let milliseconds = format!("{SIGNED_AT}000");
        let signed_in_milliseconds = sign("secret", &milliseconds, BODY);
        let signed_by_another = sign("other", SIGNED_AT, BODY);
        assert!(check(Some(SIGNED_AT), Some(&valid), BODY, now));
        assert!(check(
            Some(&milliseconds),
            Some(&signed_in_milliseconds),
            BODY,
            now
        ));

        assert!(!check(None, Some(&valid), BODY, now));
        assert!(!check(Some(SIGNED_AT), None, BODY, now));
        assert!(!check(Some(SIGNED_AT), Some(&valid), b"{}", now));
        assert!(!check(Some("1795417201"), Some(&valid), BODY, now));
        assert!(!check(Some(SIGNED_AT), Some(&signed_by_another), BODY, now));
        let later = now + SignedDuration::from_mins(10);
        assert!(
            !check(Some(SIGNED_AT), Some(&valid), BODY, later),
            "a replay"
        );
    }
}
