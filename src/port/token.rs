//! The access token: fetched once for all who need it, kept until shortly before it expires.
//!
//! Its value and the credentials are never shown.

use std::time::Duration;

use anyhow::anyhow;
use jiff::Timestamp;
use reqwest::header::HeaderValue;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::json;

use super::call::Call;
use super::client::{PEN_TIMEOUT, PortClient, Tries};
use super::error::{Error, TraceId};
use crate::deadline::{Deadline, later};
use crate::http::{Answer, Reply};
use crate::locked::locked;
use crate::own_secrets::SecretOwner;

/// A token is renewed this long before it expires: a frozen execution environment may wake up in between.
const TOKEN_MARGIN: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(super) struct Token {
    pub(super) header: HeaderValue,
    /// When to ask for the next one.
    renew_at: Timestamp,
}

impl PortClient {
    /// The cached token, or a new one when it is old or is the one that was `refused`.
    pub(super) async fn token(
        &self,
        refused: Option<&Token>,
        deadline: &Deadline,
    ) -> Result<Token, Error> {
        if let Some(token) = self.usable_token(refused) {
            return Ok(token);
        }
        let _one_at_a_time = self.fetching(deadline).await?;
        if let Some(token) = self.usable_token(refused) {
            return Ok(token);
        }
        let fetched = self.fetch_token(deadline).await;
        if let Ok(_) | Err(Error::Unauthorized { .. }) = &fetched {
            *locked(&self.inner.token) = fetched.as_ref().ok().cloned();
        }
        fetched
    }

    /// Asks Port for a token if there is none.
    pub async fn introduce(&self, deadline: &Deadline) -> Result<(), Error> {
        self.token(None, deadline).await.map(drop)
    }

    /// Whether Port has taken the credentials, when it was asked last.
    pub fn is_accepted(&self) -> bool {
        locked(&self.inner.token).is_some()
    }

    fn usable_token(&self, refused: Option<&Token>) -> Option<Token> {
        let cached = locked(&self.inner.token).clone()?;
        let usable = self.now() < cached.renew_at
            && refused.is_none_or(|refused| refused.header != cached.header);
        usable.then_some(cached)
    }

    /// Its turn to fetch a token. Whoever fetches one now may be repeating and sleeping: a client that does neither
    /// does not wait for him either, beyond the time that one call may take.
    async fn fetching(
        &self,
        deadline: &Deadline,
    ) -> Result<tokio::sync::MutexGuard<'_, ()>, Error> {
        let turn = self.inner.fetching.lock();
        match self.pace {
            Tries::Patient => Ok(turn.await),
            Tries::Once => {
                let limit = PEN_TIMEOUT.min(deadline.remaining());
                tokio::time::timeout(limit, turn)
                    .await
                    .map_err(|_| Error::OutOfTime {
                        request: "the access token".into(),
                    })
            }
        }
    }

    async fn fetch_token(&self, deadline: &Deadline) -> Result<Token, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            access_token: String,
            expires_in: u64,
            token_type: Option<String>,
        }
        let body = {
            let credentials = locked(&self.inner.credentials);
            json!({
                "clientId": credentials.client_id,
                "clientSecret": credentials.client_secret.expose_secret(),
            })
        };
        let call = Call::post(["auth", "access_token"], &body).repeatable();
        let url = call.url(&self.inner.base_url)?;
        let request = call.shown();
        let asked_at = self.now();
        // What is wrong is not shown: the body may hold the token.
        let read = |answer: &Answer| {
            serde_json::from_slice::<Wire>(&answer.body)
                .map_err(|_| anyhow!("the answer holds no usable access token"))
        };
        let Reply { answer, content } = self
            .send(&call, &url, None, deadline, read)
            .await
            .map_err(|error| Error::from_http(request.clone(), error, deadline))?;
        let unreadable = |source| Error::Unexpected {
            request: request.clone(),
            trace_id: TraceId::of(&answer),
            source,
        };
        let wire = match content {
            Some(content) => content.map_err(unreadable)?,
            // Not to be taken for an absent entity by whoever needed the token.
            None if answer.status.as_u16() == 404 => {
                let trace_id = TraceId::of(&answer);
                return Err(Error::NoPort { request, trace_id });
            }
            None => return Err(Error::from_answer(request, &answer, self.now())),
        };
        self.own_secrets().learn(
            SecretOwner::PortToken,
            vec![wire.access_token.as_str().into()],
        );
        let scheme = wire.token_type.as_deref().unwrap_or("Bearer");
        let mut header = HeaderValue::from_str(&format!("{scheme} {}", wire.access_token))
            .map_err(|_| unreadable(anyhow!("the access token fits no header")))?;
        header.set_sensitive(true);
        // Port hands out the same token until it expires, so its rest of life may be shorter than the margin.
        let life = Duration::from_secs(wire.expires_in);
        let renew_at = later(asked_at, life.saturating_sub(TOKEN_MARGIN).max(life / 2));
        Ok(Token { header, renew_at })
    }
}
