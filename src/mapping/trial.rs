//! One raw item through one resource, expression by expression, for somebody who wants to see each of them work.
//!
//! Pure. What becomes of the item is [`Resource::map`]'s business; this shows how.

use jq18::Input;
use serde_json::Value;

use super::evaluate::Unmapped;
use super::expression::Expression;
use super::items::NoItems;
use super::resource::Resource;

/// What an expression makes of an item.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// `resources[0].selector.query`
    pub path: String,
    /// Or why there is none.
    pub value: Result<Value, String>,
}

impl Resource {
    /// The items that `raw` stands for: itself, or the elements of the list that `itemsToParse` gives, each as its item; or
    /// why there are none.
    pub fn items_of(&self, raw: &Value) -> Result<Vec<Value>, String> {
        let Some(items) = &self.items else {
            return Ok(vec![raw.clone()]);
        };
        items.expand(&Input::new(raw)).map_err(|none| match none {
            NoItems::NoList(reason) => reason.to_owned(),
            NoItems::Failed(reason) => Unmapped::new("", reason).reason,
        })
    }

    /// Every expression on `item`, which is one of [`items_of`](Resource::items_of) a raw item; in the order of the mapping.
    pub fn evaluate_each(&self, item: &Value) -> Vec<Evaluated> {
        let input = Input::new(item);
        let mut each = Vec::new();
        let mut evaluate = |path: String, expression: &Expression| {
            let value = expression.evaluate(&input);
            let value = value.map_err(|reason| Unmapped::new("", reason).reason);
            each.push(Evaluated { path, value });
        };
        let place = format!("resources[{}]", self.index);
        evaluate(format!("{place}.selector.query"), &self.query);
        for whole in &self.whole {
            evaluate(format!("{place}.{}", whole.path), &whole.expression);
        }
        for entity in &self.entities {
            entity.each(&mut |field, expression| {
                evaluate(format!("{}.{field}", entity.path), expression);
            });
        }
        each
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Mapping;
    use super::*;

    fn mapping(port: &Value) -> Mapping {
        let config = json!({"resources": [{"kind": "repository", "selector": {"query": "true"}, "port": port}]});
        Mapping::from_config(&config).unwrap()
    }

    #[test]
    fn each_expression_says_what_it_gives_or_why_it_fails() {
        let mapping = mapping(&json!({"entity": {"mappings": {
            "identifier": ".slug", "blueprint": "'service'", "title": ".[[",
            "properties": {"sum": ".slug + 1", "none": ".none"},
            "relations": {"owner": {"combinator": "'and'", "rules": [
                {"property": "'email'", "operator": "'='", "value": ".owner.email"},
            ]}},
        }}}));
        let each = mapping.resources()[0].evaluate_each(&json!({"slug": "api"}));
        let told: Vec<String> = each
            .iter()
            .map(|Evaluated { path, value }| format!("{path} {value:?}"))
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        resources[0].selector.query Ok(Bool(true))
        resources[0].port.entity.mappings.identifier Ok(String("api"))
        resources[0].port.entity.mappings.blueprint Ok(String("service"))
        resources[0].port.entity.mappings.title Err("does not compile")
        resources[0].port.entity.mappings.properties.sum Err("string (\"api\") and number (1) cannot be added")
        resources[0].port.entity.mappings.properties.none Ok(Null)
        resources[0].port.entity.mappings.relations.owner.combinator Ok(String("and"))
        resources[0].port.entity.mappings.relations.owner.rules[0].property Ok(String("email"))
        resources[0].port.entity.mappings.relations.owner.rules[0].operator Ok(String("="))
        resources[0].port.entity.mappings.relations.owner.rules[0].value Ok(Null)
        "#);
    }

    #[test]
    fn an_item_may_stand_for_several() {
        let mapping = mapping(&json!({"itemsToParse": ".list", "entity": {"mappings": {
            "identifier": ".item.name", "blueprint": "'service'",
        }}}));
        let resource = &mapping.resources()[0];
        let items = resource.items_of(&json!({"list": [{"name": "a"}, {"name": "b"}]}));
        let items = items.unwrap();
        assert_eq!(items.len(), 2);
        let each = resource.evaluate_each(&items[1]);
        assert_eq!(each[1].value, Ok(json!("b")));
        let none = resource.items_of(&json!({"list": 7})).unwrap_err();
        assert!(none.starts_with("gives no list"), "{none}");
    }
}
