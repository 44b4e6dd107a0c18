//! Who may run at the same time, as Lambda decides it (AWS Lambda developer guide, "Understanding Lambda function
//! scaling" and "Configuring reserved concurrency").
//!
//! An execution environment serves one invocation at a time. Concurrency that is reserved is set aside for one function,
//! and is the most that it gets; all others share what the account has left. Whatever goes beyond is throttled. Pure:
//! nothing runs here. How fast Lambda adds environments (1,000 in ten seconds) is left out: no story comes near it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;

/// The executions of an account, and its functions by name.
#[derive(Clone, Debug)]
pub struct Concurrency {
    account: usize,
    functions: BTreeMap<String, Share>,
}

#[derive(Clone, Debug, Default)]
struct Share {
    reserved: Option<usize>,
    busy: BTreeSet<usize>,
    /// The one that was used last is used first.
    idle: Vec<usize>,
    usage: Usage,
}

/// What a function has needed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Execution environments that were made.
    pub environments: usize,
    /// Invocations that ran at the same time, at most.
    pub peak: usize,
    /// Invocations that did not run.
    pub throttled: usize,
}

/// What becomes of an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// 429 for whoever calls.
    Throttled,
    /// In an environment that has served before.
    Warm { environment: usize },
    /// In one that has to be made. They are numbered from 0.
    Cold { environment: usize },
}

impl Concurrency {
    /// `account`: executions at the same time, of all functions together. AWS gives 1,000, and 10 to new accounts.
    pub fn new(account: usize) -> Concurrency {
        Concurrency {
            account,
            functions: BTreeMap::new(),
        }
    }

    /// # Errors
    /// When there is not so much to reserve.
    pub fn deploy(&mut self, function: &str, reserved: Option<usize>) -> anyhow::Result<()> {
        let share = Share {
            reserved,
            ..Share::default()
        };
        self.functions.insert(function.to_owned(), share);
        ensure!(
            self.reserved() <= self.account,
            "{function} reserves more than the account's {} have left",
            self.account
        );
        Ok(())
    }

    /// Whether an invocation of `function` may run now, and where. A function that is not deployed may not.
    pub fn admit(&mut self, function: &str) -> Admission {
        let unreserved = self.account.saturating_sub(self.reserved());
        let in_common = self.functions.values().filter(|it| it.reserved.is_none());
        let in_common: usize = in_common.map(|share| share.busy.len()).sum();
        let Some(share) = self.functions.get_mut(function) else {
            return Admission::Throttled;
        };
        let has_room = match share.reserved {
            Some(reserved) => share.busy.len() < reserved,
            None => in_common < unreserved,
        };
        match has_room {
            true => share.take(),
            false => {
                share.usage.throttled += 1;
                Admission::Throttled
            }
        }
    }

    /// The invocation in this environment is over.
    pub fn release(&mut self, function: &str, environment: usize) {
        if let Some(share) = self.functions.get_mut(function)
            && share.busy.remove(&environment)
        {
            share.idle.push(environment);
        }
    }

    pub fn usage(&self, function: &str) -> Usage {
        let share = self.functions.get(function);
        share.map(|share| share.usage).unwrap_or_default()
    }

    fn reserved(&self) -> usize {
        self.functions.values().filter_map(|it| it.reserved).sum()
    }
}

impl Share {
    fn take(&mut self) -> Admission {
        let (environment, is_warm) = match self.idle.pop() {
            Some(environment) => (environment, true),
            None => (self.usage.environments, false),
        };
        self.busy.insert(environment);
        self.usage.peak = self.usage.peak.max(self.busy.len());
        match is_warm {
            true => Admission::Warm { environment },
            false => {
                self.usage.environments += 1;
                Admission::Cold { environment }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(limit: usize, functions: &[(&str, Option<usize>)]) -> Concurrency {
        let mut account = Concurrency::new(limit);
        for (function, reserved) in functions {
            account.deploy(function, *reserved).unwrap();
        }
        account
    }

    const COLD: fn(usize) -> Admission = |environment| Admission::Cold { environment };

    #[test]
    fn an_environment_serves_one_invocation_at_a_time_and_is_used_again() {
        let mut account = account(10, &[("f", None)]);
        assert_eq!([account.admit("f"), account.admit("f")], [COLD(0), COLD(1)]);
        account.release("f", 0);
        assert_eq!(account.admit("f"), Admission::Warm { environment: 0 });
        assert_eq!(account.admit("f"), COLD(2));
        let usage = account.usage("f");
        assert_eq!((usage.environments, usage.peak, usage.throttled), (3, 3, 0));
    }

    #[test]
    fn what_is_reserved_is_set_aside_and_bounds() {
        let mut account = account(
            4,
            &[("worker", Some(2)), ("receiver", None), ("other", None)],
        );
        let throttled = Admission::Throttled;
        assert_eq!(account.admit("receiver"), COLD(0));
        assert_eq!(account.admit("other"), COLD(0));
        assert_eq!(account.admit("receiver"), throttled, "the rest is reserved");
        let worker = ["worker"; 3].map(|name| account.admit(name));
        assert_eq!(
            worker,
            [COLD(0), COLD(1), throttled],
            "and no more than that"
        );
        account.release("other", 0);
        assert_eq!(account.admit("receiver"), COLD(1));
        assert_eq!(account.usage("receiver").throttled, 1);
    }

    #[test]
    fn no_more_can_be_reserved_than_there_is() {
        let mut account = account(10, &[("worker", Some(6))]);
        assert!(account.deploy("runs", Some(5)).is_err());
        assert_eq!(account.admit("nobody"), Admission::Throttled);
    }
}
