//! What a rehearsal has made of entities, told as what people would see in Port: before and after, whatever came between.
//!
//! Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{FieldChange, Preview, PreviewedChange, PreviewedDeletion};
use crate::entity::{Entity, EntityKey, Identifier};
use crate::port::{EntityContent, RehearsedEntity};
use crate::sync::audit::Reasons;

/// Why an entity goes that has no line of its own in the audit.
const ALONG: &str = "it goes along with what it requires";

impl Preview {
    pub(super) fn take_entities(
        &mut self,
        entities: BTreeMap<EntityKey, RehearsedEntity>,
        reasons: &Reasons,
    ) {
        for (key, entity) in entities {
            let RehearsedEntity {
                before,
                after,
                is_stub,
                ..
            } = entity;
            match (before, after) {
                (None, None) => {}
                (None, Some(after)) => {
                    if is_stub {
                        self.stubs.insert(key.clone());
                    }
                    self.created.push(after.into_entity(&key));
                }
                (Some(before), Some(after)) => {
                    let fields = differences(&before, &after);
                    // Written all the same where Port has to resolve a search, or another source wrote last; nothing to see.
                    if !fields.is_empty() {
                        let title = after.title.or(before.title);
                        self.changed.push(PreviewedChange { key, title, fields });
                    }
                }
                (Some(before), None) => {
                    let reason = reasons.get(&key).copied().unwrap_or(ALONG);
                    let title = before.title;
                    self.deleted.push(PreviewedDeletion { key, title, reason });
                }
            }
        }
    }

    /// Entities of which only Port can say which ones are meant.
    pub(super) fn take_unresolved(&mut self, unresolved: &[Entity]) {
        for entity in unresolved {
            let Identifier::Search(query) = &entity.identifier else {
                continue;
            };
            let mut content = EntityContent::default();
            content.take(entity);
            let fields = differences(&EntityContent::default(), &content);
            let key = EntityKey::new(&entity.blueprint, query.to_string());
            let title = content.title;
            self.changed.push(PreviewedChange { key, title, fields });
        }
        if !unresolved.is_empty() {
            self.unknown.push(format!(
                "which entities {} search queries find, once this resync has written others of their blueprints",
                unresolved.len()
            ));
        }
    }

    /// Items that are looked at on their own account once the run is over: others have let go of what they claim too.
    pub(super) fn take_looks(&mut self, looks: usize) {
        if 0 < looks {
            self.unknown.push(format!(
                "what becomes of the entities of {looks} items that are looked at once more after the resync: they are the first \
                 to claim an entity now, wait for one, or have come to nothing before"
            ));
        }
    }

    /// Relations and teams of which only Port can say where they lead.
    pub(super) fn take_unanswered(&mut self, unanswered: usize) {
        if 0 < unanswered {
            self.unknown.push(format!(
                "where relations or teams of {unanswered} entities lead that search queries find, once this resync has written others \
                 of their blueprints"
            ));
        }
    }
}

fn differences(before: &EntityContent, after: &EntityContent) -> Vec<FieldChange> {
    let mut fields = Vec::new();
    let mut compare = |name: String, before: Option<&Value>, after: Option<&Value>| {
        if before != after {
            fields.push(FieldChange {
                name,
                before: before.cloned().unwrap_or_default(),
                after: after.cloned().unwrap_or_default(),
            });
        }
    };
    let heads = [
        ("title", &before.title, &after.title),
        ("icon", &before.icon, &after.icon),
    ];
    for (name, before, after) in heads {
        compare(name.to_owned(), before.as_ref(), after.as_ref());
    }
    let team = |team: &[Value]| (!team.is_empty()).then(|| Value::from(team.to_vec()));
    let (teams_before, teams_after) = (team(&before.team), team(&after.team));
    compare(
        "team".to_owned(),
        teams_before.as_ref(),
        teams_after.as_ref(),
    );
    let groups = [
        ("properties", &before.properties, &after.properties),
        ("relations", &before.relations, &after.relations),
    ];
    for (group, before, after) in groups {
        let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            compare(format!("{group}.{name}"), before.get(name), after.get(name));
        }
    }
    fields
}
