//! Port's query language: `{combinator, rules}` over an entity's properties and `$` fields.
//!
//! Reading and evaluating are apart, so that a malformed query is refused even when the catalogue is empty. `relatedTo`, `isExpired`
//! and presets such as `lastWeek` are refused: nothing simulated needs them.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::state::StoredEntity;

#[derive(Clone, Debug)]
pub(super) enum Query {
    And(Vec<Query>),
    Or(Vec<Query>),
    Rule {
        property: String,
        operator: Operator,
        value: Value,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Contains,
    DoesNotContain,
    ContainsAny,
    BeginsWith,
    DoesNotBeginWith,
    EndsWith,
    DoesNotEndWith,
    In,
    NotIn,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Between,
    NotBetween,
    IsEmpty,
    IsNotEmpty,
}

const OPERATORS: [(&str, Operator); 19] = [
    ("=", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("contains", Operator::Contains),
    ("doesNotContains", Operator::DoesNotContain),
    ("containsAny", Operator::ContainsAny),
    ("beginsWith", Operator::BeginsWith),
    ("doesNotBeginsWith", Operator::DoesNotBeginWith),
    ("endsWith", Operator::EndsWith),
    ("doesNotEndsWith", Operator::DoesNotEndWith),
    ("in", Operator::In),
    ("notIn", Operator::NotIn),
    (">", Operator::Greater),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    ("<=", Operator::LessOrEqual),
    ("between", Operator::Between),
    ("notBetween", Operator::NotBetween),
    ("isEmpty", Operator::IsEmpty),
    ("isNotEmpty", Operator::IsNotEmpty),
];

const META: [&str; 8] = [
    "$identifier",
    "$title",
    "$team",
    "$icon",
    "$blueprint",
    "$createdAt",
    "$updatedAt",
    "$datasource",
];

impl Query {
    pub(super) fn parse(query: &Value) -> Result<Query, Refusal> {
        let Some(rules) = query["rules"].as_array() else {
            return Err(Refusal::invalid("a query needs combinator and rules"));
        };
        let rules: Vec<Query> = rules
            .iter()
            .map(|rule| {
                if rule.get("rules").is_some() {
                    Query::parse(rule)
                } else {
                    Query::parse_rule(rule)
                }
            })
            .collect::<Result<_, _>>()?;
        match query["combinator"].as_str() {
            Some("and") => Ok(Query::And(rules)),
            Some("or") => Ok(Query::Or(rules)),
            _ => Err(Refusal::invalid("combinator must be \"and\" or \"or\"")),
        }
    }

    fn parse_rule(rule: &Value) -> Result<Query, Refusal> {
        let refuse = |why: &str| Err(Refusal::invalid(format!("{why} in rule {rule}")));
        let Some(property) = rule["property"].as_str() else {
            return refuse("no property");
        };
        if property.starts_with('$') && !META.contains(&property) {
            return refuse("unknown meta property");
        }
        let name = rule["operator"].as_str().unwrap_or_default();
        let Some((_, operator)) = OPERATORS.iter().find(|(known, _)| *known == name) else {
            return refuse("unknown operator");
        };
        let value = &rule["value"];
        let fits = match operator {
            Operator::IsEmpty | Operator::IsNotEmpty => true,
            Operator::In | Operator::NotIn | Operator::ContainsAny => value.is_array(),
            Operator::Between | Operator::NotBetween => range(value).is_some(),
            _ => !value.is_null(),
        };
        if !fits {
            return refuse("unfit value");
        }
        Ok(Query::Rule {
            property: property.to_owned(),
            operator: *operator,
            value: value.clone(),
        })
    }

    pub(super) fn matches(&self, entity: &StoredEntity) -> bool {
        match self {
            Query::And(rules) => rules.iter().all(|rule| rule.matches(entity)),
            Query::Or(rules) => rules.iter().any(|rule| rule.matches(entity)),
            Query::Rule {
                property,
                operator,
                value,
            } => holds(&field(entity, property), *operator, value),
        }
    }
}

fn field(entity: &StoredEntity, property: &str) -> Value {
    match property {
        "$identifier" => json!(entity.identifier),
        "$title" => json!(entity.title),
        "$team" => json!(entity.team),
        "$icon" => json!(entity.icon),
        "$blueprint" => json!(entity.blueprint),
        "$createdAt" => json!(entity.created_at),
        "$updatedAt" => json!(entity.updated_at),
        "$datasource" => json!(entity.datasource),
        _ => entity
            .properties
            .get(property)
            .or_else(|| entity.relations.get(property))
            .cloned()
            .unwrap_or_default(),
    }
}

fn holds(field: &Value, operator: Operator, value: &Value) -> bool {
    let text = |test: fn(&str, &str) -> bool| {
        field
            .as_str()
            .zip(value.as_str())
            .is_some_and(|(field, value)| test(field, value))
    };
    let ordered = |wanted: &[Ordering]| {
        compare(field, value).is_some_and(|ordering| wanted.contains(&ordering))
    };
    match operator {
        Operator::Equal => compare(field, value) == Some(Ordering::Equal),
        Operator::NotEqual => compare(field, value) != Some(Ordering::Equal),
        Operator::Contains => contains(field, value),
        Operator::DoesNotContain => !contains(field, value),
        Operator::ContainsAny => list(value).iter().any(|value| contains(field, value)),
        Operator::BeginsWith => text(|field, value| field.starts_with(value)),
        Operator::DoesNotBeginWith => !text(|field, value| field.starts_with(value)),
        Operator::EndsWith => text(|field, value| field.ends_with(value)),
        Operator::DoesNotEndWith => !text(|field, value| field.ends_with(value)),
        Operator::In => is_in(field, list(value)),
        Operator::NotIn => !is_in(field, list(value)),
        Operator::Greater => ordered(&[Ordering::Greater]),
        Operator::GreaterOrEqual => ordered(&[Ordering::Greater, Ordering::Equal]),
        Operator::Less => ordered(&[Ordering::Less]),
        Operator::LessOrEqual => ordered(&[Ordering::Less, Ordering::Equal]),
        Operator::Between => is_between(field, value),
        Operator::NotBetween => !is_between(field, value),
        Operator::IsEmpty => is_empty(field),
        Operator::IsNotEmpty => !is_empty(field),
    }
}

/// Times compare as moments, numbers as numbers, everything else only for equality.
fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    if left == right {
        return Some(Ordering::Equal);
    }
    if let (Some(left), Some(right)) = (left.as_f64(), right.as_f64()) {
        return left.partial_cmp(&right);
    }
    Some(moment(left)?.cmp(&moment(right)?))
}

fn moment(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn contains(field: &Value, value: &Value) -> bool {
    match (field, value) {
        (Value::String(field), Value::String(value)) => field.contains(value.as_str()),
        (Value::Array(field), value) => field.contains(value),
        _ => false,
    }
}

fn is_in(field: &Value, values: &[Value]) -> bool {
    match field {
        Value::Array(fields) => fields.iter().any(|field| values.contains(field)),
        field => values.contains(field),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn is_empty(field: &Value) -> bool {
    match field {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn range(value: &Value) -> Option<(Timestamp, Timestamp)> {
    Some((moment(&value["from"])?, moment(&value["to"])?))
}

fn is_between(field: &Value, value: &Value) -> bool {
    match (moment(field), range(value)) {
        (Some(moment), Some((from, to))) => from <= moment && moment <= to,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity() -> StoredEntity {
        let mut entity = StoredEntity::new(
            &("repository".to_owned(), "api".to_owned()),
            "port-ocean/bitbucket-cloud/1/x/exporter",
            "2026-08-20T10:00:00Z".parse().unwrap(),
        );
        entity.team = vec!["platform".to_owned()];
        entity.properties.insert("stars".to_owned(), json!(3));
        entity
    }

    fn rule(property: &str, operator: &str, value: Value) -> Value {
        json!({"property": property, "operator": operator, "value": value})
    }

    #[test]
    fn rules_read_meta_fields_and_properties() {
        let yes = [
            rule("$identifier", "in", json!(["x", "api"])),
            rule("$datasource", "contains", json!("/x/exporter")),
            rule("$team", "contains", json!("platform")),
            rule("$team", "containsAny", json!(["other", "platform"])),
            rule("stars", "=", json!(3.0)),
            rule("stars", ">=", json!(3)),
            rule("$title", "isEmpty", Value::Null),
            rule("$updatedAt", "<", json!("2026-08-20T12:00:01+02:00")),
            rule(
                "$updatedAt",
                "between",
                json!({"from": "2026-08-20T00:00:00Z", "to": "2026-08-21T00:00:00Z"}),
            ),
        ];
        for rule in yes {
            let query = json!({"combinator": "and", "rules": [rule.clone()]});
            assert!(Query::parse(&query).unwrap().matches(&entity()), "{rule}");
        }
    }

    #[test]
    fn combinators_nest() {
        let query = json!({"combinator": "and", "rules": [
            rule("$blueprint", "=", json!("repository")),
            {"combinator": "or", "rules": [rule("stars", ">", json!(5)), rule("$identifier", "beginsWith", json!("a"))]},
        ]});
        assert!(Query::parse(&query).unwrap().matches(&entity()));
    }

    #[test]
    fn malformed_queries_are_refused() {
        let bad = [
            json!({"rules": []}),
            json!({"combinator": "xor", "rules": []}),
            json!({"combinator": "and", "rules": [rule("$nothing", "=", json!(1))]}),
            json!({"combinator": "and", "rules": [rule("a", "like", json!(1))]}),
            json!({"combinator": "and", "rules": [rule("a", "=", Value::Null)]}),
            json!({"combinator": "and", "rules": [rule("a", "in", json!("x"))]}),
        ];
        for query in bad {
            assert_eq!(Query::parse(&query).unwrap_err().status, 422, "{query}");
        }
    }
}
