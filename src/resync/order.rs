//! The order in which a run reads: what relations lead to comes first, so that few entities have to wait for a target.

use std::collections::BTreeSet;

use super::slice::Slice;
use crate::extract::Group;
use crate::failure::Failure;
use crate::sync::blueprints::Blueprints;

impl Slice<'_> {
    /// The sources of the mapping, those first whose blueprints others point at. Otherwise the mapping's order holds.
    pub(super) async fn order(&self) -> Result<Vec<&Group>, Failure> {
        let groups = self.sources().groups();
        let all: BTreeSet<&str> = groups.iter().flat_map(blueprints_of).collect();
        let blueprints = Blueprints::of(&self.session.port, all, &self.deadline).await?;
        Ok(ordered(groups, &blueprints))
    }
}

fn blueprints_of(group: &Group) -> BTreeSet<&str> {
    let resources = group.resources.iter();
    resources
        .filter_map(|resource| resource.constant_blueprint())
        .collect()
}

fn ordered<'a>(groups: &'a [Group], blueprints: &Blueprints) -> Vec<&'a Group> {
    let mut left: Vec<&Group> = groups.iter().collect();
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |group: &&Group| {
            let own = blueprints_of(group);
            let targets: BTreeSet<&str> =
                own.iter().flat_map(|one| blueprints.targets(one)).collect();
            let others = left.iter().filter(|other| other.id != group.id);
            let mut others = others.flat_map(|other| blueprints_of(other));
            others.any(|blueprint| targets.contains(blueprint) && !own.contains(blueprint))
        };
        // On a cycle the mapping's order holds.
        let next = left.iter().position(|group| !waits(group)).unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered
}
