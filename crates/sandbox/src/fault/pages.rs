//! Pages of a list that lead nowhere, elsewhere or back: what Bitbucket's lists are seen to do.

use serde_json::{Value, json};

use super::FaultKind;
use crate::server::{Request, Response};

impl FaultKind {
    /// The page names no next one, though its `size` may say that there is more.
    pub fn without_next() -> FaultKind {
        page("no next", |_, page| {
            page.remove("next");
        })
    }

    /// `next` leads to this scheme and host, as behind a proxy: `https://proxy.example:8443`.
    pub fn next_at(origin: &str) -> FaultKind {
        let origin = origin.to_owned();
        page("next elsewhere", move |request, page| {
            let next = page.get("next").and_then(Value::as_str);
            if let Some(moved) = next.map(|next| next.replacen(&request.base, &origin, 1)) {
                page.insert("next".to_owned(), json!(moved));
            }
        })
    }

    /// `next` leads to this very page.
    pub fn next_is_this() -> FaultKind {
        page("the same page again", |request, page| {
            let query = request.query.iter().map(|(name, value)| {
                let all = percent_encoding::NON_ALPHANUMERIC;
                let value = percent_encoding::utf8_percent_encode(value, all);
                format!("{name}={value}")
            });
            let query = query.collect::<Vec<_>>().join("&");
            let next = format!("{}{}?{query}", request.base, request.path);
            page.insert("next".to_owned(), json!(next));
        })
    }

    /// Every item of the page comes twice, which also makes it longer than was asked for.
    pub fn items_twice() -> FaultKind {
        page("items twice", |_, page| {
            if let Some(Value::Array(items)) = page.get_mut("values") {
                items.extend(items.clone());
            }
        })
    }

    /// Every second item of the page is null.
    pub fn null_items() -> FaultKind {
        page("null among the items", |_, page| {
            if let Some(Value::Array(items)) = page.get_mut("values") {
                let with_nulls = std::mem::take(items).into_iter();
                *items = with_nulls.flat_map(|item| [item, Value::Null]).collect();
            }
        })
    }

    /// The page lacks the item whose `uuid`, `id` or `name` this is, as when it had moved to a page that was read before.
    pub fn without_item(id: &str) -> FaultKind {
        let id = id.to_owned();
        page("an item is missing", move |_, page| {
            if let Some(Value::Array(items)) = page.get_mut("values") {
                let is_it = |value: &Value| match value {
                    Value::String(text) => *text == id,
                    Value::Number(number) => number.to_string() == id,
                    _ => false,
                };
                items.retain(|item| !["uuid", "id", "name"].iter().any(|name| is_it(&item[name])));
            }
        })
    }
}

fn page(
    name: &str,
    change: impl Fn(&Request, &mut serde_json::Map<String, Value>) + Send + Sync + 'static,
) -> FaultKind {
    FaultKind::rewrite(name, move |request, mut answer: Response| {
        if let Ok(Value::Object(mut page)) = serde_json::from_slice(&answer.body)
            && page.contains_key("values")
        {
            change(request, &mut page);
            answer.body = Value::Object(page).to_string().into_bytes();
        }
        answer
    })
}
