//! One resource of a mapping, compiled: what to ask for, which of it to take, and what to make of it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::expression::{Expression, INCLUDED_FILES, Operand};
use super::items::Items;
use super::read::{ConfigNode, Object, Reader};
use super::selector::{Kind, Selector};
use super::whole::WholeMapping;

/// Of the fingerprint: enough to tell the resources of one mapping apart.
const FINGERPRINT_CHARS: usize = 12;

/// One entry of the mapping's `resources`.
pub struct Resource {
    /// Position in the mapping, from 0.
    pub index: usize,
    /// Names this resource in stored documents: the same configuration has the same fingerprint, wherever it stands.
    pub fingerprint: String,
    /// Entities that nothing claims any more are deleted; false where the resource says `enableDelete: false`.
    pub enable_delete: bool,
    pub kind: Kind,
    /// The expression that gives the blueprint, as the mapping has it; of several entities that of the first.
    pub blueprint: String,
    pub selector: Selector,
    /// Judges each item (after expansion); must give a boolean.
    pub(super) query: Expression,
    pub(super) items: Option<Items>,
    /// One entity each; almost always one.
    pub(super) entities: Vec<EntityMapping>,
    pub(super) whole: Vec<WholeMapping>,
    included_files: Vec<String>,
}

/// What an item becomes.
pub(super) struct EntityMapping {
    /// Path of this mapping, for messages.
    pub(super) path: String,
    pub(super) identifier: Operand,
    pub(super) blueprint: Expression,
    pub(super) title: Option<Expression>,
    pub(super) icon: Option<Expression>,
    pub(super) team: Option<Operand>,
    pub(super) properties: Option<Vec<Field<Expression>>>,
    pub(super) relations: Option<Vec<Field<Operand>>>,
}

/// A property or relation.
pub(super) struct Field<T> {
    pub(super) name: String,
    /// Below the entity mapping: `properties.url`.
    pub(super) path: String,
    pub(super) value: T,
}

/// Those of the selector, and those that values name (`file://`).
fn included_files(selector: &Selector, entities: &[EntityMapping]) -> Vec<String> {
    let mut included = selector.included_files().to_vec();
    let fields = entities
        .iter()
        .flat_map(|entity| entity.properties.iter().flatten());
    for file in fields.filter_map(|field| field.value.file()) {
        if !included.iter().any(|known| known == file) {
            included.push(file.to_owned());
        }
    }
    included
}

impl Resource {
    pub(super) fn read(
        reader: &mut Reader,
        index: usize,
        node: &ConfigNode<'_>,
    ) -> Option<Resource> {
        let resource = reader.object(node)?;
        let mut fingerprint = super::fingerprint(node.value);
        fingerprint.truncate(FINGERPRINT_CHARS);
        let enable_delete = reader.flag(&resource, "enableDelete").unwrap_or(true);
        let kind = read_kind(reader, &resource);
        // As in Ocean; paths in `includedFiles` begin at the root there, too.
        reader.file_base = match kind {
            Some(Kind::Folder) => "./",
            _ => "",
        };
        reader.kind = kind;
        let selector = reader.required_object(
            &resource,
            "selector",
            "give {query: 'true'} to take every item",
        );
        let query = selector.as_ref().and_then(|selector| {
            let query = reader.required(selector, "query", "give 'true' to take every item")?;
            reader.expression(&query)
        });
        let selector = match (kind, &selector) {
            (Some(kind), Some(selector)) => Some(Selector::read(reader, kind, selector)),
            _ => None,
        };
        let remedy = "give {entity: {mappings: {identifier: .., blueprint: ..}}}";
        let port = reader.required_object(&resource, "port", remedy);
        let items = port.as_ref().and_then(|port| Items::read(reader, port));
        let entities = port.and_then(|port| {
            let entity = reader.required_object(&port, "entity", remedy)?;
            let mappings = reader.required(&entity, "mappings", remedy)?;
            let mappings = if mappings.value.is_array() {
                reader.list(&mappings)?
            } else {
                vec![mappings]
            };
            let (whole, single): (Vec<_>, Vec<_>) = mappings
                .iter()
                .partition(|mapping| mapping.value.is_string());
            let entities = single
                .into_iter()
                .filter_map(|one| EntityMapping::read(reader, one));
            let entities: Vec<EntityMapping> = entities.collect();
            let whole = whole
                .into_iter()
                .filter_map(|one| WholeMapping::read(reader, one));
            Some((entities, whole.collect::<Vec<_>>()))
        });
        let (selector, (entities, whole)) = (selector?, entities?);
        let included_files = included_files(&selector, &entities);
        Some(Resource {
            index,
            fingerprint,
            enable_delete,
            kind: kind?,
            blueprint: blueprint_of(node.value),
            selector,
            query: query?,
            items,
            entities,
            whole,
            included_files,
        })
    }

