//! What a commit does: decided here, and nowhere else, from what was looked at and from who else claims the same.
//!
//! Pure. Knows no clock, no Port, no store. An entity is deleted for one reason only: an item that was looked at by its
//! own id, or whose partition was, claims it no longer, and nobody else does (ARCHITECTURE.md, "The one path of
//! deletion").

use std::collections::{BTreeMap, BTreeSet};

use super::image::Image;
use super::sources::Sources;
use crate::entity::{Entity, EntityKey};
use crate::identity::{ItemRef, Place, SourceId};
use crate::port::digest;
use crate::store::documents::{Claim, Entry, Held, Stamp};

/// An item that was looked at.
#[derive(Clone)]
pub struct Seen {
    pub item: ItemRef,
    /// What was recorded of it when the look began, before Bitbucket was asked.
    pub before: Option<Entry>,
    pub sight: Sight,
}

impl Seen {
    /// Of the commit that the look follows; `None`: there was none.
    pub fn stamp(&self) -> Option<Stamp> {
        self.before.as_ref().map(|entry| entry.stamp)
    }

    /// Every entity that it claims or leads to, before or after.
    pub fn keys(&self) -> BTreeSet<EntityKey> {
        let before = self.before.iter().flat_map(|entry| &entry.claims);
        let mut keys: BTreeSet<EntityKey> = before
            .flat_map(|claim| {
                claim
                    .content
                    .iter()
                    .map(|held| &held.key)
                    .chain(&claim.targets)
            })
            .cloned()
            .collect();
        if let Sight::Present(image) = &self.sight {
            for made in &image.made {
                keys.extend(made.entities.iter().filter_map(Entity::key));
                keys.extend(made.targets.iter().cloned());
            }
        }
        keys
    }

    /// Whether nothing more is known than that it is there.
    pub fn is_unread(&self) -> bool {
        match &self.sight {
            Sight::Gone => false,
            Sight::Present(image) => {
                let mut own = image.made.iter().filter(|made| made.member.is_empty());
                own.any(|made| made.unread)
            }
        }
    }

    /// Entities that it writes at most.
    pub fn size(&self) -> usize {
        match &self.sight {
            Sight::Gone => 0,
            Sight::Present(image) => {
                let made = image.made.iter();
                made.map(|made| made.entities.len() + made.searched.len())
                    .sum()
            }
        }
    }
}

#[derive(Clone)]
pub enum Sight {
    Present(Image),
    /// Asked for by its id, it is not there, or not selected.
    Gone,
}

/// Who else claims the entities at hand: everybody but the items that were looked at.
#[derive(Debug, Default)]
pub struct Others {
    /// Items that claim an entity as their own.
    pub content: BTreeMap<EntityKey, BTreeSet<ItemRef>>,
    /// Entities that relations of other items lead to.
    pub targets: BTreeSet<EntityKey>,
    /// Places that rows name and that have no readable record: they may claim the entity.
    pub unknown: BTreeMap<EntityKey, BTreeSet<Place>>,
}

/// Whether an entity has to be written, as far as Port and the record tell. Where an entry is not sure it is anyway.
pub type Differs<'a> = dyn Fn(&Entity, Option<&Held>) -> bool + Sync + 'a;

/// All that a plan is made from.
pub struct Situation<'a> {
    pub sources: &'a Sources,
    pub seen: &'a [Seen],
    pub others: &'a Others,
    /// Whether an entity has to be written that was written before as a sure entry says, or of which nothing is recorded.
    pub differs: &'a Differs<'a>,
    /// Why nothing is deleted at all, if nothing is. What would be stays claimed.
    pub keep_all: Option<Kept>,
    /// Whether all parts of the workspace are recorded. Until then an entity that only relations lead to may be one
    /// whose own item is not known yet.
    pub is_complete: bool,
}

/// What is to be done, and what the records say when it is.
#[derive(Default)]
pub struct Plan {
    /// For each item that was looked at, in their order: what it claims from now on. Writes fill in the rest.
    pub claims: Vec<Vec<Claim>>,
    pub writes: Vec<Write>,
    pub deletes: BTreeSet<EntityKey>,
    /// Entities that nothing claims any more and that stay, with the reason.
    pub kept: BTreeMap<EntityKey, Kept>,
    /// Items of others that have to be looked at: they are the first now to claim something.
    pub wakes: BTreeSet<ItemRef>,
    /// Partitions of others of which no record tells what they claim.
    pub unknown: BTreeSet<Place>,
    /// Entities that Port has as they are.
    pub unchanged: usize,
}

/// An entity to be written.
#[derive(Clone, Debug)]
pub struct Write {
    /// Position among the items that were looked at.
    pub seen: usize,
    pub entity: Entity,
    /// Sources whose fields were left out.
    pub below: BTreeSet<SourceId>,
}

/// Why an entity stays that nothing claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Its resource says `enableDelete: false`.
    Resource,
    /// `FERRY__DELETE=off`.
    SwitchedOff,
    /// More would go than the mapping's `entityDeletionThreshold` allows.
    Threshold,
    /// What may have taken its place could not be read, mapped or written.
    Unsound,
    /// Another installation works under our identifier.
    Rival,
}

