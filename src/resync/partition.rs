//! What one repository holds, source by source: read as a whole, or page by page from where it was left.
//!
//! Knows nothing of the list that names the repository, except where it stands there.

use super::committer::Then;
use super::pages::{Spot, State};
use super::read::RunReader;
use super::slice::RunPart;
use super::takeover::{Known, PartTurn};
use crate::bitbucket;
use crate::extract::{Group, Source};
use crate::failure::{Class, Failure};
use crate::identity::{ItemId, Repository};
use crate::look::Progress;
use crate::sync::look::Selection;
use crate::sync::reading::Reading;

impl RunReader<'_> {
    /// Reads what `repository` holds of the group's source, unless that is done.
    pub(super) async fn partition(
        &self,
        group: &Group,
        repository: &Repository,
        spot: &Spot,
        known: &Known,
    ) -> Result<(), Failure> {
        if let State::Open(progress) = self.slice.pages.state(spot, &group.id) {
            let mut part = RunPart::of_repository(group, repository, spot);
            match self.turn(group, repository, spot, known) {
                PartTurn::Read => {}
                PartTurn::Audit(stamp) => part.audited = Some(stamp),
                PartTurn::TakeOver => {
                    self.slice.note_through(group);
                    return Ok(());
                }
            }
            self.begin();
            let read = match group.source.is_numbered() {
                true => Box::pin(self.numbered(group, repository, &part, progress)).await,
                false => {
                    // What was not read to its end may have met a head that is gone.
                    let repository = match progress {
                        None => repository.clone(),
                        Some(_) => repository.without_head(),
                    };
                    Box::pin(self.whole(group, &repository, &part)).await
                }
            };
            match read {
                Ok(()) => {}
                Err(Failure::Bitbucket(bitbucket::Error::NotFound { .. }))
                    if self.has_vanished(group, repository).await? =>
                {
                    self.done(&part, Vec::new()).await;
                }
                Err(failure) => self.failed(&part, failure).await?,
            }
        }
        self.slice.note_through(group);
        Ok(())
    }

    /// Whether the repository has gone since it was listed: then its parts have not failed, and the end of the run asks
    /// for it.
    async fn has_vanished(&self, group: &Group, repository: &Repository) -> Result<bool, Failure> {
        match self.now(group, repository).await {
            Ok(now) => Ok(now.is_none()),
            // What failed first decides.
            Err(failure) if failure.class() != Class::Credentials => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// The repository as it is now; `None` where it is not to be seen any more, which the end of the run looks into.
    async fn now(
        &self,
        group: &Group,
        repository: &Repository,
    ) -> Result<Option<Repository>, Failure> {
        let filter = group.source.repositories().cloned().unwrap_or_default();
        let looker = self.slice.looker();
        let now = match looker.standing(&filter, &repository.uuid).await? {
            Selection::Selected(raw) => Repository::of(&raw),
            Selection::NotSelected | Selection::Invisible => None,
        };
        if now.is_none() {
            self.slice.run().vanished.insert(repository.uuid.clone());
        }
        Ok(now)
    }

    async fn numbered(
        &self,
        group: &Group,
        repository: &Repository,
        part: &RunPart,
        progress: Option<Progress>,
    ) -> Result<(), Failure> {
        let looker = self.slice.looker();
        let mut reading = Reading::open(&looker, group, repository, progress).await?;
        while let Some(seen) = reading.next().await? {
            let then = Then::More(reading.progress().clone());
            self.send(part, seen, then).await;
            // At its end there is nothing more to ask for.
            if self.is_stopped() && reading.progress().cursor.is_some() {
                return Ok(());
            }
        }
        self.check_list(group, part, &reading).await?;
        let missing = match reading.nameless() {
            0 => reading.missing(),
            nameless => {
                let reason = format!("{nameless} pull requests without a number");
                self.slice.give_up(part, false, &reason);
                Vec::new()
            }
        };
        self.send(part, Vec::new(), Then::Done(missing)).await;
        Ok(())
    }

    /// What the list may have overlooked that nothing is recorded of. Where its count does not fit either, it is read by key
    /// at once; otherwise only before anything is adopted.
    async fn check_list(
        &self,
        group: &Group,
        part: &RunPart,
        reading: &Reading<'_>,
    ) -> Result<(), Failure> {
        let (slice, shown) = (self.slice, reading.shown());
        if shown.is_one_page {
            return Ok(());
        }
        let (Some(spot), Some(repository)) = (&part.spot, &part.id.repository) else {
            return Ok(());
        };
        if shown.is_counted || reading.is_recorded() {
            slice.pages.leave_open(spot, &group.id);
            return Ok(());
        }
        let listed = &reading.progress().listed;
        let looker = slice.looker();
        let known = |number| listed.contains(number);
        match looker.overlooked(group, repository, known).await {
            Ok(seen) => {
                let then = Then::More(reading.progress().clone());
                self.send(part, seen, then).await;
                Ok(())
            }
            Err(failure) => slice.not_proven(failure, &[group]),
        }
    }

    async fn whole(
        &self,
        group: &Group,
        repository: &Repository,
        part: &RunPart,
    ) -> Result<(), Failure> {
        let looker = self.slice.looker();
        let mut seen = match Box::pin(looker.whole(group, Some(repository))).await {
            // Since the list was taken, its head may have been pushed away.
            Err(failure) if repository.head.is_some() && failure.class() == Class::Part => {
                let now = repository.without_head();
                Box::pin(looker.whole(group, Some(&now))).await?
            }
            seen => seen?,
        };
        let listed = part.spot.as_ref();
        let listed = listed.and_then(|spot| self.slice.pages.stamp(spot, &group.id));
        if matches!(group.source, Source::Trees(_)) && listed != seen.stamp() {
            // Somebody has looked at it since it was listed: it may have another main branch by now.
            let Some(now) = self.now(group, repository).await? else {
                self.done(part, Vec::new()).await;
                return Ok(());
            };
            if (&now.main_branch, &now.head) != (&repository.main_branch, &repository.head) {
                // Its head may have moved before the record is read again.
                let now = now.without_head();
                seen = Box::pin(looker.whole(group, Some(&now))).await?;
            }
        }
        debug_assert_eq!(seen.item.item, ItemId::Whole);
        let passing = seen.lost_files().into_iter().find(|file| file.may_pass);
        if let Some(file) = passing.cloned()
            && self.put_off(Failure::Unread(Some(file)))?.is_none()
        {
            // The next slice reads it again; what could be read is committed now.
            self.send(
                part,
                vec![seen.without_losses()],
                Then::More(Progress::default()),
            )
            .await;
            return Ok(());
        }
        self.done(part, vec![seen]).await;
        Ok(())
    }
}
