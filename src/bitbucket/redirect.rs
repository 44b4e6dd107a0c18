//! Where Bitbucket sends us. An address of the API is asked again only where it is the same place with a slash more or
//! less; the content of a large file is fetched from wherever it is kept, without our credentials.

use url::Url;

use super::client::BitbucketClient;
use super::error::Error;
use super::rate_limit::RateGroup;
use super::sending::Sending;
use crate::deadline::Deadline;
use crate::http::{Answer, is_same_place, redirect_target};

/// Bitbucket's storage answers itself, or names the network that it delivers through.
const MAX_STEPS: usize = 3;

/// What is done about a redirect.
pub(super) enum Redirect {
    /// The same request, with credentials, for this address.
    Again(Url),
    /// The content lies there, and is to be asked for without credentials.
    Kept(Url),
    /// Nobody goes there.
    Refused,
}

impl Redirect {
    /// What the answer to `sending`, sent to `asked`, stands for; `None` where it is no redirect.
    pub(super) fn of(sending: &Sending<'_>, asked: &Url, answer: &Answer) -> Option<Redirect> {
        let target = redirect_target(answer, asked)?;
        // `asked` differs from what was to be asked where a redirect was followed before.
        let is_first = asked == sending.url;
        if is_first && sending.method.is_safe() && is_same_place(asked, &target) {
            return Some(Redirect::Again(target));
        }
        let is_file = matches!(sending.group, RateGroup::RawFiles);
        Some(match is_file && may_be_asked(sending.url, &target) {
            true => Redirect::Kept(target),
            false => Redirect::Refused,
        })
    }
}

impl BitbucketClient {
    /// What is kept at `target`, to where the answer to `sending` has led.
    pub(super) async fn fetch_kept<T>(
        &self,
        sending: &Sending<'_>,
        mut target: Url,
        deadline: &Deadline,
        read: impl Fn(&Answer) -> anyhow::Result<T>,
    ) -> Result<T, Error> {
        let (http, request) = (&self.shared.http, sending.url.path());
        let mut steps = 1;
        loop {
            let build = || http.client().get(target.clone());
            let reply = http
                .send(sending.policy, deadline, build, &read)
                .await
                .map_err(|error| Error::from_http(request, error, deadline))?;
            if let Some(content) = reply.content {
                return content.map_err(|source| Error::unexpected(request, source));
            }
            let next = redirect_target(&reply.answer, &target);
            match next.filter(|next| steps < MAX_STEPS && may_be_asked(sending.url, next)) {
                Some(next) => target = next,
                None => return Err(Error::from_storage(request, &reply.answer)),
            }
            steps += 1;
        }
    }
}

/// Over a connection no weaker than the one that led there.
fn may_be_asked(asked: &Url, target: &Url) -> bool {
    target.scheme() == "https" || target.scheme() == asked.scheme()
}
