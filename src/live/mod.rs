//! Looks taken for their own sake: what events, wakes and given-up looks ask for.
//!
//! Looks at several objects go on side by side, and what they have come to is committed together. One that hangs or
//! fails is told as failed, and costs the others nothing. Knows nothing of queues' messages or of runs.

mod kept;
mod objects;
mod projects;
mod repository;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use uuid::Uuid;

use self::objects::{Looked, look_at};
use crate::app::{App, Errand, Session};
use crate::deadline::Deadline;
use crate::deliveries::DeliveryEffect;
use crate::entity::Entity;
use crate::failure::{Class, Failure};
use crate::identity::ItemRef;
use crate::look::{Cause, Look};
use crate::port::WriteEvent;
use crate::store::documents::Held;
use crate::store::{Asker, Lease};
use crate::sync::audit::Audit;
use crate::sync::commit::{Committed, Pen, sections};
use crate::sync::generation::Current;
use crate::sync::guard::Guard;
use crate::sync::look::Looker;
use crate::sync::mapper::Mapper;
use crate::sync::outbox::Outbox;
use crate::sync::plan::Seen;
use crate::sync::settle::differs_from_record;
use crate::telemetry::chain;

/// Something to be looked at.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub look: Look,
    /// Bitbucket's answer has to be this recent: the event that asks was.
    pub not_older_than: Option<Timestamp>,
    /// What asks for it, as far as that is known.
    pub causes: BTreeSet<Cause>,
    /// When the first event that asks for it was accepted; `None`: that is not known.
    pub accepted_at: Option<Timestamp>,
}

impl Wanted {
    /// Tells whoever watches that the look has come to nothing yet.
    pub fn tell_wait(&self, app: &App, failure: &Failure) {
        let (object, moments) = (self.look.object(), (self.accepted_at, app.clock.now()));
        for cause in self.causes.iter().filter(|cause| !cause.is_run()) {
            let told = DeliveryEffect::waits(cause, &object, chain(failure), moments);
            app.deliveries.tell(told);
        }
    }

    /// Of two bounds the later one holds.
    pub fn not_older_than(&mut self, bound: Option<Timestamp>) {
        self.not_older_than = self.not_older_than.max(bound);
    }
}

/// What became of one look. Several may share a failure.
pub type LookOutcome = Result<(), Arc<Failure>>;

/// How often a look is taken again because somebody else was faster, before its turn is over.
const ATTEMPTS: usize = 4;

/// The part of the time that looking may take; the rest is for committing.
const SHARE_FOR_LOOKING: f64 = 0.6;

/// When the first looks are done, the others may still come along for so long.
const GRACE: Duration = Duration::from_millis(500);

/// A look that writes no more than this writes everything, whatever the record says: so it mends what was changed in
/// Port.
const EAGER: usize = 20;

/// Takes the looks; the outcome of each, in their order. Taking one twice, or late, changes nothing.
pub async fn take(app: &App, wanted: &[Wanted], deadline: &Deadline) -> Vec<LookOutcome> {
    let audit = Audit::of_events();
    let outcomes = take_with_fresh_credentials(app, wanted, &audit, deadline).await;
    let done = wanted.iter().zip(&outcomes);
    for (wanted, _) in done.filter(|(_, outcome)| outcome.is_ok()) {
        let object = wanted.look.object();
        for cause in wanted.causes.iter().filter(|cause| !cause.is_run()) {
            let moments = (wanted.accepted_at, app.clock.now());
            if let Some(told) = audit.tell_event(cause, &object, moments) {
                app.deliveries.tell(told);
            }
        }
    }
    outcomes
}

async fn take_with_fresh_credentials(
    app: &App,
    wanted: &[Wanted],
    audit: &Audit,
    deadline: &Deadline,
) -> Vec<LookOutcome> {
    let outcomes = take_once(app, wanted, audit, deadline).await;
    let refused = |outcome: &LookOutcome| matches!(outcome, Err(failure) if failure.class() == Class::Credentials);
    if outcomes.iter().any(refused) && app.secrets.forget() {
        tracing::info!("reading the credentials again after a refusal");
        return take_once(app, wanted, audit, deadline).await;
    }
    outcomes
}

async fn take_once(
    app: &App,
    wanted: &[Wanted],
    audit: &Audit,
    deadline: &Deadline,
) -> Vec<LookOutcome> {
    match Taking::begin(app, audit, deadline).await {
        Ok(Some(taking)) => taking.take(wanted).await,
        Ok(None) => vec![nothing_to_look_at(); wanted.len()],
        Err(failure) => vec![Err(Arc::new(failure)); wanted.len()],
    }
}

