//! A partition that is looked at as a whole, member by member: a list of branches, the tree of a commit.

use std::collections::BTreeSet;

use super::image::{Image, Made};
use super::look::Looker;
use super::plan::{Seen, Sight};
use crate::bitbucket::{Proof, Readings};
use crate::extract::{self, Batch, Group, Hidden, Listing, Skipped, Source, Unread};
use crate::failure::Failure;
use crate::identity::{ItemId, Repository};
use crate::store::documents::Entry;

/// Members of one partition that are asked for by their ids, when a list does not show them. More stay as they are until
/// the next look.
const MOST_MEMBERS: usize = 50;

impl Looker<'_> {
    /// A partition that is looked at as a whole: of `repository`, or of the workspace.
    pub async fn whole(
        &self,
        group: &Group,
        repository: Option<&Repository>,
    ) -> Result<Seen, Failure> {
        let partition = group.partition(repository.map(|repository| &repository.uuid));
        let item = partition.item(ItemId::Whole);
        let before = self.entry(&item).await?;
        let mut image = Image::default();
        let mut members = BTreeSet::new();
        let mut readings = Readings::default();
        let (mut extracted, mut skipped) = (0, 0);
        let (is_cut, origin) = loop {
            let mut listing = Listing::open(self.bitbucket, group, repository);
            while let Some(batch) = listing.next(self.deadline).await? {
                extracted += batch.items.len();
                skipped += batch.skipped.len();
                self.take_in(group, &batch, &mut members, &mut image);
            }
            let proof = match &before {
                // What the record names is asked for by name.
                Some(_) => Proof::Complete,
                None => readings.after(listing.shown()),
            };
            match proof {
                Proof::Complete => {}
                Proof::NotYet => continue,
                Proof::Never => {
                    tracing::warn!(%partition, "the list moves faster than it can be read");
                    self.mapper.doubt(&group.resources);
                }
            }
            if !listing.shown().is_one_page {
                self.mapper.leave_open(&group.resources);
            }
            break (listing.is_cut(), listing.origin().cloned());
        };
        let hidden = hidden(before.as_ref(), &members);
        self.ask_for(group, repository, (hidden, is_cut), &mut image)
            .await?;
        image.sort();
        let resolved = self.resolve(&mut image).await?;
        if let (Some(repository), Some(origin)) = (repository, &origin) {
            let made_of = (&resolved, extracted, skipped);
            self.note_basis(group, repository, origin, made_of, &mut image);
        }
        Ok(Seen {
            item,
            before,
            sight: Sight::Present(image),
        })
    }

    /// Maps the members of a page that no page before has shown.
    fn take_in(
        &self,
        group: &Group,
        batch: &Batch,
        members: &mut BTreeSet<String>,
        image: &mut Image,
    ) {
        self.mapper.skipped(&batch.resources, batch.skipped.len());
        for Skipped { path, reason } in &batch.skipped {
            tracing::warn!(path, reason, "file left out");
        }
        for raw in &batch.items {
            let member = group.source.member(raw);
            // A list that shifts shows some twice; a tree shows a file once for each selector.
            let is_new = member.is_empty() || members.insert(member.clone());
            if is_new || matches!(group.source, Source::Trees(_)) {
                let made = self.mapper.map(&batch.resources, raw, &member);
                image.made.extend(made);
            }
        }
        for Unread { raw, file } in &batch.unread {
            let member = group.source.member(raw);
            tracing::warn!(member, %file, "an item could not be read: it stays as it is");
            self.mapper.doubt(&batch.resources);
            image
                .made
                .extend(Made::lost(&batch.resources, &member, file));
        }
    }

    /// Asks for members that the record names and the list has not shown. Where the list is complete by its nature,
    /// they are gone.
    async fn ask_for(
        &self,
        group: &Group,
        repository: Option<&Repository>,
        (hidden, is_cut): (BTreeSet<String>, bool),
        image: &mut Image,
    ) -> Result<(), Failure> {
        if let Source::Trees(_) = group.source {
            return Ok(());
        }
        for (position, member) in hidden.into_iter().enumerate() {
            let found = if position < MOST_MEMBERS {
                let asked = (member.as_str(), is_cut);
                let found =
                    extract::member(self.bitbucket, group, repository, asked, self.deadline);
                Some(found.await?)
            } else {
                None
            };
            match found {
                Some(Hidden::Gone | Hidden::LeftOut) => {}
                Some(Hidden::Overlooked(raw)) => {
                    let made = self.mapper.map(&group.resources, &raw, &member);
                    image.made.extend(made);
                }
                None => {
                    let resources = group.resources.iter().cloned();
                    let unread = resources.map(|resource| Made::unread(resource, member.clone()));
                    image.made.extend(unread);
                }
            }
        }
        Ok(())
    }
}

/// Members that claim something in the record, and are not among those that were listed.
fn hidden(before: Option<&Entry>, listed: &BTreeSet<String>) -> BTreeSet<String> {
    let claims = before.into_iter().flat_map(|entry| &entry.claims);
    let members = claims.map(|claim| &claim.member);
    let hidden = members.filter(|member| !member.is_empty() && !listed.contains(*member));
    hidden.cloned().collect()
}
