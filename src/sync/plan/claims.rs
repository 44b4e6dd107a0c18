//! What items claim: made of their images, kept where something is not known, filled in when it is written.
//!
//! Pure. Decides nothing about entities.

use std::collections::{BTreeMap, BTreeSet};

use crate::entity::{Entity, EntityKey};
use crate::store::documents::{Claim, Entry, Held};
use crate::sync::image::Image;

/// What `image` claims.
///
/// What could not be read or mapped keeps what it claimed `before`. As long as something cannot be, so do resources that
/// have left the mapping: it may have taken the place of one of them.
pub fn claims(image: &Image, before: Option<&Entry>, with_targets: bool) -> Vec<Claim> {
    let mut claims: Vec<Claim> = Vec::new();
    for made in &image.made {
        let mut claim = Claim {
            resource: made.resource.fingerprint.clone(),
            member: made.member.clone(),
            content: Vec::new(),
            targets: BTreeSet::new(),
        };
        let keys: BTreeSet<EntityKey> = made.entities.iter().filter_map(Entity::key).collect();
        claim.content = keys.into_iter().map(Held::by_another).collect();
        if with_targets {
            claim.targets.clone_from(&made.targets);
        }
        if made.incomplete {
            let same = |claim: &&Claim| {
                claim.resource == made.resource.fingerprint && claim.member == made.member
            };
            let before = before.into_iter().flat_map(|entry| &entry.claims);
            for earlier in before.filter(same) {
                absorb(&mut claim, earlier);
            }
        }
        if claim.is_empty() {
            continue;
        }
        let same = |known: &&mut Claim| known.is_of(&claim);
        match claims.iter_mut().find(same) {
            // A member that was listed twice.
            Some(known) => absorb(known, &claim),
            None => claims.push(claim),
        }
    }
    if image.made.iter().any(|made| made.incomplete) {
        let has_left = |claim: &&Claim| {
            let mut resources = image.made.iter().map(|made| &made.resource.fingerprint);
            resources.all(|fingerprint| *fingerprint != claim.resource)
        };
        let before = before.into_iter().flat_map(|entry| &entry.claims);
        claims.extend(before.filter(has_left).cloned());
    }
    claims
}

/// Adds what `other` claims and `claim` does not.
pub fn absorb(claim: &mut Claim, other: &Claim) {
    for held in &other.content {
        if !claim.content.iter().any(|known| known.key == held.key) {
            claim.content.push(held.clone());
        }
    }
    claim.targets.extend(other.targets.iter().cloned());
}

impl Claim {
    /// Whether both are of the same resource and the same member.
    pub fn is_of(&self, other: &Claim) -> bool {
        self.resource == other.resource && self.member == other.member
    }

    pub fn is_empty(&self) -> bool {
        self.content.is_empty() && self.targets.is_empty()
    }
}

impl Held {
    /// Claimed, and written by somebody else or not at all.
    pub fn by_another(key: EntityKey) -> Held {
        Held {
            key,
            written: None,
            shown: None,
            below: BTreeSet::new(),
            waits: false,
            refused: false,
        }
    }
}

/// How `claims` hold `key`, if they do.
pub(super) fn held<'c>(claims: &'c [Claim], key: &EntityKey) -> Option<&'c Held> {
    let mut all = claims.iter().flat_map(|claim| &claim.content);
    all.find(|held| held.key == *key)
}

/// Those of `keys` that none of the items `before` claims as its own. What one of them does is not held by those whose
/// relations led there as well: when it is let go at last, they would keep it.
pub fn led_to_only<'a>(
    keys: &BTreeSet<EntityKey>,
    before: impl Iterator<Item = &'a Entry>,
) -> BTreeSet<EntityKey> {
    let mut led_to = keys.clone();
    for held in before
        .flat_map(|entry| &entry.claims)
        .flat_map(|claim| &claim.content)
    {
        led_to.remove(&held.key);
    }
    led_to
}

/// Leaves `keys` claimed as they were `before`, and those `led_to` as targets.
pub fn retain(
    claims: &mut Vec<Claim>,
    before: Option<&Entry>,
    (keys, led_to): (&BTreeSet<EntityKey>, &BTreeSet<EntityKey>),
) {
    for earlier in before.into_iter().flat_map(|entry| &entry.claims) {
        let kept = Claim {
            content: earlier
                .content
                .iter()
                .filter(|held| keys.contains(&held.key))
                .cloned()
                .collect(),
            targets: earlier.targets.intersection(led_to).cloned().collect(),
            ..earlier.clone()
        };
        if kept.is_empty() {
            continue;
        }
        match claims.iter_mut().find(|claim| claim.is_of(&kept)) {
            Some(claim) => absorb(claim, &kept),
            None => claims.push(kept),
        }
    }
}

/// Puts what is known of how entities were written into the claims.
pub fn fill_in(claims: &mut [Claim], known: &BTreeMap<EntityKey, Held>) {
    for held in claims.iter_mut().flat_map(|claim| &mut claim.content) {
        if let Some(known) = known.get(&held.key) {
            held.clone_from(known);
        }
    }
}
