//! What queries select, and which are refused.

use serde_json::json;

use super::*;

fn pull_request() -> Value {
    json!({
        "id": 7,
        "title": "Fix the ledger",
        "state": "OPEN",
        "draft": false,
        "closed_by": null,
        "updated_on": "2026-11-20T09:30:00.000001+00:00",
        "source": {"repository": {"full_name": "acme/a"}},
        "reviewers": [{"uuid": "{1}"}, {"uuid": "{2}"}],
    })
}

#[test]
fn queries_select_what_they_say() {
    let object = pull_request();
    for (text, expected) in [
        (r#"state="OPEN""#, true),
        (r#"state = "open""#, false),
        (r#"state != "OPEN""#, false),
        (r#"state IN ("MERGED", "OPEN")"#, true),
        (r#"state NOT IN ("MERGED","OPEN")"#, false),
        (r#"title ~ "LEDGER""#, true),
        (r#"title !~ "ledger""#, false),
        (r#"title = "Fix \the \ledger""#, true),
        (r#"title = "Fix \"the\" ledger""#, false),
        ("id > 6 AND id <= 7", true),
        ("id < 7 OR id >= 8", false),
        ("draft = false", true),
        ("closed_by = null", true),
        ("closed_by.uuid = null", true),
        ("closed_by != null", false),
        (r#"source.repository.full_name = "acme/a""#, true),
        (r#"reviewers.uuid = "{2}""#, true),
        (r#"reviewers.uuid != "{2}""#, false),
        (r#"reviewers.uuid != "{3}""#, true),
        ("updated_on >= 2026-11-20T09:30:00+00:00", true),
        ("updated_on > 2026-11-21", false),
        (r#"updated_on < "2026-11-21""#, true),
        (r#"updated_on <= "2026-11-20T11:30:00.5+02:00""#, true),
        (
            r#"(state="MERGED" OR state="OPEN") AND NOT_A_FIELD = null"#,
            true,
        ),
        (r#"state="MERGED" AND id=7 OR id=7"#, true),
        (r#"state="MERGED" AND (id=7 OR id=7)"#, false),
    ] {
        let query = Query::parse(text).unwrap();
        assert_eq!(query.matches(&object), expected, "{text}");
    }
}

#[test]
fn mistakes_are_refused() {
    for text in [
        "",
        "state",
        "state = OPEN",
        "state = 'OPEN'",
        r#"state = "OPEN"#,
        r#"state == "OPEN""#,
        r#"state IN "OPEN""#,
        r#"state IN ()"#,
        r#"(state="OPEN""#,
        r#"state="OPEN" updated_on > 2026-01-01"#,
        r#"NOT state = "OPEN""#,
        r#"state NOT = "OPEN""#,
        r#""state" = "OPEN""#,
    ] {
        assert!(Query::parse(text).is_err(), "{text}");
    }
    assert!(Query::parse(&"(".repeat(10_000)).is_err());
}

#[test]
fn the_fields_of_a_query_are_known() {
    let query = Query::parse(r#"(state="OPEN" OR author.uuid IN ("{1}")) AND id>1"#).unwrap();
    assert_eq!(query.fields(), ["state", "author.uuid", "id"]);
}
