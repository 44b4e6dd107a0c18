//! What a stack is made of: the packaged template, and the zip with the function's code, brought to where AWS takes them.
//!
//! CloudFormation takes a template of up to 51,200 bytes with the request; a larger one, and the code in any case, have to
//! lie in a bucket.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use ferry::http::Http;
use ferry::telemetry::chain;
use sha2::{Digest as _, Sha256};

use super::Cloud;
use super::refusal::{AwsRefusal, refused};

/// AWS CloudFormation quotas, template body size in a request.
const INLINE_BYTES: usize = 51_200;

/// Where in a bucket we put things, so that we know what is ours to remove.
const FOLDER: &str = "ferry/";

/// How long a download of a release may take.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(120);

/// From a release's address to the file: GitHub leads to its storage.
const MOST_REDIRECTS: usize = 5;

/// For as long as it takes to write down the address of an object.
const PRESIGNED_FOR: Duration = Duration::from_secs(60);

/// Where a template or a zip comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    File(PathBuf),
    /// `https://…`
    Web(String),
    /// `s3://bucket/key`
    Object {
        bucket: String,
        key: String,
    },
}

/// A template where CloudFormation takes it from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    Inline(String),
    Url(String),
}

impl Placed {
    /// The template itself, where it goes along with the request.
    pub(super) fn body(&self) -> Option<String> {
        match self {
            Placed::Inline(body) => Some(body.clone()),
            Placed::Url(_) => None,
        }
    }

