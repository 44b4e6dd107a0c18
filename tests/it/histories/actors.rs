//! Those who work: two environments of the events function, and one of the runs function.
//!
//! Owns when each begins, stands still, ends and dies, as Lambda has it. Knows nothing of what they do.

use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use ferry::app::App;
use jiff::Timestamp;
use serde_json::json;

use crate::durability::poll_at_most;
use crate::support::{World, event};

/// By number.
pub(super) const NAMES: [&str; 3] = ["worker 1", "worker 2", "the run"];

/// Number of the one that works on runs.
pub(super) const RUN: usize = 2;

/// Timeouts of the functions, as `template.yaml` has them.
const EVENTS_TIMEOUT: Duration = Duration::from_secs(120);
const RUNS_TIMEOUT: Duration = Duration::from_secs(900);

/// Polls after which somebody who is waited for does not come to it.
const MOST_POLLS: usize = 20_000;

/// Allowances are full again after this.
const HOUR: Duration = Duration::from_secs(3600);

pub(super) struct Actors<'w> {
    world: &'w World,
    environments: [Environment<'w>; 3],
    /// Of the token's allowance.
    hour_ends_at: Timestamp,
}

struct Environment<'w> {
    app: Rc<App>,
    invocation: Option<Invocation<'w>>,
}

struct Invocation<'w> {
    /// What became of it, in words.
    work: Pin<Box<dyn Future<Output = String> + 'w>>,
    /// Lambda ends it then.
    ends_at: Timestamp,
}

impl<'w> Actors<'w> {
    pub(super) fn new(world: &'w World) -> Actors<'w> {
        let environments = [(); 3].map(|()| Environment::new(world));
        Actors {
            world,
            environments,
            hour_ends_at: world.clock.now() + HOUR,
        }
    }

    /// Lets `actor` go on for so many polls; says what it did.
    pub(super) async fn work(&mut self, actor: usize, polls: usize, scheduled: bool) -> String {
        self.pass_time();
        let (world, name) = (self.world, NAMES[actor]);
        let environment = &mut self.environments[actor];
        if environment.is_overdue(world) {
            environment.die(world);
            return format!("{name} has run into its timeout");
        }
        let invocation = environment
            .invocation
            .get_or_insert_with(|| begin(world, &environment.app, actor, scheduled));
        match poll_at_most(&mut invocation.work, polls).await {
            Some(outcome) => {
                environment.invocation = None;
                format!("{name} ends: {outcome}")
            }
            None => format!("{name} for {polls} polls"),
        }
    }

    /// Lets `actor` go on, poll by poll, until `met` holds. False where its invocation ends before.
    pub(super) async fn work_until(
        &mut self,
        actor: usize,
        scheduled: bool,
        mut met: impl FnMut() -> bool,
    ) -> bool {
        for _ in 0..MOST_POLLS {
            self.work(actor, 1, scheduled).await;
            if met() {
                return true;
            }
            if self.environments[actor].invocation.is_none() {
                return false;
            }
        }
        false
    }

    /// False where it was not at work.
    pub(super) fn kill(&mut self, actor: usize) -> bool {
        let environment = &mut self.environments[actor];
        let is_at_work = environment.invocation.is_some();
        environment.die(self.world);
        is_at_work
    }

    /// All that are at work go on until they are done, side by side.
    pub(super) async fn end(&mut self) -> Vec<String> {
        self.pass_time();
        let world = self.world;
        let ends = self.environments.iter_mut().zip(NAMES);
        let ends = ends.filter_map(|(environment, name)| {
            if environment.is_overdue(world) {
                environment.die(world);
            }
            let invocation = environment.invocation.take()?;
            Some(async move { format!("{name} ends: {}", invocation.work.await) })
        });
        futures_util::future::join_all(ends).await
    }

    fn pass_time(&mut self) {
        let now = self.world.clock.now();
        self.world.port.set_now(now);
        if self.hour_ends_at <= now {
            self.world.bitbucket.start_next_hour();
            self.hour_ends_at = now + HOUR;
        }
    }
}

impl<'w> Environment<'w> {
    fn new(world: &'w World) -> Environment<'w> {
        Environment {
            app: Rc::new(world.elsewhere()),
            invocation: None,
        }
    }

    fn is_overdue(&self, world: &World) -> bool {
        let invocation = self.invocation.as_ref();
        invocation.is_some_and(|invocation| invocation.ends_at <= world.clock.now())
    }

    /// What was in the process's memory is gone, too.
    fn die(&mut self, world: &'w World) {
        *self = Environment::new(world);
    }
}

fn begin<'w>(world: &'w World, app: &Rc<App>, actor: usize, scheduled: bool) -> Invocation<'w> {
    let app = Rc::clone(app);
    if actor != RUN {
        return Invocation {
            work: Box::pin(async move {
                let (received, back) = world.work_off_at(&app, EVENTS_TIMEOUT).await;
                format!("{received} messages, {back} of them put off")
            }),
            ends_at: world.clock.now() + EVENTS_TIMEOUT,
        };
    }
    let event = match scheduled {
        true => event("eventbridge-rule"),
        false => json!({"action": "tick"}),
    };
    Invocation {
        work: Box::pin(async move {
            let outcome = world.invoke_for(&app, event, RUNS_TIMEOUT).await;
            outcome.map_or_else(|error| format!("{error:?}"), |outcome| outcome.to_string())
        }),
        ends_at: world.clock.now() + RUNS_TIMEOUT,
    }
}
