//! How a story reads: items are A, B, C, entities x, y, z. Content names the item, its shape and, once the mapping is a
//! new one, a prime: `x=A2'`.

use std::fmt;

use crate::protocol::Protocol;
use crate::set::Set;
use crate::state::{RUN, State, Step};
use crate::world::{Content, ENTITIES, Variant};

pub(crate) fn item_name(item: usize) -> char {
    (b'A' + item as u8) as char
}

pub(crate) fn entity_name(entity: usize) -> char {
    (b'x' + entity as u8) as char
}

fn actor_name(actor: u8) -> &'static str {
    match usize::from(actor) {
        RUN => "run",
        0 => "worker 1",
        _ => "worker 2",
    }
}

fn names(members: Set, name: impl Fn(usize) -> char) -> String {
    members.iter().map(name).collect()
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::GONE => f.write_str("gone"),
            Self(shape) => write!(f, "{shape}"),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::ABSENT => "nothing",
            Self::STUB => "a stub",
            Self::FOREIGN => "foreign",
            Self::LEFTOVER => "a leftover",
            Self::HANDMADE => "handmade",
            Self::ENRICHED => "enriched",
            _ => {
                return self.origin().map_or(Ok(()), |(generation, item, shape)| {
                    let prime = if generation > 0 { "'" } else { "" };
                    write!(f, "{}{shape}{prime}", item_name(item))
                });
            }
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let item = |item: u8| item_name(usize::from(item));
        let entity = |entity: u8| entity_name(usize::from(entity));
        match *self {
            Self::Change { item: at, to } => write!(f, "Bitbucket: {} becomes {to}", item(at)),
            Self::ChangeUnheard { item: at, to } => {
                write!(f, "Bitbucket: {} becomes {to}, unheard", item(at))
            }
            Self::Take {
                worker,
                item: at,
                generation,
            } => {
                let mapping = if generation > 0 { " (new mapping)" } else { "" };
                write!(
                    f,
                    "{} takes look({}){mapping}",
                    actor_name(worker),
                    item(at)
                )
            }
            Self::Begin => f.write_str("run begins"),
            Self::Resume => f.write_str("run is resumed"),
            Self::Choose => f.write_str("run chooses what is next"),
            Self::ReadRecords { actor } => write!(f, "{} reads records", actor_name(actor)),
            Self::See { actor, item: at } => write!(f, "{} sees {}", actor_name(actor), item(at)),
            Self::Overlook { item: at } => write!(f, "run's list does not show {}", item(at)),
            Self::FailToRead { item: at } => write!(f, "run cannot read {}", item(at)),
            Self::TakePen { actor } => write!(f, "{} takes the pen", actor_name(actor)),
            Self::Plan { actor } => write!(f, "{} plans", actor_name(actor)),
            Self::GiveUp { actor } => {
                write!(f, "{} leaves out what is outdated", actor_name(actor))
            }
            Self::Announce { actor, item: at } => {
                write!(f, "{} announces {}", actor_name(actor), item(at))
            }
            Self::Write { actor, entity: at } => {
                write!(f, "{} writes {}", actor_name(actor), entity(at))
            }
            Self::Delete { actor, entity: at } => {
                write!(f, "{} deletes {}", actor_name(actor), entity(at))
            }
            Self::Rows { actor, entity: at } => {
                write!(f, "{} writes rows of {}", actor_name(actor), entity(at))
            }
            Self::Wake { actor } => write!(f, "{} sends wakes", actor_name(actor)),
            Self::Settle { actor, item: at } => {
                write!(f, "{} settles {}", actor_name(actor), item(at))
            }
            Self::Refused { actor } => write!(f, "{} is refused", actor_name(actor)),
            Self::LetGo { actor } => write!(f, "{} lets go", actor_name(actor)),
            Self::Die { actor } => write!(f, "{} dies", actor_name(actor)),
            Self::DieLate { actor } => {
                write!(f, "{} dies, its requests are under way", actor_name(actor))
            }
            Self::LosePen { actor } => write!(f, "{} loses the pen and goes on", actor_name(actor)),
            Self::LateRequest { entity: at } => write!(f, "a late request reaches {}", entity(at)),
            Self::LateRequestsEnd => f.write_str("other late requests are lost"),
        }
    }
}

impl Protocol {
    /// The facts of a state, always as many and in one order, so that a story can show what a step changed.
    pub(crate) fn facts_of(&self, state: &State) -> Vec<String> {
        let items = 0..self.world.items();
        let places = |set: Set| {
            set.iter()
                .map(|place| place.to_string())
                .collect::<String>()
        };
        let mut facts: Vec<String> = items
            .clone()
            .map(|item| format!("Bitbucket {}={}", item_name(item), state.items[item]))
            .collect();
        facts.extend(
            (0..ENTITIES)
                .map(|entity| format!("Port {}={}", entity_name(entity), state.port[entity])),
        );
        facts.push(format!("queue {{{}}}", names(state.queue, item_name)));
        facts.extend(items.map(|item| {
            let record = state.records[item];
            let unsure = if record.unsure { " unsure" } else { "" };
            format!(
                "record {}={{{}}}{unsure}",
                item_name(item),
                names(record.holds, entity_name)
            )
        }));
        facts.extend((0..ENTITIES).map(|entity| {
            let row = [
                ("held by", places(state.holders[entity])),
                ("target of", places(state.related[entity])),
                ("awaited by", names(state.waiting[entity], item_name)),
            ];
            let parts = row.iter().filter(|(_, members)| !members.is_empty());
            let parts: Vec<String> = parts
                .map(|(what, members)| format!("{what} {members}"))
                .collect();
            format!("row {}={{{}}}", entity_name(entity), parts.join(", "))
        }));
        facts.push(if state.run_owed {
            "a run is owed".into()
        } else {
            "no run is owed".into()
        });
        facts
    }
}
