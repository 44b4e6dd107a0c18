//! The credentials of a client: which there are, what each has used, and which Bitbucket does not accept any more.
//!
//! Sends nothing. A credential is named by an [`AccountId`], so that an answer that comes after a rotation is not put
//! down to whoever has taken its place.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderValue;

use super::auth::{Credential, CredentialKind};
use super::rate_limit::{Allowance, Incident, RateGroup, RateHeaders, Slot, turn};
use crate::deadline::later;
use crate::locked::locked;

/// How long a credential that has answered a probe counts as alive.
const ALIVE_FOR: Duration = Duration::from_secs(60);

/// One credential, for as long as it is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AccountId(u64);

/// The credential whose turn it is.
pub(super) struct Chosen {
    pub(super) id: AccountId,
    pub(super) kind: CredentialKind,
    pub(super) header: HeaderValue,
}

/// The outcome of a choice.
pub(super) enum Choice {
    Take(Chosen),
    Wait(Duration),
    Nobody,
}

#[derive(Default)]
pub(super) struct Accounts {
    accounts: Mutex<Vec<Account>>,
    next_id: AtomicU64,
    set_aside: Mutex<Vec<String>>,
}

struct Account {
    id: AccountId,
    credential: Credential,
    allowance: Allowance,
    /// Until when a 401 needs no probe: it is about the request.
    alive_until: Option<Timestamp>,
    /// Until when git, which has refused it, is not asked with it.
    no_git_until: Option<Timestamp>,
}

impl Accounts {
    pub(super) fn new(credentials: Vec<Credential>) -> Accounts {
        let accounts = Accounts::default();
        accounts.replace(credentials);
        accounts
    }

    /// Goes on with `credentials`. Those that stay keep what they have used; refused ones get another chance.
    pub(super) fn replace(&self, credentials: Vec<Credential>) {
        let mut accounts = self.lock();
        let before = std::mem::take(&mut *accounts);
        *accounts = credentials
            .into_iter()
            .map(|credential| {
                let known = before
                    .iter()
                    .find(|account| account.credential.is(&credential));
                let mut allowance =
                    known.map_or_else(Allowance::new, |account| account.allowance.clone());
                allowance.revoked = false;
                Account {
                    id: AccountId(self.next_id.fetch_add(1, Ordering::Relaxed)),
                    credential,
                    allowance,
                    alive_until: None,
                    no_git_until: None,
                }
            })
            .collect();
    }

    /// Where all credentials are set aside, each gets another chance.
    pub(super) fn try_refused_again(&self) {
        let mut accounts = self.lock();
        if accounts.iter().all(|account| account.allowance.revoked) {
            for account in accounts.iter_mut() {
                account.allowance.revoked = false;
            }
        }
    }

