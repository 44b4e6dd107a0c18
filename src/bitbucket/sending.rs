//! One request to Bitbucket: with whose credential, what an answer says about that credential, and when another one is
//! tried.
//!
//! Knows no endpoint but the one that a credential is probed with.

use std::sync::Mutex;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use url::Url;

use super::accounts::{Choice, Chosen};
use super::client::{BitbucketClient, JSON, Shared};
use super::error::Error;
use super::rate_limit::{Incident, RateGroup, RateHeaders};
use super::redirect::Redirect;
use crate::class::Class;
use crate::deadline::Deadline;
use crate::http::{Answer, Repeat, Reply, RetryPolicy, retry_after};
use crate::locked::locked;

/// Waits up to this long are sat out; for longer ones the caller has better things to do.
const SHORT_WAIT: Duration = Duration::from_secs(10);

/// All waits of one request together: a server that says "in a second" for ever is not asked for ever.
const ALL_WAITS: Duration = Duration::from_secs(30);

/// One request, whoever sends it.
pub(super) struct Sending<'a> {
    pub(super) group: RateGroup,
    pub(super) policy: &'a RetryPolicy,
    pub(super) method: Method,
    pub(super) body: Option<Body<'a>>,
    pub(super) url: &'a Url,
}

#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    Json(&'a Value),
    /// What git's protocol has to say.
    Git(&'a [u8]),
}

impl<'a> Sending<'a> {
    pub(super) fn get(group: RateGroup, policy: &'a RetryPolicy, url: &'a Url) -> Sending<'a> {
        Sending {
            group,
            policy,
            method: Method::GET,
            body: None,
            url,
        }
    }

    /// Adds the body, and what its kind of request says of itself.
    fn dress(&self, builder: RequestBuilder) -> RequestBuilder {
        let builder = match self.group {
            RateGroup::Api | RateGroup::RawFiles => {
                builder.header(ACCEPT, "application/json, */*;q=0.5")
            }
            // Some servers answer with a page for people to whoever is not called so.
            RateGroup::Git => builder
                .header(USER_AGENT, concat!("git/ferry-", env!("CARGO_PKG_VERSION")))
                .header("git-protocol", "version=2"),
        };
        match self.body {
            Some(Body::Json(body)) => builder.json(body),
            Some(Body::Git(body)) => builder
                .header(CONTENT_TYPE, "application/x-git-upload-pack-request")
                .header(ACCEPT, "application/x-git-upload-pack-result")
                .body(body.to_vec()),
            None => builder,
        }
    }
}

impl BitbucketClient {
    /// Sends with one credential after the other until one is neither refused nor out of allowance.
    pub(super) async fn request<T>(
        &self,
        sending: &Sending<'_>,
        deadline: &Deadline,
        read: impl Fn(&Answer) -> anyhow::Result<T>,
    ) -> Result<T, Error> {
        let request = sending.url.path();
        let (mut message, mut refused) = (String::new(), Vec::new());
        let mut asked_again = Vec::new();
        let mut waited = Duration::ZERO;
        let mut url = sending.url.clone();
        let _slot = self.slot(sending).await?;
        loop {
            let clock = self.shared.http.clock();
            let accounts = &self.shared.accounts;
            let chosen = match accounts.choose(sending.group, &refused, self.reserve(), clock.now())
            {
                Choice::Take(chosen) => chosen,
                Choice::Wait(wait)
                    if wait <= SHORT_WAIT && waited + wait <= ALL_WAITS && deadline.has(wait) =>
                {
                    waited += wait;
                    self.tell_limit(sending.url, wait);
                    clock.sleep(wait).await;
                    continue;
                }
                Choice::Wait(wait) => return Err(self.used_up(sending.group, wait)),
                Choice::Nobody if refused.is_empty() => {
                    return Err(Error::Unauthorized { message });
                }
                Choice::Nobody => {
                    let request = request.to_owned();
                    return Err(Error::NotForThisToken { request, message });
                }
            };
            let reply = self
                .send_as(&chosen, sending, &url, deadline, &read)
                .await?;
            if let Some(content) = reply.content {
                return content.map_err(|source| Error::unexpected(request, source));
            }
            if reply.answer.status == StatusCode::TOO_MANY_REQUESTS {
                continue;
            }
            match Redirect::of(sending, &url, &reply.answer) {
                Some(Redirect::Again(target)) => {
                    url = target;
                    continue;
                }
                Some(Redirect::Kept(target)) => {
                    return self.fetch_kept(sending, target, deadline, read).await;
                }
                Some(Redirect::Refused) | None => {}
            }
            let Error::Unauthorized { message: said } = Error::from_answer(request, &reply.answer)
            else {
                return Err(Error::from_answer(request, &reply.answer));
            };
            message = said;
            match self.is_alive(&chosen, deadline).await? {
                false => accounts.set_aside(chosen.id, "Bitbucket refuses it"),
                // Refused in passing, it is let in now; refused twice, another kind may be.
                true if asked_again.contains(&chosen.kind) => refused.push(chosen.kind),
                true => asked_again.push(chosen.kind),
            }
        }
    }