    /// How messages name this resource: `resources[2] (pull-request)`.
    pub fn name(&self) -> String {
        format!("resources[{}] ({})", self.index, self.kind)
    }

    /// The blueprint, when all items get the same one.
    pub fn constant_blueprint(&self) -> Option<&str> {
        if !self.whole.is_empty() {
            return None;
        }
        let mut blueprints = self
            .entities
            .iter()
            .map(|entity| entity.blueprint.constant().and_then(Value::as_str));
        let first = blueprints.next()??;
        blueprints
            .all(|blueprint| blueprint == Some(first))
            .then_some(first)
    }

    /// Paths of the files that an item carries under `__includedFiles`: those that the selector lists, and those
    /// that a property names with `file://`.
    pub fn included_files(&self) -> &[String] {
        &self.included_files
    }

    /// Whether an expression of this resource may read what is at `path` in a raw item; false only when none does.
    pub fn reads(&self, path: &[&str]) -> bool {
        let mut reads = self.query.reads(path)
            || self
                .items
                .as_ref()
                .is_some_and(|items| items.expression().reads(path))
            || path.first() == Some(&INCLUDED_FILES) && !self.included_files.is_empty();
        for entity in &self.entities {
            entity.each(&mut |_, expression| reads |= expression.reads(path));
        }
        reads |= self.whole.iter().any(|whole| whole.expression.reads(path));
        reads
    }

    /// Whether the same items give the same entities at any time, and Port is asked to find none of them.
    pub fn is_repeatable(&self) -> bool {
        let items = self.items.iter().map(|items| items.expression());
        let whole = self.whole.iter().map(|whole| &whole.expression);
        let mut single = [&self.query].into_iter().chain(items).chain(whole);
        let mut reads_clock = single.any(Expression::reads_clock);
        let mut searches = false;
        for entity in &self.entities {
            entity.each(&mut |_, expression| reads_clock |= expression.reads_clock());
            let relations = entity.relations.iter().flatten().map(|field| &field.value);
            let mut operands = [&entity.identifier]
                .into_iter()
                .chain(&entity.team)
                .chain(relations);
            searches |= operands.any(|operand| matches!(operand, Operand::Search(_)));
        }
        !reads_clock && !searches
    }

    /// Whether the items say themselves which properties and relations are written.
    pub fn writes_anything(&self) -> bool {
        !self.whole.is_empty()
    }

    /// What this resource writes to entities of `blueprint`, as far as it is the same for every item.
    pub fn fields(&self, blueprint: &str) -> Fields {
        let mut fields = Fields::default();
        for entity in &self.entities {
            let constant = entity.blueprint.constant().and_then(Value::as_str);
            if constant.is_some_and(|constant| constant != blueprint) {
                continue;
            }
            fn names<T>(fields: &Option<Vec<Field<T>>>) -> BTreeSet<String> {
                let fields = fields.iter().flatten();
                fields.map(|field| field.name.clone()).collect()
            }
            fields.extend(Fields {
                title: entity.title.is_some(),
                icon: entity.icon.is_some(),
                team: entity.team.is_some(),
                properties: names(&entity.properties),
                relations: names(&entity.relations),
            });
        }
        fields
    }

    /// Whether it addresses entities of `blueprint` by a search query, so that some of them are somebody else's.
    pub fn searches(&self, blueprint: &str) -> bool {
        let searches = |entity: &&EntityMapping| matches!(entity.identifier, Operand::Search(_));
        let mut entities = self.entities.iter().filter(searches);
        // An entity given as a whole says itself how it is addressed.
        !self.whole.is_empty()
            || entities.any(|entity| {
                let constant = entity.blueprint.constant().and_then(Value::as_str);
                constant.is_none_or(|constant| constant == blueprint)
            })
    }

    /// Names of the properties that this resource may write.
    pub fn property_names(&self) -> impl Iterator<Item = &str> {
        let fields = self
            .entities
            .iter()
            .flat_map(|entity| entity.properties.iter().flatten());
        fields.map(|field| field.name.as_str())
    }

