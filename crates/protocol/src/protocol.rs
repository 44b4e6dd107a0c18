//! The state machine: who can do what next. Rules and worlds are its parameters.

use crate::rules::{Rule, Rules};
use crate::search::Model;
use crate::set::Set;
use crate::state::{Actor, RUN, Record, Run, Stage, State, Step};
use crate::world::{Content, ENTITIES, GENERATIONS, ITEMS, Image, World};

/// The protocol under these rules in this world.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    pub world: World,
    pub rules: Rules,
    /// Whether the table is judged at rest, too, or only the catalogue.
    pub judges_table: bool,
}

impl Protocol {
    /// All rules, catalogue and table judged.
    #[must_use]
    pub const fn complete(world: World) -> Self {
        Self {
            world,
            rules: Rules::ALL,
            judges_table: true,
        }
    }

    /// Some rules left out; only the catalogue counts, since users do not see the table.
    #[must_use]
    pub fn without(rules: &[Rule], world: World) -> Self {
        let rules = rules
            .iter()
            .fold(Rules::ALL, |left, rule| left.without(*rule));
        Self {
            world,
            rules,
            judges_table: false,
        }
    }

    pub(crate) fn has(&self, rule: Rule) -> bool {
        self.rules.has(rule)
    }

    /// What the actor makes of an item.
    pub(crate) fn image(&self, actor: &Actor, item: usize) -> Image {
        self.world.image(actor.generation, item, actor.seen[item])
    }

    pub(crate) fn content(&self, actor: &Actor, item: usize) -> Content {
        Content::of(actor.generation, item, actor.seen[item])
    }

    /// Targets that an item keeps from deletion.
    pub(crate) fn kept_targets(&self, actor: &Actor, item: usize) -> Set {
        self.kept(self.image(actor, item))
    }

    fn kept(&self, image: Image) -> Set {
        if self.has(Rule::TargetsAreHeld) {
            image.targets
        } else {
            Set::EMPTY
        }
    }

    /// Entities that an item holds now, as content or as a target.
    pub(crate) fn claims(&self, actor: &Actor, item: usize) -> Set {
        self.claims_of(self.image(actor, item))
    }

    pub(crate) fn claims_of(&self, image: Image) -> Set {
        image.keys | self.kept(image)
    }

    /// Of the actor's items, the one whose content an entity gets.
    pub(crate) fn writer(&self, actor: &Actor, entity: usize) -> Option<usize> {
        actor
            .items
            .iter()
            .find(|item| self.image(actor, *item).keys.contains(entity))
    }

    /// Entities that the actor writes on behalf of an item.
    pub(crate) fn written_by(&self, actor: &Actor, item: usize) -> Set {
        actor
            .writes
            .filter(|entity| self.writer(actor, entity) == Some(item))
    }

    /// The table and Port as a finished run leaves them.
    fn record_start(&self, state: &mut State) {
        let mut written = Set::EMPTY;
        for item in 0..self.world.items() {
            let variant = self.world.start[item];
            let image = self.world.image(0, item, variant);
            let place = Set::one(self.world.places[item]);
            let writes = image.keys - written;
            written |= image.keys;
            state.records[item] = Record {
                holds: self.claims_of(image),
                writes,
                unsure: false,
            };
            for entity in writes.iter() {
                state.port[entity] = Content::of(0, item, variant);
            }
            if self.has(Rule::RowsNameHolders) {
                image
                    .keys
                    .iter()
                    .for_each(|entity| state.holders[entity] |= place);
                self.kept(image)
                    .iter()
                    .for_each(|entity| state.related[entity] |= place);
            }
        }
        for item in 0..self.world.items() {
            for target in self
                .world
                .image(0, item, self.world.start[item])
                .targets
                .iter()
            {
                if state.port[target] == Content::ABSENT {
                    state.port[target] = Content::STUB;
                }
            }
        }
        state.believed = state.port;
    }
}

impl Model for Protocol {
    type State = State;
    type Step = Step;

    fn start(&self) -> State {
        let world = &self.world;
        let mut state = State {
            items: world.start,
            generation: 0,
            queue: Set::EMPTY,
            port: world.port,
            late: Default::default(),
            records: Default::default(),
            holders: Default::default(),
            related: Default::default(),
            waiting: Default::default(),
            believed: Default::default(),
            pen_is_held: false,
            actors: Default::default(),
            run: Run::default(),
            run_owed: !world.recorded,
            budget: world.budget,
            wrong_deletion: None,
        };
        if world.recorded {
            self.record_start(&mut state);
        }
        state
    }

    fn steps(&self, state: &State, out: &mut Vec<(Step, State)>) {
        if state.wrong_deletion.is_some() {
            return;
        }
        self.change_items(state, out);
        self.take_message(state, out);
        for who in 0..=RUN {
            match state.actors[who].stage {
                Stage::Idle => continue,
                Stage::Choose => self.choose(*state, out),
                Stage::ReadRecords => self.read_records(*state, who, out),
                Stage::ReadBitbucket => self.read_bitbucket(state, who, out),
                Stage::TakePen => self.take_pen(*state, who, out),
                Stage::Check => self.check(*state, who, out),
                Stage::Commit => self.commit(state, who, out),
                Stage::LetGo => self.let_go(*state, who, out),
            }
            self.die(state, who, out);
            self.lose_pen(state, who, out);
        }
        self.late_requests(state, out);
        self.begin_or_resume(state, out);
    }

    fn representative(&self, mut state: State) -> State {
        // Workers are alike; what nobody will read makes no difference.
        let one_writer = self.has(Rule::OneWriter) && self.world.budget.thaws == 0;
        for actor in &mut state.actors {
            // Nobody else can stamp under the pen.
            if actor.stage == Stage::Commit && one_writer {
                actor.fresh = actor.items;
            }
        }
        if state.actors[0] < state.actors[1] {
            state.actors.swap(0, 1);
        }
        if self.has(Rule::CompareWithSnapshot) && self.has(Rule::LiveLookAlwaysCommits) {
            state.believed = Default::default();
        }
        state
    }

    fn verdict(&self, state: &State) -> Result<(), String> {
        self.judge(state)
    }

    fn describe(&self, step: &Step) -> String {
        step.to_string()
    }

    fn facts(&self, state: &State) -> Vec<String> {
        self.facts_of(state)
    }
}

/// Contents fit their code, and sets their bits.
const _: () = assert!(ITEMS <= 4 && ENTITIES <= 8 && GENERATIONS == 2);
