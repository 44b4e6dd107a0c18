//! What only a run does: it begins, goes through the items, looks at what was missing, adopts, and is resumed.

use crate::protocol::Protocol;
use crate::rules::Rule;
use crate::set::Set;
use crate::state::{Actor, Pending, RUN, Run, Stage, State, Step};
use crate::world::ENTITIES;

impl Protocol {
    /// A run that begins, or one whose invocation died and that another goes on with.
    pub(crate) fn begin_or_resume(&self, state: &State, out: &mut Vec<(Step, State)>) {
        if state.run.active {
            if state.actors[RUN].stage == Stage::Idle {
                let mut next = *state;
                if self.has(Rule::SuccessorTakesSnapshot) {
                    next.run.snapshot = state.port;
                }
                next.actors[RUN].stage = Stage::Choose;
                out.push((Step::Resume, next));
            }
            return;
        }
        let at_rest = state.is_quiet() && state.budget.changes == 0;
        let due = state.budget.runs > 0 || state.run_owed && at_rest;
        let raises = self.world.new_mapping && state.generation == 0;
        let waits = raises && self.has(Rule::RaiseGenerationUnderPen) && state.pen_is_held;
        if !due || waits || state.actors[RUN].stage != Stage::Idle {
            return;
        }
        let mut next = *state;
        next.budget.runs = state.budget.runs.saturating_sub(1);
        next.run = Run {
            active: true,
            snapshot: state.port,
            ..Run::default()
        };
        // A look that is under way may have read Bitbucket before what this run is to mend.
        let is_first =
            state.actors.iter().all(|actor| actor.stage == Stage::Idle) && state.late.is_empty();
        next.run_owed &= !is_first;
        next.generation |= u8::from(self.world.new_mapping);
        next.actors[RUN].stage = Stage::Choose;
        out.push((Step::Begin, next));
    }

    /// The next page, or what ends a run: looks at what was missing, then adoption.
    pub(crate) fn choose(&self, mut state: State, out: &mut Vec<(Step, State)>) {
        let left = (0..self.world.items()).collect::<Set>() - state.run.done;
        if !left.is_empty() {
            state.actors[RUN] = self.looking(left, state.generation);
        } else {
            state.queue |= state.run.missing;
            state.run.missing = Set::EMPTY;
            let orphans = self.orphans(&state);
            let unrecorded = self.unrecorded(&state);
            let is_open = self.has(Rule::AdoptOnlyIfProven) && !state.run.proven;
            if orphans.is_empty() {
                state.run = Run::default();
                state.actors[RUN] = Actor::default();
            } else if is_open && !unrecorded.is_empty() {
                state.run.proven = true;
                state.run.done -= unrecorded;
                state.actors[RUN] = self.looking(unrecorded, state.generation);
            } else {
                self.adopt(&mut state, orphans);
            }
        }
        out.push((Step::Choose, state));
    }

    /// Line 8: what Port called ours when the run began and no record names.
    fn orphans(&self, state: &State) -> Set {
        if !self.has(Rule::Adopt) || self.has(Rule::AdoptOnlyIfAllIsRead) && state.run.unread {
            return Set::EMPTY;
        }
        let named = state
            .records
            .iter()
            .fold(Set::EMPTY, |all, record| all | record.holds);
        let ours: Set = (0..ENTITIES)
            .filter(|entity| state.run.snapshot[*entity].is_ours())
            .collect();
        let orphans = ours - named;
        if self.has(Rule::AdoptNothingSearched) {
            orphans - self.world.searched()
        } else {
            orphans
        }
    }

    /// Line 8: items for which no record speaks. They are read again, by a list through which nothing slips.
    fn unrecorded(&self, state: &State) -> Set {
        let items = (0..self.world.items()).collect::<Set>();
        items.filter(|item| state.records[item].holds.is_empty())
    }

    fn adopt(&self, state: &mut State, orphans: Set) {
        let delete = if self.has(Rule::AdoptUnderPen) {
            orphans
        } else {
            unheld(state, orphans)
        };
        let stage = match (self.has(Rule::AdoptUnderPen), delete.is_empty()) {
            (true, _) => Stage::TakePen,
            (false, false) => Stage::Commit,
            (false, true) => Stage::LetGo,
        };
        let pending = Pending {
            delete,
            ..Pending::default()
        };
        state.actors[RUN] = Actor {
            stage,
            pending,
            adopting: true,
            ..Actor::default()
        };
    }

    /// Line 8, under the pen: of the orphans only what no row holds.
    pub(crate) fn check_orphans(&self, mut state: State, out: &mut Vec<(Step, State)>) {
        let delete = unheld(&state, state.actors[RUN].pending.delete);
        let actor = &mut state.actors[RUN];
        actor.pending.delete = delete;
        actor.stage = if delete.is_empty() {
            Stage::LetGo
        } else {
            Stage::Commit
        };
        out.push((Step::Plan { actor: RUN as u8 }, state));
    }
}

fn unheld(state: &State, entities: Set) -> Set {
    entities.filter(|entity| (state.holders[entity] | state.related[entity]).is_empty())
}
