//! The ways to read entities: one by one, by query, by query in pages, and by data source.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::State;
use super::refusal::Refusal;
use super::routes::{Answer, flag, json_body};
use super::rules::Query;
use super::state::{Key, StoredEntity};
use crate::server::{Request, Response};

/// Largest `limit` of the paged search, and its default.
const SEARCH_LIMIT: (u64, u64) = (1000, 200);
/// Largest `limit` of the data-source listing; the largest that Ocean asks for.
const DATASOURCE_LIMIT: (u64, u64) = (5000, 5000);

pub(super) fn get(state: &State, blueprint: &str, identifier: &str) -> Answer {
    state.blueprint(blueprint)?;
    let entity = state.entity(blueprint, identifier)?;
    Ok(Response::json(
        200,
        &json!({"ok": true, "entity": entity.render(state.blueprints.get(blueprint))}),
    ))
}

pub(super) fn list(state: &State, blueprint: &str) -> Answer {
    let definition = state.blueprint(blueprint)?;
    let entities: Vec<Value> = state
        .entities_of(blueprint)
        .map(|entity| entity.render(Some(definition)))
        .collect();
    Ok(Response::json(
        200,
        &json!({"ok": true, "entities": entities}),
    ))
}

/// `POST /v1/entities/search`: the whole organisation, in one answer.
pub(super) fn organization(state: &State, request: &Request) -> Answer {
    flag(request, "exclude_calculated_properties")?;
    let fields = Fields {
        include: request.query_all("include").map(str::to_owned).collect(),
        exclude: request.query_all("exclude").map(str::to_owned).collect(),
        spelling: Spelling::Path,
    };
    let query = Query::parse(&json_body(request)?)?;
    let found: Vec<&StoredEntity> = state
        .entities
        .values()
        .filter(|entity| query.matches(entity))
        .collect();
    let mut blueprints: Vec<&str> = found.iter().map(|it| it.blueprint.as_str()).collect();
    blueprints.dedup();
    let entities: Vec<Value> = found.iter().map(|it| fields.render(state, it)).collect();
    Ok(Response::json(
        200,
        &json!({"ok": true, "matchingBlueprints": blueprints, "failedBlueprints": [], "entities": entities}),
    ))
}

/// `POST /v1/blueprints/{blueprint}/entities/search`; `next` is absent on the last page.
pub(super) fn paged(state: &State, request: &Request, blueprint: &str) -> Answer {
    state.blueprint(blueprint)?;
    let body = object(request, &["query", "include", "exclude", "limit", "from"])?;
    let fields = Fields {
        include: strings(&body, "include")?,
        exclude: strings(&body, "exclude")?,
        spelling: Spelling::Name,
    };
    let query = body.get("query").map(Query::parse).transpose()?;
    let matching = state
        .entities_of(blueprint)
        .filter(|entity| query.as_ref().is_none_or(|query| query.matches(entity)));
    let page = Page::cut(state, &body, SEARCH_LIMIT, matching)?;
    let entities: Vec<Value> = page
        .entities
        .iter()
        .map(|it| fields.render(state, it))
        .collect();
    let mut answer = json!({"ok": true, "entities": entities});
    if let Some(next) = page.next {
        answer["next"] = json!(next);
    }
    Ok(Response::json(200, &answer))
}

/// `POST /v1/blueprints/entities/datasource-entities`; `next` is null on the last page.
pub(super) fn datasource(state: &State, request: &Request) -> Answer {
    let known = [
        "datasource_prefix",
        "datasource_suffix",
        "limit",
        "before",
        "from",
    ];
    let body = object(request, &known)?;
    let text = |name: &str| match body.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.as_str()),
        _ => Err(Refusal::invalid(format!("{name} must be a text"))),
    };
    let (prefix, suffix) = (text("datasource_prefix")?, text("datasource_suffix")?);
    let before = match body.get("before") {
        None | Some(Value::Null) => None,
        Some(before) => Some(
            before
                .as_str()
                .and_then(|before| before.parse::<Timestamp>().ok())
                .ok_or_else(|| Refusal::invalid("before must be an ISO time"))?,
        ),
    };
    let matching = state.entities.values().filter(|entity| {
        entity.datasource.starts_with(prefix)
            && entity.datasource.ends_with(suffix)
            && before.is_none_or(|before| entity.updated_at < before)
    });
    let page = Page::cut(state, &body, DATASOURCE_LIMIT, matching)?;
    let entities: Vec<Value> = page
        .entities
        .iter()
        .map(|entity| entity.render(state.blueprints.get(&entity.blueprint)))
        .collect();
    Ok(Response::json(
        200,
        &json!({"ok": true, "entities": entities, "next": page.next}),
    ))
}

