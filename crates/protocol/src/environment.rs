//! What happens to the actors: items change, deliveries arrive or get lost, processes die, requests come late.

use crate::protocol::Protocol;
use crate::rules::Rule;
use crate::set::Set;
use crate::state::{Actor, Late, RUN, Stage, State, Step};
use crate::world::{Content, ENTITIES, Variant};

impl Protocol {
    pub(crate) fn change_items(&self, state: &State, out: &mut Vec<(Step, State)>) {
        if state.budget.changes == 0 {
            return;
        }
        for item in 0..self.world.items() {
            for to in (0..=self.world.shapes[item])
                .map(Variant)
                .filter(|to| *to != state.items[item])
            {
                let mut next = *state;
                next.items[item] = to;
                next.run.overlooked -= Set::one(item);
                next.budget.changes -= 1;
                let item = item as u8;
                if state.budget.lost > 0 {
                    let mut unheard = next;
                    unheard.budget.lost -= 1;
                    unheard.run_owed = true;
                    out.push((Step::ChangeUnheard { item, to }, unheard));
                }
                next.queue |= Set::one(usize::from(item));
                out.push((Step::Change { item, to }, next));
            }
        }
    }

    /// A free worker takes a message. Workers are alike: only one of the free ones has to be tried.
    pub(crate) fn take_message(&self, state: &State, out: &mut Vec<(Step, State)>) {
        let is_idle = |worker: &usize| state.actors[*worker].stage == Stage::Idle;
        let Some(worker) = (0..self.world.workers).rev().find(is_idle) else {
            return;
        };
        for item in state.queue.iter() {
            let mut next = *state;
            next.queue -= Set::one(item);
            let step = |generation| Step::Take {
                worker: worker as u8,
                item: item as u8,
                generation,
            };
            next.actors[worker] = self.looking(Set::one(item), state.generation);
            out.push((step(state.generation), next));
            if state.generation > 0 && state.budget.old_looks > 0 {
                next.budget.old_looks -= 1;
                next.actors[worker].generation = 0;
                out.push((step(0), next));
            }
        }
    }

    /// The actor dies: its message comes back, its pen passes on. Its requests to Port have taken effect or never
    /// will, except in a world that allows late ones.
    pub(crate) fn die(&self, state: &State, who: usize, out: &mut Vec<(Step, State)>) {
        if state.budget.deaths == 0 {
            return;
        }
        let actor = state.actors[who];
        let mut next = *state;
        next.budget.deaths -= 1;
        if who != RUN && self.has(Rule::AcknowledgeLast) {
            next.queue |= actor.items;
        }
        if actor.has_pen {
            next.pen_is_held = false;
        }
        next.actors[who] = Actor::default();
        out.push((Step::Die { actor: who as u8 }, next));

        let pending = actor.pending;
        let sends = actor.stage == Stage::Commit && pending.announce.is_empty();
        if state.budget.late > 0 && sends && !(pending.write | pending.delete).is_empty() {
            next.budget.late -= 1;
            for entity in pending.write.iter() {
                if let Some(item) = self.writer(&actor, entity) {
                    next.late.writes[entity] = self.content(&actor, item);
                }
            }
            next.late.deletes = pending.delete;
            out.push((Step::DieLate { actor: who as u8 }, next));
        }
    }

    /// Another actor gets the lease although its holder lives: the holder was frozen, and goes on from where it was.
    pub(crate) fn lose_pen(&self, state: &State, who: usize, out: &mut Vec<(Step, State)>) {
        let actor = &state.actors[who];
        if state.budget.thaws == 0 || !actor.has_pen || actor.stage == Stage::LetGo {
            return;
        }
        let mut next = *state;
        next.budget.thaws -= 1;
        next.pen_is_held = false;
        next.actors[who].has_pen = false;
        next.run_owed = true;
        out.push((Step::LosePen { actor: who as u8 }, next));
    }

    pub(crate) fn late_requests(&self, state: &State, out: &mut Vec<(Step, State)>) {
        if state.late.is_empty() {
            return;
        }
        for entity in 0..ENTITIES {
            let content = state.late.writes[entity];
            let mut next = *state;
            next.run_owed = true;
            if content != Content::ABSENT {
                next.port[entity] = content;
                next.late.writes[entity] = Content::ABSENT;
            } else if state.late.deletes.contains(entity) {
                if state.port[entity].is_ours() {
                    next.port[entity] = Content::ABSENT;
                }
                next.late.deletes -= Set::one(entity);
            } else {
                continue;
            }
            out.push((
                Step::LateRequest {
                    entity: entity as u8,
                },
                next,
            ));
        }
        let mut next = *state;
        next.late = Late::default();
        out.push((Step::LateRequestsEnd, next));
    }
}
