//! Line 4: what a commit writes and deletes, which rows it leaves and whom it wakes. Pure: everything that it needs was
//! read under the pen.

use crate::protocol::Protocol;
use crate::rules::Rule;
use crate::set::Set;
use crate::state::{Actor, State};
use crate::world::ENTITIES;

#[derive(Clone, Copy, Default)]
pub(crate) struct Plan {
    /// Entities that the items held or hold now.
    pub(crate) touched: Set,
    pub(crate) writes: Set,
    pub(crate) deletes: Set,
    /// Items that must look again: they have become the first holders of an entity.
    pub(crate) wakes: Set,
    /// Places among the items' own that hold each touched entity's content from now on ..
    pub(crate) holders: [Set; ENTITIES],
    /// .. and those that relate to it.
    pub(crate) related: [Set; ENTITIES],
}

impl Protocol {
    pub(crate) fn plan(&self, state: &State, actor: &Actor) -> Plan {
        let mut plan = Plan::default();
        for item in actor.items.iter() {
            plan.touched |= state.records[item].holds | self.claims(actor, item);
        }
        for entity in plan.touched.iter() {
            self.plan_entity(state, actor, entity, &mut plan);
        }
        plan
    }

    fn plan_entity(&self, state: &State, actor: &Actor, entity: usize, plan: &mut Plan) {
        let producing = actor
            .items
            .filter(|item| self.image(actor, item).keys.contains(entity));
        let relating = actor
            .items
            .filter(|item| self.kept_targets(actor, item).contains(entity));
        let others_hold = self.holders(state, entity) - actor.items;
        let others_relate = self.relating(state, entity) - actor.items;

        let own_places = self.world.places_of(actor.items);
        plan.holders[entity] = self.world.places_of(others_hold | producing) & own_places;
        plan.related[entity] = self.world.places_of(others_relate | relating) & own_places;

        let now = others_hold | producing;
        let is_held = |item: usize| state.records[item].holds.contains(entity);
        let before = self.holders(state, entity) | actor.items.filter(is_held);
        let writer = if self.has(Rule::FirstHolderWrites) {
            now.first()
        } else {
            producing.first().or(now.first())
        };
        let targeted = !(others_relate | relating).is_empty();
        match writer {
            Some(writer) if actor.items.contains(writer) => plan.writes |= Set::one(entity),
            Some(writer) if self.has(Rule::WakeNextHolder) && before.first() != Some(writer) => {
                plan.wakes |= Set::one(writer);
            }
            Some(_) => {}
            None if targeted && self.world.creates_targets => {}
            None => plan.deletes |= Set::one(entity),
        }
    }

    /// Items that produce an entity: a row names the place, the place's records name the items.
    fn holders(&self, state: &State, entity: usize) -> Set {
        self.items_by_row(state, state.holders[entity], entity)
            .filter(|item| self.world.produces(item, entity))
    }

    /// Items that have an entity as a target.
    fn relating(&self, state: &State, entity: usize) -> Set {
        self.items_by_row(state, state.related[entity], entity)
            .filter(|item| !self.world.produces(item, entity))
    }

    fn items_by_row(&self, state: &State, row: Set, entity: usize) -> Set {
        self.world
            .items_of(row)
            .filter(|item| state.records[item].holds.contains(entity))
    }
}