/// Some of the entities in order of their keys, and where the rest begins.
struct Page<'a> {
    entities: Vec<&'a StoredEntity>,
    next: Option<String>,
}

impl<'a> Page<'a> {
    /// The cursor is the last key handed out: what is deleted or added meanwhile neither repeats nor hides an entity.
    fn cut(
        state: &State,
        body: &Map<String, Value>,
        (most, default): (u64, u64),
        matching: impl Iterator<Item = &'a StoredEntity>,
    ) -> Result<Page<'a>, Refusal> {
        let limit = match body.get("limit") {
            None => default,
            Some(limit) => limit
                .as_u64()
                .filter(|limit| (1..=most).contains(limit))
                .ok_or_else(|| Refusal::invalid(format!("limit must be 1 to {most}")))?,
        };
        let size = usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .min(state.behaviour.page_size.max(1));
        let from = match body.get("from") {
            None | Some(Value::Null) => None,
            Some(from) => Some(
                from.as_str()
                    .and_then(parse_cursor)
                    .ok_or_else(|| Refusal::invalid("from is not a cursor of ours"))?,
            ),
        };
        let mut rest = matching
            .filter(|entity| from.as_ref().is_none_or(|from| *from < entity.key()))
            .peekable();
        let entities: Vec<&StoredEntity> = rest.by_ref().take(size).collect();
        let more = rest.peek().is_some();
        let next = entities
            .last()
            .filter(|_| more)
            .map(|last| cursor(&last.key()));
        Ok(Page { entities, next })
    }
}

fn cursor(key: &Key) -> String {
    URL_SAFE_NO_PAD.encode(json!([key.0, key.1]).to_string())
}

fn parse_cursor(text: &str) -> Option<Key> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// Which fields of an entity an answer holds.
struct Fields {
    /// Empty means all.
    include: Vec<String>,
    exclude: Vec<String>,
    spelling: Spelling,
}

/// How a request names fields.
#[derive(Clone, Copy)]
enum Spelling {
    /// Where they stand in the entity: `identifier`, `properties`, `relations.owner`.
    Path,
    /// By their identifiers: `$identifier`, `owner`.
    Name,
}

impl Fields {
    fn render(&self, state: &State, entity: &StoredEntity) -> Value {
        let mut entity = entity.render(state.blueprints.get(&entity.blueprint));
        let Some(fields) = entity.as_object_mut() else {
            return entity;
        };
        fields.retain(|name, value| {
            let Value::Object(parts) = value else {
                return self.keeps(&match self.spelling {
                    Spelling::Path => name.clone(),
                    Spelling::Name => format!("${name}"),
                });
            };
            let whole = matches!(self.spelling, Spelling::Path) && self.keeps(name);
            parts.retain(|part, _| {
                let part = match self.spelling {
                    Spelling::Path => format!("{name}.{part}"),
                    Spelling::Name => part.clone(),
                };
                (whole && !self.exclude.contains(&part)) || self.keeps(&part)
            });
            whole || self.include.is_empty() || !parts.is_empty()
        });
        entity
    }

    fn keeps(&self, field: &str) -> bool {
        let listed = |list: &[String]| list.iter().any(|listed| listed == field);
        (self.include.is_empty() || listed(&self.include)) && !listed(&self.exclude)
    }
}

/// The body, which may hold only `known` keys.
fn object(request: &Request, known: &[&str]) -> Result<Map<String, Value>, Refusal> {
    let Value::Object(body) = json_body(request)? else {
        return Err(Refusal::invalid("the body must be an object"));
    };
    match body.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Refusal::invalid(format!("unknown field {name:?}"))),
        None => Ok(body),
    }
}

fn strings(body: &Map<String, Value>, name: &str) -> Result<Vec<String>, Refusal> {
    match body.get(name) {
        None => Ok(Vec::new()),
        Some(list) => serde_json::from_value(list.clone())
            .map_err(|_| Refusal::invalid(format!("{name} must be a list of texts"))),
    }
}