impl Kept {
    /// Whether the user has not asked for it: the catalogue is not as it should be.
    pub fn is_loss(self) -> bool {
        matches!(self, Kept::Threshold | Kept::Unsound | Kept::Rival)
    }
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kept::Resource => "its resource says enableDelete: false",
            Kept::SwitchedOff => "deletion is switched off (FERRY__DELETE)",
            Kept::Threshold => "more would go than entityDeletionThreshold allows",
            Kept::Unsound => "a part of the workspace could not be read, mapped or written",
            Kept::Rival => "another installation works under this identifier",
        })
    }
}

/// What an item claims before and after, and what it would write.
struct Party<'a> {
    item: &'a ItemRef,
    before: Option<&'a Entry>,
    after: Vec<Claim>,
    entities: BTreeMap<EntityKey, Entity>,
}

pub fn plan(situation: &Situation<'_>) -> Plan {
    let parties: Vec<Party<'_>> = situation
        .seen
        .iter()
        .map(|seen| Party::of(situation, seen))
        .collect();
    let mut plan = Plan::default();
    let mut settled: Vec<BTreeMap<EntityKey, Held>> = vec![BTreeMap::new(); parties.len()];
    for key in touched(&parties) {
        let standing = Standing::of(&key, &parties, situation.others);
        if standing.after.is_empty() && standing.unknown.is_none() {
            plan.let_go(&key, &parties, situation);
            continue;
        }
        plan.unknown
            .extend(standing.unknown.into_iter().flatten().cloned());
        standing.assign(&parties, situation, &mut plan, &mut settled);
    }
    for (seen, party) in situation.seen.iter().zip(&parties) {
        if let Sight::Present(image) = &seen.sight {
            let position = plan.claims.len();
            plan.writes.extend(image.searched().map(|entity| Write {
                seen: position,
                entity: entity.clone(),
                below: BTreeSet::new(),
            }));
        }
        let mut claims = party.after.clone();
        if let Some(held) = settled.get(plan.claims.len()) {
            fill_in(&mut claims, held);
        }
        plan.claims.push(claims);
    }
    plan.retain_kept(&parties);
    plan
}

/// Every entity that an item at hand claims or leads to, before or after.
fn touched(parties: &[Party<'_>]) -> BTreeSet<EntityKey> {
    let mut keys = BTreeSet::new();
    for party in parties {
        let before = party.before.iter().flat_map(|entry| &entry.claims);
        for claim in before.chain(&party.after) {
            keys.extend(claim.content.iter().map(|held| held.key.clone()));
            keys.extend(claim.targets.iter().cloned());
        }
    }
    keys
}

impl<'a> Party<'a> {
    fn of(situation: &'a Situation<'_>, seen: &'a Seen) -> Party<'a> {
        let before = seen.before.as_ref();
        let (after, entities) = match &seen.sight {
            Sight::Gone => (Vec::new(), BTreeMap::new()),
            Sight::Present(image) => (
                claims(image, before, situation.sources.creates_targets()),
                image.entities(situation.sources.merges()),
            ),
        };
        Party {
            item: &seen.item,
            before,
            after,
            entities,
        }
    }

    fn held_before(&self, key: &EntityKey) -> Option<&'a Held> {
        held(&self.before?.claims, key)
    }

    fn held_after(&self, key: &EntityKey) -> Option<&Held> {
        held(&self.after, key)
    }

    /// How the item wrote `key` the last time, with the sources `below` it. `None`: it has to be written, whatever Port
    /// holds. `Some(None)`: nothing is recorded of the item at all.
    fn written(&self, key: &EntityKey, below: &BTreeSet<SourceId>) -> Option<Option<&'a Held>> {
        let Some(entry) = self.before else {
            return Some(None);
        };
        let held = held(&entry.claims, key).filter(|_| entry.sure)?;
        let is_as_now = held.written.is_some() && held.below == *below && !held.waits;
        is_as_now.then_some(Some(held))
    }

    fn leads_to(&self, key: &EntityKey) -> bool {
        self.after.iter().any(|claim| claim.targets.contains(key))
    }
}

fn held<'c>(claims: &'c [Claim], key: &EntityKey) -> Option<&'c Held> {
    let mut all = claims.iter().flat_map(|claim| &claim.content);
    all.find(|held| held.key == *key)
}

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
            below: BTreeSet::new(),
            waits: false,
            refused: false,
        }
    }
}

/// Who claims one entity, before and after.
struct Standing<'a> {
    key: &'a EntityKey,
    before: BTreeSet<&'a ItemRef>,
    after: BTreeSet<&'a ItemRef>,
    unknown: Option<&'a BTreeSet<Place>>,
}

