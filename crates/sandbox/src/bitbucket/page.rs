//! Lists: filtering, sorting, numbered and opaque pages, and the ways in which they go wrong.
//!
//! Knows no endpoint; each gives its [`Rules`].

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::fields;
use super::object::with_half_surrogates;
use super::query::{Query, UNENDED, values};
use super::refusal::refuse;
use super::settings::Quirks;
use crate::server::{Request, Response};

/// Where nobody answers.
const ELSEWHERE: &str = "https://proxy.invalid:8443";

/// How one endpoint lists.
pub(super) struct Rules {
    /// Items on a page when `pagelen` is absent.
    pub(super) default: usize,
    /// More than this is a 400.
    pub(super) cap: usize,
    /// Members of an item that only `fields` shows.
    pub(super) hidden: &'static [&'static str],
    /// What `q` and `sort` may name; an entry ending in `.*` stands for everything below.
    pub(super) queryable: &'static [&'static str],
    /// Parameters beside `page`, `pagelen`, `fields`, `q` and `sort`.
    pub(super) parameters: &'static [&'static str],
    pub(super) pages: Pages,
    /// Under a quirk its pages name no next one.
    pub(super) may_lack_next: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pages {
    /// `page=2`, with `size` in the answer.
    Numbered,
    /// A cursor that only the server can make.
    Opaque,
}

impl Rules {
    pub(super) const PLAIN: Rules = Rules {
        default: 10,
        cap: 100,
        hidden: &[],
        queryable: &[],
        parameters: &[],
        pages: Pages::Numbered,
        may_lack_next: false,
    };
}

/// Answers a list request. `render` gives an item in full.
pub(super) fn list<T>(
    request: &Request,
    quirks: &Quirks,
    rules: &Rules,
    items: Vec<T>,
    render: impl Fn(&T) -> Value,
) -> Result<Response, Response> {
    known_parameters(request, rules)?;
    let length = page_length(request, rules)?.min(quirks.longest_page.max(1));
    let (query, sort) = (query(request, rules)?, sort(request, rules)?);
    let is_reversed = quirks.reversed_lists && sort.is_none();
    let items = if query.is_some() || sort.is_some() {
        let mut all: Vec<Value> = items.iter().map(&render).collect();
        if let Some(query) = query {
            all.retain(|item| query.matches(item));
        }
        if let Some((field, descending)) = sort {
            all.sort_by(|a, b| compare(a, b, field));
            if descending {
                all.reverse();
            }
        }
        all.into_iter().map(Item::Rendered).collect()
    } else {
        items.into_iter().map(Item::Raw).collect::<Vec<_>>()
    };
    let order: Vec<usize> = if is_reversed {
        (0..items.len()).rev().collect()
    } else {
        (0..items.len()).collect()
    };
    let page = page_number(request, rules)?;
    let cut = cut(order.len(), length, page, quirks);
    let values: Vec<Value> = order
        .get(cut.from..cut.to)
        .unwrap_or_default()
        .iter()
        .filter_map(|index| items.get(*index))
        .map(|item| match item {
            Item::Raw(item) => render(item),
            Item::Rendered(value) => value.clone(),
        })
        .collect();
    let mut answer = json!({"values": values, "pagelen": length, "page": page});
    if rules.pages == Pages::Numbered {
        answer["size"] = json!(items.len());
    }
    let next = cut
        .next
        .filter(|_| !(rules.may_lack_next && quirks.pipelines_without_next));
    if let Some(next) = next {
        let base = match quirks.next_elsewhere {
            true => ELSEWHERE,
            false => &request.base,
        };
        answer["next"] = json!(link(base, request, &cursor(next, rules.pages)));
    } else if quirks.empty_next && cut.next.is_none() {
        answer["next"] = json!("");
    }
    let hidden: Vec<String> = rules
        .hidden
        .iter()
        .map(|path| format!("values.{path}"))
        .collect();
    let hidden: Vec<&str> = hidden.iter().map(String::as_str).collect();
    let answer = fields::select(answer, request.query("fields"), &hidden);
    Ok(written(&answer))
}

fn written(answer: &Value) -> Response {
    let mut response = Response::json(200, answer);
    response.body = with_half_surrogates(response.body);
    response
}

/// Answers with one object.
pub(super) fn single(
    request: &Request,
    value: Value,
    hidden: &[&str],
) -> Result<Response, Response> {
    parameters_among(request, &["fields"])?;
    let answer = fields::select(value, request.query("fields"), hidden);
    Ok(written(&answer))
}

/// Refuses any parameter that is not in `known`.
///
/// Bitbucket ignores what it does not know; the sandbox shows the mistake.
pub(super) fn parameters_among(request: &Request, known: &[&str]) -> Result<(), Response> {
    for (name, _) in &request.query {
        if !known.contains(&name.as_str()) {
            return Err(refuse(
                400,
                &format!("Sandbox: unknown parameter \"{name}\""),
            ));
        }
    }
    Ok(())
}

/// The parsed `q`, when its fields are ones the endpoint filters by.
pub(super) fn query(request: &Request, rules: &Rules) -> Result<Option<Query>, Response> {
    // Where `q` and `sort` are not this language, the endpoint handles them itself.
    let Some(text) = request.query("q").filter(|_| !rules.queryable.is_empty()) else {
        return Ok(None);
    };
    let query = Query::parse(text).map_err(|why| match why.as_str() {
        // Not even refused.
        UNENDED => Response::bytes(500, "text/html", b"<h1>Server Error (500)</h1>".to_vec()),
        why => refuse(400, &format!("Invalid query: {why}: {text}")),
    })?;
    for field in query.fields() {
        queryable(field, rules)?;
    }
    Ok(Some(query))
}

enum Item<T> {
    Raw(T),
    Rendered(Value),
}