    /// Names of the relations that this resource may write.
    pub fn relation_names(&self) -> impl Iterator<Item = &str> {
        let fields = self
            .entities
            .iter()
            .flat_map(|entity| entity.relations.iter().flatten());
        fields.map(|field| field.name.as_str())
    }
}

/// Fields of an entity that a resource names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    pub title: bool,
    pub icon: bool,
    pub team: bool,
    pub properties: BTreeSet<String>,
    pub relations: BTreeSet<String>,
}

impl Fields {
    pub fn extend(&mut self, other: Fields) {
        let Fields {
            title,
            icon,
            team,
            properties,
            relations,
        } = other;
        self.title |= title;
        self.icon |= icon;
        self.team |= team;
        self.properties.extend(properties);
        self.relations.extend(relations);
    }

    pub fn overlap(&self, other: &Fields) -> bool {
        (self.title && other.title)
            || (self.icon && other.icon)
            || (self.team && other.team)
            || !self.properties.is_disjoint(&other.properties)
            || !self.relations.is_disjoint(&other.relations)
    }
}

fn blueprint_of(resource: &Value) -> String {
    const PLACES: [&str; 2] = [
        "/port/entity/mappings/blueprint",
        "/port/entity/mappings/0/blueprint",
    ];
    let mut found = PLACES.iter().filter_map(|place| resource.pointer(place));
    found.find_map(Value::as_str).unwrap_or_default().to_owned()
}

fn read_kind(reader: &mut Reader, resource: &Object<'_>) -> Option<Kind> {
    let known = Kind::ALL.map(Kind::name).join(", ");
    let node = reader.required(resource, "kind", &format!("give one of {known}"))?;
    let name = reader.text(&node)?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    if kind.is_none() {
        reader.mistake(
            node.path,
            format_args!("{name:?} is not known: give one of {known}"),
        );
    }
    kind
}

impl EntityMapping {
    fn read(reader: &mut Reader, node: &ConfigNode<'_>) -> Option<EntityMapping> {
        let mapping = reader.object(node)?;
        let identifier =
            reader.required(&mapping, "identifier", "give a jq expression such as .slug");
        let identifier = identifier.and_then(|node| reader.operand(&node));
        let blueprint = reader.required(
            &mapping,
            "blueprint",
            "give the blueprint in two kinds of quotes, '\"service\"'",
        );
        let blueprint = blueprint.and_then(|node| {
            let expression = reader.expression(&node)?;
            if expression.compile_error().is_some() {
                let remedy = "write a blueprint's name in two kinds of quotes, '\"service\"'";
                reader.problem(&node.path, remedy);
            }
            Some(expression)
        });
        let title = mapping
            .get("title")
            .and_then(|node| reader.expression(&node));
        let icon = mapping
            .get("icon")
            .and_then(|node| reader.expression(&node));
        let team = mapping.get("team").and_then(|node| reader.operand(&node));
        let properties = read_fields(reader, &mapping, "properties", Reader::expression);
        let relations = read_fields(reader, &mapping, "relations", Reader::operand);
        Some(EntityMapping {
            path: node.path.clone(),
            identifier: identifier?,
            blueprint: blueprint?,
            title,
            icon,
            team,
            properties,
            relations,
        })
    }

    /// Every expression, with its path below this mapping.
    pub(super) fn each<'e>(&'e self, visit: &mut dyn FnMut(String, &'e Expression)) {
        self.identifier.each("identifier", visit);
        visit("blueprint".to_owned(), &self.blueprint);
        for (name, expression) in [("title", &self.title), ("icon", &self.icon)] {
            expression
                .iter()
                .for_each(|expression| visit(name.to_owned(), expression));
        }
        self.team.iter().for_each(|team| team.each("team", visit));
        for field in self.properties.iter().flatten() {
            visit(field.path.clone(), &field.value);
        }
        for field in self.relations.iter().flatten() {
            field.value.each(&field.path, visit);
        }
    }
}

/// The map under `key`: null there is a mistake, unlike a missing key.
fn read_fields<T>(
    reader: &mut Reader,
    mapping: &Object<'_>,
    key: &str,
    read: impl Fn(&mut Reader, &ConfigNode<'_>) -> Option<T>,
) -> Option<Vec<Field<T>>> {
    let node = mapping.get(key)?;
    let fields = reader.object(&node)?;
    let fields = fields.entries().filter_map(|(name, node)| {
        let value = read(reader, &node)?;
        Some(Field {
            name: name.to_owned(),
            path: format!("{key}.{name}"),
            value,
        })
    });
    Some(fields.collect())
}
