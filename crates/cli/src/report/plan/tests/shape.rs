//! The whole of a plan as JSON.

use super::*;

/// Programs read this: members may be added, and none may change.
#[test]
fn the_shape_of_the_json_is_what_was_promised() {
    let told = format!("{:#}", json::render(&plan(&found())));
    insta::assert_snapshot!(told, @r#"
    {
      "format": 1,
      "workspace": "acme",
      "identifier": "my-bitbucket",
      "totals": {
        "deleted": 1,
        "changed": 2,
        "created": 2
      },
      "set_up": [
        "the blueprint `pull`"
      ],
      "blueprints": {
        "project": {
          "deleted": [],
          "changed": [],
          "created": [
            {
              "identifier": "PAY",
              "title": null,
              "team": null,
              "properties": null,
              "relations": null,
              "stub": true
            }
          ],
          "changes_by_field": []
        },
        "pull": {
          "deleted": [],
          "changed": [
            {
              "identifier": "api/1",
              "title": "Mend | <b>it</b>",
              "fields": [
                {
                  "field": "properties.reviewers",
                  "before": null,
                  "after": [
                    "Ann"
                  ]
                }
              ]
            },
            {
              "identifier": "api/2",
              "title": "Mend | <b>it</b>",
              "fields": [
                {
                  "field": "properties.reviewers",
                  "before": null,
                  "after": [
                    "Ann"
                  ]
                },
                {
                  "field": "properties.text",
                  "before": "a\nb\n",
                  "after": "a\nc\n"
                }
              ]
            }
          ],
          "created": [],
          "changes_by_field": [
            {
              "field": "properties.reviewers",
              "from": "null",
              "to": "list",
              "entities": 2,
              "example": {
                "identifier": "api/1",
                "before": null,
                "after": [
                  "Ann"
                ]
              }
            },
            {
              "field": "properties.text",
              "from": "text",
              "to": "text",
              "entities": 1,
              "example": {
                "identifier": "api/2",
                "before": "a\nb\n",
                "after": "a\nc\n"
              }
            }
          ]
        },
        "repository": {
          "deleted": [
            {
              "identifier": "acme/old",
              "title": "</script><script>alert(1)</script>",
              "reason": "no item of the mapping stands for it"
            }
          ],
          "changed": [],
          "created": [
            {
              "identifier": "acme/new",
              "title": "New",
              "team": null,
              "properties": null,
              "relations": null,
              "stub": false
            }
          ],
          "changes_by_field": []
        }
      },
      "would_refuse": [
        {
          "place": "resources[0].port.entity.mappings.blueprint",
          "resources": [
            "resources[0] (repository)"
          ],
          "blueprint": "service",
          "field": "",
          "costs": "entity",
          "reason": "Port has no such blueprint",
          "count": 2,
          "sample": "cart"
        },
        {
          "place": "resources[0].port.entity.mappings.blueprint",
          "resources": [
            "resources[0] (repository)"
          ],
          "blueprint": "service",
          "field": "properties.size",
          "costs": "value",
          "reason": "not of the type number",
          "count": 2,
          "sample": "cart"
        }
      ],
      "kept": null,
      "unknown": [
        "no resync is recorded"
      ],
      "mapping_problems": [
        "resources[0].port.entity.mappings.title: fails for 2 items and is null there"
      ],
      "mapping_notes": [
        "resources[0].selector.query: is true for none of 9 items"
      ],
      "nulls": [
        {
          "place": "resources[0].port.entity.mappings.title",
          "entities": 9,
          "nulls": 3
        }
      ],
      "failed_partitions": [
        "files of acme/api: 403"
      ],
      "counts": {
        "extracted": 0,
        "skipped": 0,
        "transformed": 0,
        "filtered_out": 0,
        "not_mapped": 0,
        "left_out": 0,
        "written": 0,
        "unchanged": 0,
        "refused": 0,
        "waiting": 0,
        "postponed": 0,
        "deleted": 0,
        "undeleted": 0,
        "kept": 0
      }
    }
    "#);
}
