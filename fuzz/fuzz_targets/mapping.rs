//! Hostile mapping files: read or refused with a reason, and never a panic while mapping.
#![no_main]

use ferry::mapping::{Mapping, MappingReport};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|text: &str| {
    match Mapping::from_yaml(text) {
        Err(refusal) => assert!(!refusal.problems().is_empty()),
        Ok(mapping) => {
            let raw = json!({"slug": "api", "id": 7, "content": {"a": [1, 2]}, "links": {"html": {"href": "x"}}});
            let mut report = MappingReport::default();
            for resource in mapping.resources() {
                report.add(resource, &raw, &resource.map(&raw));
            }
            report.lines();
        }
    }
});
