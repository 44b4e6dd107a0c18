//! The whole of a plan as JSON.

use super::*;

/// Programs read this: members may be added, and none may change.
#[test]
fn the_shape_of_the_json_is_what_was_promised() {
    let told = format!("{:#}", json::render(&plan(&found())));
    assert_eq!(told, include_str!("plan.json").trim_end());
}
