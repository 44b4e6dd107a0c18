//! Answers from a workspace that is no longer so, and changes in the middle of a list: replica lag, and pages that shift.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, MutexGuard, PoisonError};

use super::state::State;
use super::{Bitbucket, Model, rest};
use crate::server::{FaultKind, Request, Response};

/// States that are remembered, the newest last.
const LONGEST_MEMORY: usize = 50;

/// The workspace as it was at some moment, or one object of it.
#[derive(Clone)]
pub struct Moment {
    state: Arc<State>,
    of: Part,
}

#[derive(Clone)]
enum Part {
    Everything,
    /// By uuid, with all that belongs to it.
    Repository(String),
    /// By uuid of the repository, and number.
    PullRequest(String, u64),
}

/// The states of the workspace after each change.
#[derive(Clone, Default)]
pub(super) struct Memory(Option<VecDeque<Arc<State>>>);

/// The model, locked. What changes meanwhile is remembered.
pub(super) struct Locked<'m>(pub(super) MutexGuard<'m, Model>);

impl Bitbucket {
    /// The workspace as it is now, for [`as_of`](Bitbucket::as_of).
    pub fn moment(&self) -> Moment {
        Moment {
            state: Arc::new(self.model().state.clone()),
            of: Part::Everything,
        }
    }

    /// For a [`Fault`](crate::fault::Fault): the answer is that of `moment`, as a replica gives it that lags behind. A moment
    /// of a single object leaves all else as it is now.
    pub fn as_of(&self, moment: &Moment) -> FaultKind {
        let moment = moment.clone();
        self.answering("an old answer", move |now, _| Some(moment.seen_from(now)))
    }

    /// Remembers the workspace after each change from now on, for [`changes_ago`](Bitbucket::changes_ago).
    pub fn remember(&self) {
        let mut model = self.model();
        let now = Arc::new(model.state.clone());
        model.memory = Memory(Some(VecDeque::from([now])));
    }

    /// For a [`Fault`](crate::fault::Fault): the answer is that of so many changes ago, or the oldest that is
    /// [remembered](Bitbucket::remember).
    pub fn changes_ago(&self, changes: usize) -> FaultKind {
        let name = format!("the answer of {changes} changes ago");
        self.answering(&name, move |_, memory| memory.ago(changes))
    }

    /// For a [`Fault`](crate::fault::Fault): changes the workspace just before a request is answered, so that a list has another order
    /// or other items than its page before. Nobody delivers what the change reports unless `change` does.
    pub fn before(&self, change: impl Fn(&Bitbucket) + Send + Sync + 'static) -> FaultKind {
        // The server must not keep itself alive.
        let (server, model) = (self.server.downgrade(), Arc::downgrade(&self.model));
        FaultKind::before(move |_| {
            if let (Some(server), Some(model)) = (server.upgrade(), model.upgrade()) {
                change(&Bitbucket { server, model });
            }
        })
    }

    fn answering(
        &self,
        name: &str,
        state: impl Fn(&State, &Memory) -> Option<State> + Send + Sync + 'static,
    ) -> FaultKind {
        let model = Arc::downgrade(&self.model);
        FaultKind::instead(name, move |request: &Request, fresh| {
            let Some(model) = model.upgrade() else {
                return fresh(request);
            };
            let mut model = model.lock().unwrap_or_else(PoisonError::into_inner);
            match state(&model.state, &model.memory) {
                Some(old) => answer_from(&mut model, old, request),
                None => rest::answer(&mut model, request),
            }
        })
    }
}

/// Credentials and their allowances are those of now.
fn answer_from(model: &mut Model, old: State, request: &Request) -> Response {
    let now = std::mem::replace(&mut model.state, old);
    let answer = rest::answer(model, request);
    model.state = now;
    answer
}

impl Moment {
    /// Only this repository was so, with all that belongs to it; all else is as it is.
    pub fn of_repository(&self, repository: &str) -> anyhow::Result<Moment> {
        let uuid = self.state.repository(repository)?.uuid.clone();
        Ok(self.of(Part::Repository(uuid)))
    }

    /// Only this pull request was so. It may not have existed.
    pub fn of_pull_request(&self, repository: &str, id: u64) -> anyhow::Result<Moment> {
        let uuid = self.state.repository(repository)?.uuid.clone();
        Ok(self.of(Part::PullRequest(uuid, id)))
    }

    fn of(&self, part: Part) -> Moment {
        Moment {
            state: Arc::clone(&self.state),
            of: part,
        }
    }

    /// The workspace of `now` with what this is a moment of put back.
    fn seen_from(&self, now: &State) -> State {
        let mut seen = now.clone();
        match &self.of {
            Part::Everything => return State::clone(&self.state),
            Part::Repository(uuid) => {
                let old = self.state.find_repository(uuid).cloned();
                let place = seen.repositories.iter().position(|it| it.uuid == *uuid);
                match (
                    old,
                    place.and_then(|place| seen.repositories.get_mut(place)),
                ) {
                    (Some(old), Some(repository)) => *repository = old,
                    (Some(old), None) => seen.repositories.push(old),
                    (None, _) => seen.repositories.retain(|it| it.uuid != *uuid),
                }
            }
            Part::PullRequest(uuid, id) => {
                let old = self.state.find_repository(uuid);
                let old = old.and_then(|repository| repository.pull_requests.get(id));
                let repositories = seen.repositories.iter_mut();
                for repository in repositories.filter(|repository| repository.uuid == *uuid) {
                    match old {
                        Some(old) => repository.pull_requests.insert(*id, old.clone()),
                        None => repository.pull_requests.remove(id),
                    };
                }
            }
        }
        seen
    }
}

impl Memory {
    fn ago(&self, changes: usize) -> Option<State> {
        let states = self.0.as_ref()?;
        let place = states.len().saturating_sub(changes + 1);
        states.get(place).map(|state| State::clone(state))
    }

    fn take_in(&mut self, state: &State) {
        let Some(states) = &mut self.0 else { return };
        if states.back().is_some_and(|last| last.is_as_new_as(state)) {
            return;
        }
        states.push_back(Arc::new(state.clone()));
        if LONGEST_MEMORY < states.len() {
            states.pop_front();
        }
    }
}

impl Deref for Locked<'_> {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.0
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Model {
        &mut self.0
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Model { state, memory, .. } = &mut *self.0;
        memory.take_in(state);
    }
}