    /// Of all credentials, for so long.
    fn used_up(&self, group: RateGroup, retry_after: Duration) -> Error {
        let accounts = &self.shared.accounts;
        Error::RateLimited {
            retry_after,
            contents_alone: group == RateGroup::RawFiles && accounts.count_contents_apart(),
            tokens: accounts.len(),
        }
    }

    /// Says that the end of a limit is waited for.
    fn tell_limit(&self, url: &Url, wait: Duration) {
        self.shared.http.repeats().tell(Repeat {
            server: url.host_str().unwrap_or_default(),
            request: url.path(),
            reason: "the rate limit is used up",
            attempt: 1,
            wait,
        });
    }

    /// Asks whether Bitbucket accepts each of the credentials that have anything left of their allowance; those that it
    /// does not are set aside ([`refused`](Self::refused)). An error says that there is no telling.
    pub async fn probe(&self, deadline: &Deadline) -> Result<(), Error> {
        let (accounts, now) = (&self.shared.accounts, self.shared.http.clock().now());
        for chosen in accounts.usable(RateGroup::Api, now) {
            match self.is_alive(&chosen, deadline).await {
                Ok(true) | Err(Error::RateLimited { .. }) => {}
                Ok(false) => accounts.set_aside(chosen.id, "Bitbucket refuses it"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The right to have one more request of its group under way.
    pub(super) async fn slot(&self, sending: &Sending<'_>) -> Result<OwnedSemaphorePermit, Error> {
        let slots = locked(&self.shared.slots).of(sending.group);
        let slot = slots.acquire_owned().await;
        // Closed only when it is dropped.
        slot.map_err(|error| Error::unexpected(sending.url.path(), error.into()))
    }

    /// Sends with one credential to `url`, and takes in what the answer says about its allowance.
    pub(super) async fn send_as<T>(
        &self,
        chosen: &Chosen,
        sending: &Sending<'_>,
        url: &Url,
        deadline: &Deadline,
        read: impl Fn(&Answer) -> anyhow::Result<T>,
    ) -> Result<Reply<T>, Error> {
        let Shared { http, accounts, .. } = &*self.shared;
        let group = sending.group;
        // Of the last try: the ones before it were no 429.
        let sent = Mutex::new(Incident::default());
        let build = || {
            *locked(&sent) = accounts.count(chosen.id, group, http.clock().now());
            let builder = http.client().request(sending.method.clone(), url.clone());
            let builder = builder.header(AUTHORIZATION, chosen.header.clone());
            sending.dress(builder)
        };
        let reply = http
            .send(sending.policy, deadline, build, read)
            .await
            .map_err(|error| Error::from_http(url.path(), error, deadline))?;
        let (answer, now, sent) = (&reply.answer, http.clock().now(), *locked(&sent));
        let headers = rate_headers(answer);
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            let wait = retry_after(answer, now);
            accounts.refuse(chosen.id, group, sent, &headers, wait, now);
        } else {
            accounts.accept(chosen.id, group, sent, &headers, now);
        }
        Ok(reply)
    }

    /// Whether Bitbucket accepts a credential at all, after it has answered 401 to one request: it does so to good
    /// tokens, too, where an endpoint does not take their kind. The workspace itself is asked for, at most once a
    /// minute.
    async fn is_alive(&self, chosen: &Chosen, deadline: &Deadline) -> Result<bool, Error> {
        let _one_at_a_time = self.shared.probing.lock().await;
        let Shared { http, accounts, .. } = &*self.shared;
        if let Some(known) = accounts.is_alive(chosen.id, http.clock().now()) {
            return Ok(known);
        }
        let url = self.url(["workspaces", self.workspace_name()], &[]);
        let probe = Sending::get(RateGroup::Api, &JSON, &url);
        let mut reply = self
            .send_as(chosen, &probe, &url, deadline, |_| Ok(()))
            .await?;
        if reply.answer.status == StatusCode::UNAUTHORIZED {
            // What refuses one request in passing may refuse the next one as well.
            reply = self
                .send_as(chosen, &probe, &url, deadline, |_| Ok(()))
                .await?;
        }
        let answer = reply.answer;
        match answer.status.as_u16() {
            401 => return Ok(false),
            429 => {
                let wait = retry_after(&answer, http.clock().now());
                return Err(Error::RateLimited {
                    retry_after: wait.unwrap_or(SHORT_WAIT),
                    contents_alone: false,
                    tokens: 1,
                });
            }
            status if !answer.status.is_success() && Class::of_status(status) == Class::Later => {
                return Err(Error::from_answer(url.path(), &answer));
            }
            // Whoever is told that something is forbidden or not there has been let in.
            _ => {}
        }
        accounts.note_alive(chosen.id, http.clock().now());
        Ok(true)
    }
}

/// What the headers say about the allowance.
fn rate_headers(answer: &Answer) -> RateHeaders {
    let trimmed = |name| answer.header(name).map(str::trim);
    RateHeaders {
        limit: trimmed("x-ratelimit-limit").and_then(|limit| limit.parse().ok()),
        near_limit: trimmed("x-ratelimit-nearlimit").is_some_and(|near| near == "true"),
        resource: trimmed("x-ratelimit-resource")
            .filter(|resource| !resource.is_empty())
            .map(ToOwned::to_owned),
    }
}