impl<'a> Standing<'a> {
    fn of(key: &'a EntityKey, parties: &[Party<'a>], others: &'a Others) -> Standing<'a> {
        let elsewhere: BTreeSet<&ItemRef> = others.content.get(key).into_iter().flatten().collect();
        let (mut before, mut after) = (elsewhere.clone(), elsewhere);
        for party in parties {
            if party.held_before(key).is_some() {
                before.insert(party.item);
            }
            if party.held_after(key).is_some() {
                after.insert(party.item);
            }
        }
        Standing {
            key,
            before,
            after,
            unknown: others.unknown.get(key).filter(|places| !places.is_empty()),
        }
    }

    /// For each source, the first item that claims the entity writes it; if that is somebody else who was not the first
    /// before, he is woken.
    fn assign(
        &self,
        parties: &[Party<'_>],
        situation: &Situation<'_>,
        plan: &mut Plan,
        settled: &mut [BTreeMap<EntityKey, Held>],
    ) {
        let sources = situation.sources;
        let first = |of: &BTreeSet<&'a ItemRef>, source: &SourceId| {
            of.iter()
                .find(|item| item.partition.source == *source)
                .copied()
        };
        let claiming = |of: &BTreeSet<&'a ItemRef>| -> BTreeSet<&'a SourceId> {
            of.iter().map(|item| &item.partition.source).collect()
        };
        let (before, after) = (claiming(&self.before), claiming(&self.after));
        for source in after
            .iter()
            .filter(|source| sources.group(source).is_some())
        {
            let Some(writer) = first(&self.after, source) else {
                continue;
            };
            let above = |of: &BTreeSet<&'a SourceId>| {
                sources.above(source, &self.key.blueprint, of.iter().copied())
            };
            let below = above(&after);
            let wrote_before = first(&self.before, source);
            let at_hand = parties.iter().position(|party| party.item == writer);
            let Some(position) = at_hand else {
                if wrote_before != Some(writer) || above(&before) != below {
                    plan.wakes.insert(writer.clone());
                }
                continue;
            };
            if let (Some(party), Some(settled)) = (parties.get(position), settled.get_mut(position))
            {
                // What it wrote once is not in Port any more where another has written since.
                let is_own = wrote_before.is_none_or(|before| before == writer);
                plan.write(
                    self.key,
                    (position, party),
                    (below, is_own),
                    situation,
                    settled,
                );
            }
        }
    }
}

impl Plan {
    /// `party` writes `key`, and leaves what they have the last word about to the sources `below`. `is_own`: nobody else
    /// has written it since the party did.
    fn write(
        &mut self,
        key: &EntityKey,
        (position, party): (usize, &Party<'_>),
        (below, is_own): (BTreeSet<SourceId>, bool),
        situation: &Situation<'_>,
        settled: &mut BTreeMap<EntityKey, Held>,
    ) {
        let Some(entity) = party.entities.get(key) else {
            // It could not be mapped: it stays as it was written.
            if let Some(held) = party.held_before(key) {
                settled.insert(key.clone(), held.clone());
            }
            return;
        };
        let Some(entity) = situation.sources.strip(entity.clone(), &below) else {
            return;
        };
        match party.written(key, &below) {
            Some(known) if is_own && !(situation.differs)(&entity, known) => {
                self.unchanged += 1;
                let held = known.cloned().unwrap_or_else(|| Held {
                    written: Some(digest(&entity)),
                    below,
                    ..Held::by_another(key.clone())
                });
                settled.insert(key.clone(), held);
            }
            _ => self.writes.push(Write {
                seen: position,
                entity,
                below,
            }),
        }
    }

    /// Nobody claims `key` as his own any more.
    fn let_go(&mut self, key: &EntityKey, parties: &[Party<'_>], situation: &Situation<'_>) {
        let (sources, others) = (situation.sources, situation.others);
        let is_target =
            others.targets.contains(key) || parties.iter().any(|party| party.leads_to(key));
        if is_target && sources.creates_targets() {
            return;
        }
        let claimed = parties.iter().flat_map(|party| {
            let claims = party.before.into_iter().flat_map(|entry| &entry.claims);
            claims.filter(|claim| claim.content.iter().any(|held| held.key == *key))
        });
        let mut claimed = claimed.peekable();
        if claimed.peek().is_none() && !(sources.creates_targets() && situation.is_complete) {
            // A relation led there, and nothing says that its target is there for that alone.
            return;
        }
        if claimed.any(|claim| !sources.allows_deletion(&claim.resource)) {
            self.kept.insert(key.clone(), Kept::Resource);
            return;
        }
        match situation.keep_all {
            None => {
                self.deletes.insert(key.clone());
            }
            Some(kept) => {
                self.kept.insert(key.clone(), kept);
            }
        }
    }

    /// What stays for a reason that may pass stays claimed: the next look at its item finds it again.
    fn retain_kept(&mut self, parties: &[Party<'_>]) {
        let passing = self
            .kept
            .iter()
            .filter(|(_, kept)| **kept != Kept::Resource);
        let keys: BTreeSet<EntityKey> = passing.map(|(key, _)| key.clone()).collect();
        let led_to = led_to_only(&keys, parties.iter().filter_map(|party| party.before));
        for (claims, party) in self.claims.iter_mut().zip(parties) {
            retain(claims, party.before, (&keys, &led_to));
        }
    }
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

#[cfg(test)]
mod tests;