/// No mapping is in force: the next run, which puts one in force, looks at everything.
fn nothing_to_look_at() -> LookOutcome {
    tracing::info!("nothing is looked at before the first run, which looks at everything");
    Ok(())
}

/// Of looks that have come to nothing yet it is `outcome`.
fn rest(outcomes: Vec<Option<LookOutcome>>, outcome: &LookOutcome) -> Vec<LookOutcome> {
    let outcomes = outcomes.into_iter();
    outcomes
        .map(|known| known.unwrap_or_else(|| outcome.clone()))
        .collect()
}

struct Taking<'a> {
    app: &'a App,
    session: Arc<Session>,
    audit: &'a Audit,
    deadline: &'a Deadline,
    current: Current,
}

impl<'a> Taking<'a> {
    async fn begin(
        app: &'a App,
        audit: &'a Audit,
        deadline: &'a Deadline,
    ) -> Result<Option<Taking<'a>>, Failure> {
        let session = app.session(deadline).await?;
        let current = app.generations.last(&app.store).await?;
        Ok(current.map(|current| Taking {
            app,
            session,
            audit,
            deadline,
            current,
        }))
    }

    async fn take(mut self, wanted: &[Wanted]) -> Vec<LookOutcome> {
        let mut outcomes: Vec<Option<LookOutcome>> = vec![None; wanted.len()];
        for _ in 0..ATTEMPTS {
            let open: Vec<usize> = (0..wanted.len())
                .filter(|at| outcomes.get(*at).is_some_and(Option::is_none))
                .collect();
            if open.is_empty() {
                break;
            }
            if self.attempt(wanted, &open, &mut outcomes).await {
                continue;
            }
            match self.app.generations.current(&self.app.store).await {
                Ok(Some(current)) => self.current = current,
                Ok(None) => return rest(outcomes, &nothing_to_look_at()),
                Err(failure) => return rest(outcomes, &Err(Arc::new(failure))),
            }
        }
        rest(outcomes, &Err(Arc::new(Failure::Overtaken)))
    }

    /// Looks at what is open and commits it. False: the mapping has changed meanwhile.
    async fn attempt(
        &self,
        wanted: &[Wanted],
        open: &[usize],
        outcomes: &mut [Option<LookOutcome>],
    ) -> bool {
        let mapper = Mapper::default();
        let left = self.deadline.remaining().mul_f64(SHARE_FOR_LOOKING);
        let deadline = self.deadline.at_most(left);
        let looker = self.looker(&mapper, &deadline);
        let mut looks: FuturesUnordered<_> = open
            .iter()
            .filter_map(|at| Some((*at, wanted.get(*at)?)))
            .map(|(at, wanted)| {
                let looker = &looker;
                async move { (at, Box::pin(look_at(looker, wanted)).await) }
            })
            .collect();
        let mut is_current = true;
        while let Some(first) = looks.next().await {
            let mut ready = vec![first];
            let rest = async {
                while let Some(next) = looks.next().await {
                    ready.push(next);
                }
            };
            // Who takes longer than the others is committed on his own.
            tokio::time::timeout(GRACE, rest).await.ok();
            is_current &= self.commit(wanted, ready, outcomes).await;
        }
        for problem in mapper.take_problems() {
            tracing::warn!(%problem, "the mapping could not be applied everywhere");
        }
        is_current
    }

    async fn commit(
        &self,
        wanted: &[Wanted],
        looked: Vec<(usize, Result<Looked, Failure>)>,
        outcomes: &mut [Option<LookOutcome>],
    ) -> bool {
        let mut is_current = true;
        let mut uncommitted = Vec::new();
        let mut seen = Vec::new();
        let mut owners: BTreeMap<ItemRef, BTreeSet<usize>> = BTreeMap::new();
        let mut following: BTreeMap<usize, (Vec<Look>, Option<Failure>)> = BTreeMap::new();
        for (at, looked) in looked {
            match looked {
                Err(failure) => {
                    uncommitted.push(at);
                    set(outcomes, at, Err(Arc::new(failure)));
                }
                Ok(Looked {
                    seen: items,
                    follow,
                    failed,
                }) => {
                    set(outcomes, at, Ok(()));
                    if items.is_empty() {
                        uncommitted.push(at);
                    }
                    let causes = wanted.get(at).map(|wanted| &wanted.causes);
                    for item in items {
                        self.audit
                            .owe(&item.item, causes.unwrap_or(&BTreeSet::new()));
                        let owners = owners.entry(item.item.clone()).or_default();
                        // Two events may be about one object.
                        if owners.is_empty() {
                            seen.push(item);
                        }
                        owners.insert(at);
                    }
                    following.insert(at, (follow, failed));
                }
            }
        }
        // No commit tells whether their mapping is still in force: another one may look at something else.
        if !uncommitted.is_empty() && !self.is_in_force().await {
            is_current = false;
            for at in uncommitted {
                set_open(outcomes, at);
            }
        }
        is_current &= self.commit_seen(seen, &owners, outcomes).await;
        for (at, (follow, failed)) in following {
            let is_done = |outcome: &Option<LookOutcome>| matches!(outcome, Some(Ok(())));
            if outcomes.get(at).is_some_and(is_done)
                && let Some(failure) = (self.follow(follow, wanted.get(at)).await).err().or(failed)
            {
                set(outcomes, at, Err(Arc::new(failure)));
            }
        }
        is_current
    }

    /// Whether the mapping that looks are made with is still in force, as far as the store can say.
    async fn is_in_force(&self) -> bool {
        let current = self.app.generations.current(&self.app.store).await;
        match current {
            Ok(current) => current.is_some_and(|it| it.number == self.current.number),
            Err(_) => false,
        }
    }

    /// Commits section by section, and says what it means for those who asked.
    async fn commit_seen(
        &self,
        seen: Vec<Seen>,
        owners: &BTreeMap<ItemRef, BTreeSet<usize>>,
        outcomes: &mut [Option<LookOutcome>],
    ) -> bool {
        let mut is_current = true;
        let mut tell = |items: &mut dyn Iterator<Item = &ItemRef>, outcome: Option<LookOutcome>| {
            for at in items.filter_map(|item| owners.get(item)).flatten() {
                if let Some(slot) = outcomes.get_mut(*at) {
                    slot.clone_from(&outcome);
                }
            }
        };
        for section in sections(seen) {
            let items: Vec<ItemRef> = section.iter().map(|seen| seen.item.clone()).collect();
            match self.section(section).await {
                Err(failure) => tell(&mut items.iter(), Some(Err(Arc::new(failure)))),
                Ok(committed) if committed.outdated => {
                    is_current = false;
                    tell(&mut items.iter(), None);
                }
                Ok(committed) => {
                    tell(&mut committed.overtaken.iter(), None);
                    for (item, later) in &committed.later {
                        let failure = Failure::CommitLater(later.clone());
                        tell(&mut std::iter::once(item), Some(Err(Arc::new(failure))));
                    }
                    self.report(&committed);
                    self.note_kept(&committed).await;
                }
            }
        }
        is_current
    }

    /// One section under the pen.
    async fn section(&self, seen: Vec<Seen>) -> Result<Committed, Failure> {
        let app = self.app;
        let settings = self.current.sources.mapping().settings();
        let guard = Guard::live(
            app.config.deletes_off,
            settings.entity_deletion_threshold,
            app.clock.clone(),
        );
        let is_small = seen.iter().map(Seen::size).sum::<usize>() <= EAGER;
        let differs =
            |entity: &Entity, held: Option<&Held>| is_small || differs_from_record(entity, held);
        let errand = Errand {
            session: &self.session,
            current: &self.current,
            guard: &guard,
            audit: self.audit,
            event: WriteEvent::Live,
            differs: &differs,
            distrusted: None,
        };
        let commit = async |pen: &Pen<'_>, lease: &Lease| pen.commit(lease, seen).await;
        app.with_pen(Asker::Live, errand, self.deadline, commit)
            .await
    }

    /// Leaves what a look has found to be large, or could not read, to looks of their own: in the queue, or remembered.
    async fn follow(&self, follow: Vec<Look>, wanted: Option<&Wanted>) -> Result<(), Failure> {
        let app = self.app;
        let cause = wanted.and_then(|wanted| wanted.causes.first().cloned());
        let outbox = Outbox::new(app.queue.as_ref(), &app.store, &app.clock).because(cause);
        let occasion = Uuid::new_v4().to_string();
        outbox.send(follow, &occasion, self.deadline).await
    }

    fn looker<'b>(&'b self, mapper: &'b Mapper, deadline: &'b Deadline) -> Looker<'b> {
        Looker {
            store: &self.app.store,
            bitbucket: &self.session.bitbucket,
            port: &self.session.port,
            sources: &self.current.sources,
            mapper,
            deadline,
        }
    }
}

/// The look is to be taken once more.
fn set_open(outcomes: &mut [Option<LookOutcome>], at: usize) {
    if let Some(slot) = outcomes.get_mut(at) {
        *slot = None;
    }
}

fn set(outcomes: &mut [Option<LookOutcome>], at: usize, outcome: LookOutcome) {
    if let Some(slot) = outcomes.get_mut(at) {
        *slot = Some(outcome);
    }
}
