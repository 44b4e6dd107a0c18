//! An answer, read once: what it says, and what may be said of it.

use std::borrow::Cow;

use anyhow::{Context as _, anyhow};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::lenient_json;
use crate::own_secrets::OwnSecrets;

/// How much of an unexpected body an error shows.
const SHOWN_BODY_CHARS: usize = 300;

/// A complete answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// A complete answer, and what the body of a success was read as.
#[derive(Debug)]
pub struct Reply<T> {
    pub answer: Answer,
    /// `None` where the status is no success.
    pub content: Option<anyhow::Result<T>>,
}

impl<T> Reply<T> {
    /// Of what is no content, only what may be shown is left.
    pub(super) fn read(
        answer: Answer,
        own: &OwnSecrets,
        read: impl Fn(&Answer) -> anyhow::Result<T>,
    ) -> Reply<T> {
        let content = answer.status.is_success().then(|| read(&answer));
        if let Some(Ok(_)) = content {
            return Reply { answer, content };
        }
        let answer = answer.without(own);
        // The error may quote the body, so it is made from what is left of that.
        let content = content.map(|_| {
            let error = read(&answer).err();
            let error = error.unwrap_or_else(|| anyhow!("the answer quotes our credentials"));
            let shown = format!("{error:#}");
            match own.hide(&shown) {
                Cow::Borrowed(_) => Err(error),
                Cow::Owned(hidden) => Err(anyhow!(hidden)),
            }
        });
        Reply { answer, content }
    }

    pub(super) fn is_defect(&self) -> bool {
        self.answer.status == StatusCode::INTERNAL_SERVER_ERROR
            || matches!(self.content, Some(Err(_)))
    }
}

impl Answer {
    /// The body as JSON, with U+FFFD for what is no text in a text.
    pub fn value(&self) -> anyhow::Result<Value> {
        lenient_json::from_slice(&self.body).with_context(|| self.is_no_json())
    }

    /// Decodes the body. The error names the wanted type, the place, and the beginning of what came instead.
    pub fn json<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_slice(&self.body).with_context(|| self.is_no_json())
    }

    fn is_no_json(&self) -> String {
        format!(
            "the body is not the expected JSON (HTTP {}): {}",
            self.status.as_u16(),
            self.excerpt()
        )
    }

    /// The same without what it quotes of `own`.
    fn without(mut self, own: &OwnSecrets) -> Answer {
        if let Some(hidden) = own.hide_in(&self.body) {
            self.body = hidden;
        }
        for value in self.headers.values_mut() {
            let hidden = own.hide_in(value.as_bytes());
            if let Some(hidden) = hidden.and_then(|it| HeaderValue::from_bytes(&it).ok()) {
                *value = hidden;
            }
        }
        self
    }

    /// The beginning of the body on one line, for errors.
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let mut shown: String = text
            .chars()
            .take(SHOWN_BODY_CHARS)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        if text.chars().nth(SHOWN_BODY_CHARS).is_some() {
            shown.push('…');
        }
        shown
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
