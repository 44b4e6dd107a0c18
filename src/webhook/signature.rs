//! Whether a request comes from Bitbucket: an HMAC over the bytes as they arrived, before anything reads them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// Whether `header` (`sha256=<hex>`, Bitbucket's `X-Hub-Signature`) signs `body` with one of `secrets`. Compares in
/// constant time; no secret means no.
pub fn is_valid(secrets: &[SecretString], body: &[u8], header: Option<&str>) -> bool {
    let Some(signature) = header.and_then(|header| header.trim().strip_prefix("sha256=")) else { return false };
    let Ok(signature) = hex::decode(signature) else { return false };
    secrets.iter().any(|secret| signs(secret.expose_secret().as_bytes(), body, &signature))
}

fn signs(secret: &[u8], body: &[u8], signature: &[u8]) -> bool {
    if secret.is_empty() {
        return false;
    }
    // An HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
    mac.update(body);
    mac.verify_slice(signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bitbucket's own example (support page on webhook secrets).
    const SECRET: &str = "It's a Secret to Everybody";
    const SIGNATURE: &str = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9";

    fn check(secrets: &[&str], body: &[u8], header: Option<&str>) -> bool {
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| SecretString::from(*secret)).collect();
        is_valid(&secrets, body, header)
    }

    #[test]
    fn the_official_example_is_valid() {
        assert!(check(&[SECRET], b"Hello World!", Some(SIGNATURE)));
        assert!(check(&["another", SECRET], b"Hello World!", Some(SIGNATURE)), "while a secret is rotated");
    }

    #[test]
    fn everything_else_is_not() {
        for (secrets, body, header) in [
            (&[SECRET][..], &b"Hello World?"[..], Some(SIGNATURE)),
            (&["wrong"], b"Hello World!", Some(SIGNATURE)),
            (&[], b"Hello World!", Some(SIGNATURE)),
            (&[""], b"Hello World!", Some(SIGNATURE)),
            (&[SECRET], b"Hello World!", None),
            (&[SECRET], b"Hello World!", Some("")),
            (&[SECRET], b"Hello World!", Some("sha256=")),
            (&[SECRET], b"Hello World!", Some("sha256=zz")),
            (&[SECRET], b"Hello World!", Some("sha256=a4771c39")),
            (&[SECRET], b"Hello World!", SIGNATURE.strip_prefix("sha256=")),
        ] {
            assert!(!check(secrets, body, header), "{secrets:?} {header:?}");
        }
    }
}