    /// Where CloudFormation takes it from instead.
    pub(super) fn url(&self) -> Option<String> {
        match self {
            Placed::Inline(_) => None,
            Placed::Url(url) => Some(url.clone()),
        }
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Origin, String> {
        if let Some(rest) = text.strip_prefix("s3://") {
            return match rest.split_once('/') {
                Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                    Ok(Origin::Object {
                        bucket: bucket.to_owned(),
                        key: key.to_owned(),
                    })
                }
                _ => Err("expected s3://BUCKET/KEY".to_owned()),
            };
        }
        if text.starts_with("https://") {
            return Ok(Origin::Web(text.to_owned()));
        }
        match text.contains("://") {
            true => Err("expected a file, https://… or s3://BUCKET/KEY".to_owned()),
            false => Ok(Origin::File(PathBuf::from(text))),
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Web(url) => f.write_str(url),
            Origin::Object { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

impl Origin {
    /// The zip that lies beside a template: the same name, ending in `.zip`.
    pub(crate) fn code_beside(&self) -> Origin {
        let zip = |name: &str| Path::new(name).with_extension("zip");
        match self {
            Origin::File(path) => Origin::File(path.with_extension("zip")),
            Origin::Web(url) => Origin::Web(zip(url).to_string_lossy().into_owned()),
            Origin::Object { bucket, key } => Origin::Object {
                bucket: bucket.clone(),
                key: zip(key).to_string_lossy().into_owned(),
            },
        }
    }
}

/// Whether a template's code is where CloudFormation finds it, and not in a folder of somebody's machine.
pub(crate) fn is_packaged(template: &str) -> bool {
    let is_folder = |line: &str| {
        let value = line.trim().strip_prefix("CodeUri:").map(str::trim);
        value.is_some_and(|value| value == "." || value.starts_with("./") || value.starts_with('/'))
    };
    !template.lines().any(is_folder)
}

/// The name under which code lies in a bucket: the same code, the same name.
pub(crate) fn key_of(code: &[u8]) -> String {
    format!("{FOLDER}{}.zip", hex::encode(Sha256::digest(code)))
}

impl Cloud {
    pub(crate) async fn read(&self, origin: &Origin, http: &Http) -> Result<Vec<u8>, AwsRefusal> {
        let unreadable = |reason: String, remedy| AwsRefusal {
            what: format!("cannot read {origin}"),
            reason,
            remedy,
        };
        match origin {
            Origin::File(path) => std::fs::read(path).map_err(|error| {
                unreadable(
                    error.to_string(),
                    "give the file of a release, or its address",
                )
            }),
            Origin::Web(url) => {
                let fetched = tokio::time::timeout(DOWNLOAD_TIMEOUT, fetch(http, url)).await;
                let fetched = fetched.unwrap_or_else(|_| Err("it takes too long".to_owned()));
                fetched.map_err(|reason| {
                    unreadable(reason, "download it some other way, and give the file")
                })
            }
            Origin::Object { bucket, key } => {
                let asked = self.storage.get_object().bucket(bucket).key(key).send();
                let object = asked.await;
                let object =
                    object.map_err(|error| refused(format!("cannot read {origin}"), error))?;
                let bytes = object.body.collect().await;
                let bytes = bytes.map_err(|error| unreadable(chain(&error), "try again"))?;
                Ok(bytes.to_vec())
            }
        }
    }

    /// Brings a template to where CloudFormation takes it: into the request, or else into `bucket`.
    pub(crate) async fn place_template(
        &self,
        template: String,
        bucket: Option<&str>,
    ) -> Result<Placed, AwsRefusal> {
        if template.len() <= INLINE_BYTES {
            return Ok(Placed::Inline(template));
        }
        let what = || "cannot hand over the template".to_owned();
        let Some(bucket) = bucket else {
            return Err(AwsRefusal {
                what: what(),
                reason: format!(
                    "it has {} bytes, and CloudFormation takes {INLINE_BYTES}",
                    template.len()
                ),
                remedy: "give a --bucket for it, in the region of the stack",
            });
        };
        let key = format!("{FOLDER}{}.yaml", hex::encode(Sha256::digest(&template)));
        self.put(bucket, &key, template.into_bytes()).await?;
        // Signed for what it says of the endpoint: partitions and regions have hosts of their own.
        let signed = PresigningConfig::expires_in(PRESIGNED_FOR).map_err(|error| AwsRefusal {
            what: what(),
            reason: chain(&error),
            remedy: "try again",
        })?;
        let signed = self
            .storage
            .get_object()
            .bucket(bucket)
            .key(&key)
            .presigned(signed);
        let signed = signed.await.map_err(|error| refused(what(), error))?;
        let url = signed.uri().split('?').next().unwrap_or_default();
        Ok(Placed::Url(url.to_owned()))
    }

    /// Puts the function's code into `bucket`; returns its key there.
    pub(crate) async fn place_code(
        &self,
        code: Vec<u8>,
        bucket: &str,
    ) -> Result<String, AwsRefusal> {
        if !code.starts_with(b"PK") {
            return Err(AwsRefusal {
                what: "cannot use the function's code".to_owned(),
                reason: "it is no zip file".to_owned(),
                remedy: "give the zip of a release with --code",
            });
        }
        let key = key_of(&code);
        self.put(bucket, &key, code).await?;
        Ok(key)
    }

    /// Removes what an installation has put into `bucket`; what is not ours is left alone. Returns whether it was ours.
    pub(crate) async fn remove_code(&self, bucket: &str, key: &str) -> Result<bool, AwsRefusal> {
        if !key.starts_with(FOLDER) {
            return Ok(false);
        }
        let asked = self.storage.delete_object().bucket(bucket).key(key).send();
        let removed = asked.await;
        removed.map_err(|error| refused(format!("cannot remove s3://{bucket}/{key}"), error))?;
        Ok(true)
    }

    async fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<(), AwsRefusal> {
        let request = self.storage.put_object().bucket(bucket).key(key);
        let stored = request.body(ByteStream::from(bytes)).send().await;
        stored.map_err(|error| refused(format!("cannot write s3://{bucket}/{key}"), error))?;
        Ok(())
    }
}

/// Follows redirects, from https to https: nothing secret is sent along.
async fn fetch(http: &Http, url: &str) -> Result<Vec<u8>, String> {
    let mut url = url.to_owned();
    for _ in 0..=MOST_REDIRECTS {
        let answer = http.client().get(&url).send().await;
        let answer = answer.map_err(|error| chain(&error))?;
        let status = answer.status();
        if status.is_redirection() {
            let location = answer.headers().get("location");
            let location = location.and_then(|to| to.to_str().ok());
            match location {
                Some(to) if to.starts_with("https://") => url = to.to_owned(),
                _ => return Err(format!("it leads elsewhere (HTTP {})", status.as_u16())),
            }
            continue;
        }
        if !status.is_success() {
            return Err(format!("HTTP {}", status.as_u16()));
        }
        let bytes = answer.bytes().await.map_err(|error| chain(&error))?;
        return Ok(bytes.to_vec());
    }
    Err("it leads from address to address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_told_apart_by_how_they_begin() {
        let read = |text: &str| text.parse::<Origin>();
        assert_eq!(read("a/b.yaml"), Ok(Origin::File("a/b.yaml".into())));
        let web = read("https://example.com/ferry-1.0.0-arm64.yaml").unwrap();
        assert_eq!(
            web.code_beside().to_string(),
            "https://example.com/ferry-1.0.0-arm64.zip"
        );
        let object = read("s3://bucket/some/ferry.yaml").unwrap();
        assert_eq!(
            object.code_beside().to_string(),
            "s3://bucket/some/ferry.zip"
        );
        for wrong in ["s3://bucket", "s3:///key", "http://example.com/x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_template_whose_code_is_on_somebodys_machine_is_not_packaged() {
        assert!(!is_packaged(include_str!("../../../../template.yaml")));
        assert!(is_packaged(
            "Globals:\n  Function:\n    CodeUri: s3://bucket/key\n"
        ));
        assert!(is_packaged(
            "    CodeUri:\n      Bucket: {Ref: CodeBucket}\n"
        ));
    }
}