    /// Whether all credentials are set aside.
    pub(super) fn are_refused(&self) -> bool {
        let accounts = self.lock();
        accounts.iter().all(|account| account.allowance.revoked)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// How many requests may go within this hour, all credentials together, `reserve` of each apart.
    pub(super) fn left(&self, group: RateGroup, reserve: f64, now: Timestamp) -> u32 {
        let mut accounts = self.lock();
        let allowances = accounts.iter_mut().map(|account| &mut account.allowance);
        allowances
            .filter(|allowance| !allowance.revoked)
            .map(|allowance| allowance.left(group, reserve, now))
            .sum()
    }

    /// Whether contents of files are counted apart from everything else, with each credential.
    pub(super) fn count_contents_apart(&self) -> bool {
        let accounts = self.lock();
        accounts
            .iter()
            .all(|account| account.allowance.counts_contents_apart())
    }

    pub(super) fn usage(&self) -> BTreeMap<String, Allowance> {
        let accounts = self.lock();
        let named = accounts
            .iter()
            .map(|account| (account.credential.name(), account.allowance.clone()));
        named.collect()
    }

    /// In the order of the credentials.
    pub(super) fn allowances(&self) -> Vec<Allowance> {
        let accounts = self.lock();
        accounts
            .iter()
            .map(|account| account.allowance.clone())
            .collect()
    }

    pub(super) fn learn_usage(&self, usage: &BTreeMap<String, Allowance>) {
        for account in self.lock().iter_mut() {
            if let Some(known) = usage.get(&account.credential.name()) {
                account.allowance.learn(known);
            }
        }
    }

    pub(super) fn take_set_aside(&self) -> Vec<String> {
        std::mem::take(&mut *locked(&self.set_aside))
    }

    /// Whose turn it is, of those whose kind is not among `refused`.
    pub(super) fn choose(
        &self,
        group: RateGroup,
        refused: &[CredentialKind],
        reserve: f64,
        now: Timestamp,
    ) -> Choice {
        loop {
            let id = {
                let mut accounts = self.lock();
                let (ids, allowances): (Vec<AccountId>, Vec<&mut Allowance>) = accounts
                    .iter_mut()
                    .filter(|account| !refused.contains(&account.credential.kind()))
                    .filter(|account| account.is_taken_by(group, now))
                    .map(|account| (account.id, &mut account.allowance))
                    .unzip();
                match turn(allowances.into_iter(), group, reserve, now) {
                    Slot::Take(index) => ids.get(index).copied(),
                    Slot::Wait(wait) => return Choice::Wait(wait),
                    Slot::Nobody => return Choice::Nobody,
                }
            };
            let chosen = id.and_then(|id| {
                self.with(id, |account| {
                    let credential = &account.credential;
                    (id, credential.kind(), credential.header(group))
                })
            });
            match chosen {
                Some((id, kind, Some(header))) => {
                    return Choice::Take(Chosen { id, kind, header });
                }
                Some((id, _, None)) => {
                    self.set_aside(id, "it holds characters that no header may hold");
                }
                // Rotated away in between.
                None => {}
            }
        }
    }

    /// Those that may be used now, each with its header.
    pub(super) fn usable(&self, group: RateGroup, now: Timestamp) -> Vec<Chosen> {
        let mut accounts = self.lock();
        let usable = accounts
            .iter_mut()
            .filter(|account| !account.allowance.revoked);
        let chosen = usable.filter_map(|account| {
            let is_open = 0 < account.allowance.left(group, 0.0, now);
            let header = account.credential.header(group).filter(|_| is_open)?;
            let (id, kind) = (account.id, account.credential.kind());
            Some(Chosen { id, kind, header })
        });
        chosen.collect()
    }

    /// Numbers of those that are set aside, from 1, and how many there are in all.
    pub(super) fn refused(&self) -> (Vec<usize>, usize) {
        let accounts = self.lock();
        let refused = accounts.iter().enumerate();
        let refused = refused.filter(|(_, account)| account.allowance.revoked);
        (refused.map(|(at, _)| at + 1).collect(), accounts.len())
    }

    /// Counts a request that is about to be sent.
    pub(super) fn count(&self, id: AccountId, group: RateGroup, now: Timestamp) -> Incident {
        self.with(id, |account| account.allowance.count(group, now))
            .unwrap_or_default()
    }

    /// A 429 to a request that was counted under `sent`.
    pub(super) fn refuse(
        &self,
        id: AccountId,
        group: RateGroup,
        sent: Incident,
        headers: &RateHeaders,
        wait: Option<Duration>,
        now: Timestamp,
    ) {
        self.with(id, |account| {
            account.allowance.refuse(group, sent, headers, wait, now);
        });
    }

    /// Any other answer to a request that was counted under `sent`.
    pub(super) fn accept(
        &self,
        id: AccountId,
        group: RateGroup,
        sent: Incident,
        headers: &RateHeaders,
        now: Timestamp,
    ) {
        self.with(id, |account| {
            account.allowance.accept(group, sent, headers, now);
        });
    }

    /// Whether the credential is accepted, as far as that is known without asking.
    pub(super) fn is_alive(&self, id: AccountId, now: Timestamp) -> Option<bool> {
        let known = self.with(id, |account| {
            if account.allowance.revoked {
                return Some(false);
            }
            account
                .alive_until
                .is_some_and(|until| now < until)
                .then_some(true)
        });
        // One that was rotated away is of no use to anybody.
        known.unwrap_or(Some(false))
    }

    /// It has just answered a probe.
    pub(super) fn note_alive(&self, id: AccountId, now: Timestamp) {
        self.with(id, |account| {
            account.alive_until = Some(later(now, ALIVE_FOR));
        });
    }

    /// Git has refused it, whatever the API does.
    pub(super) fn refuse_git(&self, id: AccountId, until: Timestamp) {
        self.with(id, |account| account.no_git_until = Some(until));
    }

    /// Asks nothing more of a credential until the credentials are replaced.
    pub(super) fn set_aside(&self, id: AccountId, reason: &str) {
        let mut accounts = self.lock();
        let all = accounts.len();
        let found = accounts
            .iter_mut()
            .enumerate()
            .find(|(_, account)| account.id == id && !account.allowance.revoked);
        let Some((index, account)) = found else {
            return;
        };
        account.allowance.revoked = true;
        tracing::warn!(
            credential = index + 1,
            of = all,
            reason,
            "Bitbucket credential set aside"
        );
        let line = format!(
            "Bitbucket credential {} of {all} set aside: {reason}",
            index + 1
        );
        locked(&self.set_aside).push(line);
    }

    fn with<T>(&self, id: AccountId, act: impl FnOnce(&mut Account) -> T) -> Option<T> {
        let mut accounts = self.lock();
        let account = accounts.iter_mut().find(|account| account.id == id);
        account.map(act)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Account>> {
        locked(&self.accounts)
    }
}

impl Account {
    fn is_taken_by(&self, group: RateGroup, now: Timestamp) -> bool {
        let is_refused = self.no_git_until.is_some_and(|until| now < until);
        !(matches!(group, RateGroup::Git) && is_refused)
    }
}
