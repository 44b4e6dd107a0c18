//! What must hold: no deletion that is wrong whatever comes after, and at rest the catalogue of a fresh resync.

use crate::protocol::Protocol;
use crate::rules::Rule;
use crate::set::Set;
use crate::state::{State, WrongDeletion};
use crate::story::{entity_name, item_name};
use crate::world::{Content, ENTITIES, Image};

impl Protocol {
    pub(crate) fn judge(&self, state: &State) -> Result<(), String> {
        match state.wrong_deletion {
            Some(WrongDeletion::Unlisted) => {
                return Err("deleted what exists, on the word of a list".into());
            }
            Some(WrongDeletion::NotOurs) => return Err("deleted what is not ours".into()),
            Some(WrongDeletion::Overlooked) => {
                return Err("adopted what exists, on the word of a list".into());
            }
            Some(WrongDeletion::Unread) => return Err("deleted what could not be read".into()),
            None => {}
        }
        if !state.is_quiet() || state.run.active || state.run_owed {
            return Ok(());
        }
        for entity in 0..ENTITIES {
            self.judge_entity(state, entity)?;
        }
        if self.judges_table {
            self.judge_table(state)
        } else {
            Ok(())
        }
    }

    /// The item's image as a fresh look would map it.
    fn current(&self, state: &State, item: usize) -> Image {
        self.world.image(state.generation, item, state.items[item])
    }

    fn judge_entity(&self, state: &State, entity: usize) -> Result<(), String> {
        let items = (0..self.world.items()).collect::<Set>();
        let writer = items
            .filter(|item| self.current(state, item).keys.contains(entity))
            .first();
        let targeted = items
            .iter()
            .any(|item| self.current(state, item).targets.contains(entity));
        let found = state.port[entity];
        let expected = match writer {
            Some(item) if self.lacks_target(state, item) => return Ok(()),
            Some(item) => found == Content::of(state.generation, item, state.items[item]),
            None if targeted => !self.world.creates_targets || found != Content::ABSENT,
            None => match self.world.port[entity] {
                Content::FOREIGN => found == Content::FOREIGN,
                Content::HANDMADE => matches!(found, Content::HANDMADE | Content::ENRICHED),
                _ => found == Content::ABSENT,
            },
        };
        if expected {
            return Ok(());
        }
        let name = entity_name(entity);
        Err(match writer {
            Some(item) => format!(
                "at rest, {name} is {found}, not what {} maps to",
                item_name(item)
            ),
            None => format!("at rest, {name} is {found}, and nothing maps to it"),
        })
    }

    fn lacks_target(&self, state: &State, item: usize) -> bool {
        let mut targets = self.current(state, item).targets.iter();
        !self.world.creates_targets && targets.any(|target| state.port[target] == Content::ABSENT)
    }

    fn judge_table(&self, state: &State) -> Result<(), String> {
        if state.pen_is_held {
            return Err("at rest, the pen is held".into());
        }
        for item in 0..self.world.items() {
            let (name, claims) = (item_name(item), self.claims_of(self.current(state, item)));
            let place = self.world.places[item];
            let row =
                |entity: usize| (state.holders[entity] | state.related[entity]).contains(place);
            if self.has(Rule::RowsNameHolders) && !claims.iter().all(row) {
                return Err(format!("at rest, a row of {name} is missing"));
            }
            if state.records[item].holds != claims {
                return Err(format!("at rest, the record of {name} is wrong"));
            }
        }
        Ok(())
    }
}