struct Cut {
    from: usize,
    to: usize,
    next: Option<usize>,
}

/// Which items page number `page` holds.
fn cut(count: usize, length: usize, page: usize, quirks: &Quirks) -> Cut {
    // Pages without anything new come between the first and the second.
    let has_more = length < count;
    let empty = usize::from(quirks.empty_pages && has_more);
    let inserted = empty + usize::from(quirks.repeated_page && has_more);
    let content = match page {
        2 if empty == 1 => {
            return Cut {
                from: 0,
                to: 0,
                next: Some(3),
            };
        }
        page if page <= 1 + inserted => 1,
        page => page - inserted,
    };
    // Each page begins with the last item of the one before, as when an item appeared meanwhile.
    let stride = if quirks.duplicates && 1 < length {
        length - 1
    } else {
        length
    };
    let longer = usize::from(quirks.longer_pages);
    let from = (content - 1).saturating_mul(stride).min(count);
    let to = (from + length + longer).min(count);
    let is_last = to == count && inserted < page;
    Cut {
        from,
        to,
        next: (!is_last).then_some(page + 1),
    }
}

fn page_length(request: &Request, rules: &Rules) -> Result<usize, Response> {
    match request.query("pagelen") {
        None => Ok(rules.default),
        Some(text) => text
            .parse()
            .ok()
            .filter(|length| (1..=rules.cap).contains(length))
            .ok_or_else(|| refuse(400, "Invalid pagelen")),
    }
}

fn page_number(request: &Request, rules: &Rules) -> Result<usize, Response> {
    let Some(text) = request.query("page") else {
        return Ok(1);
    };
    let number = match rules.pages {
        Pages::Numbered => text.parse().ok(),
        Pages::Opaque => URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| text.strip_prefix("page:")?.parse().ok()),
    };
    number
        .filter(|number| 0 < *number)
        .ok_or_else(|| refuse(400, "Invalid page"))
}

fn cursor(page: usize, pages: Pages) -> String {
    match pages {
        Pages::Numbered => page.to_string(),
        Pages::Opaque => URL_SAFE_NO_PAD.encode(format!("page:{page}")),
    }
}

/// The address of another page: all parameters of this one, with `page` replaced.
fn link(base: &str, request: &Request, page: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut pairs: Vec<String> = request
        .query
        .iter()
        .filter(|(name, _)| name != "page")
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    pairs.push(format!("page={}", encode(page)));
    format!("{base}{}?{}", request.path, pairs.join("&"))
}

fn known_parameters(request: &Request, rules: &Rules) -> Result<(), Response> {
    let mut known = vec!["page", "pagelen", "fields"];
    if !rules.queryable.is_empty() {
        known.extend(["q", "sort"]);
    }
    known.extend(rules.parameters);
    parameters_among(request, &known)
}

fn sort<'r>(request: &'r Request, rules: &Rules) -> Result<Option<(&'r str, bool)>, Response> {
    let Some(text) = request
        .query("sort")
        .filter(|_| !rules.queryable.is_empty())
    else {
        return Ok(None);
    };
    let (field, descending) = match text.strip_prefix('-') {
        Some(field) => (field, true),
        None => (text, false),
    };
    queryable(field, rules)?;
    Ok(Some((field, descending)))
}

fn queryable(field: &str, rules: &Rules) -> Result<(), Response> {
    let known = rules
        .queryable
        .iter()
        .any(|entry| match entry.strip_suffix(".*") {
            Some(parent) => field
                .strip_prefix(parent)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
            None => *entry == field,
        });
    if known {
        Ok(())
    } else {
        Err(refuse(400, &format!("Invalid field \"{field}\"")))
    }
}

fn compare(a: &Value, b: &Value, field: &str) -> std::cmp::Ordering {
    match (values(a, field).first(), values(b, field).first()) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => a
            .as_f64()
            .partial_cmp(&b.as_f64())
            .unwrap_or(std::cmp::Ordering::Equal),
        (a, b) => a.and_then(|a| a.as_str()).cmp(&b.and_then(|b| b.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn pages(count: usize, length: usize, quirks: &Quirks) -> Vec<Vec<usize>> {
        let mut pages = Vec::new();
        let mut next = Some(1);
        while let Some(page) = next {
            let cut = cut(count, length, page, quirks);
            pages.push((cut.from..cut.to).collect());
            next = cut.next;
        }
        pages
    }

    #[test]
    fn pages_cover_everything_once() {
        let quirks = Quirks::default();
        assert_eq!(pages(5, 2, &quirks), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(pages(4, 2, &quirks), [vec![0, 1], vec![2, 3]]);
        assert_eq!(pages(0, 2, &quirks), [Vec::<usize>::new()]);
    }

    #[test]
    fn quirks_never_lose_an_item() {
        let quirks = Quirks {
            duplicates: true,
            empty_pages: true,
            ..Quirks::default()
        };
        assert_eq!(
            pages(4, 2, &quirks),
            [vec![0, 1], vec![], vec![1, 2], vec![2, 3]]
        );
        assert_eq!(pages(2, 1, &quirks), [vec![0], vec![], vec![1]]);
        assert_eq!(pages(2, 2, &quirks), [vec![0, 1]]);
        let quirks = Quirks {
            repeated_page: true,
            longer_pages: true,
            ..quirks
        };
        assert_eq!(
            pages(5, 2, &quirks),
            [
                vec![0, 1, 2],
                vec![],
                vec![0, 1, 2],
                vec![1, 2, 3],
                vec![2, 3, 4]
            ]
        );
        let worst = Quirks::worst();
        for count in 0..20 {
            let shown: BTreeSet<usize> = pages(count, 3, &worst).concat().into_iter().collect();
            assert_eq!(shown.len(), count);
        }
    }
}
