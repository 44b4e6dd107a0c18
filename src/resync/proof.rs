//! That nothing has slipped through a list of repositories: it is read again until that is certain.
//!
//! Whatever nobody has recorded, and no list has shown, would be taken for nobody's at the end of a run.

use tokio::sync::mpsc::UnboundedSender;

use super::listing::{Known, ListReader, Listed};
use crate::bitbucket::{Proof, Readings, Shown};
use crate::extract::{Group, Listing, Source};
use crate::failure::{Class, Failure};
use crate::identity::Repository;
use crate::telemetry::chain;

impl ListReader<'_> {
    /// Reads the list again until nothing can have slipped through it, or nobody can tell. `shown`: by the reading before,
    /// where it came to its end in this slice.
    pub(super) async fn prove(
        &self,
        shown: Option<Shown>,
        known: &Known,
        listed: &UnboundedSender<Listed>,
    ) -> Result<(), Failure> {
        let slice = self.reader.slice;
        let mut readings = Readings::default();
        let mut proof = readings.after(shown);
        while proof == Proof::NotYet {
            if self.reader.is_stopped() || self.has_failed() {
                return Ok(());
            }
            proof = match Box::pin(self.read_again(known, listed)).await {
                Ok(Some(shown)) => readings.after(Some(shown)),
                Ok(None) => Proof::Never,
                Err(failure) if failure.class() == Class::Credentials => return Err(failure),
                Err(failure) => {
                    let error = chain(&failure);
                    tracing::warn!(error, "the list of repositories was not read again");
                    Proof::Never
                }
            };
        }
        if proof == Proof::Never {
            tracing::warn!("nobody can tell whether the list of repositories has moved meanwhile");
            for group in self.own.iter().chain(&self.inner) {
                slice.doubt(group);
            }
        }
        self.note_proven();
        Ok(())
    }

    fn has_failed(&self) -> bool {
        let run = self.reader.slice.run();
        run.lists
            .get(&self.id)
            .is_some_and(|list| list.failed.is_some() || !list.is_complete)
    }

    fn note_proven(&self) {
        let mut run = self.reader.slice.run();
        run.lists.entry(self.id.clone()).or_default().is_proven = true;
    }

    /// One more reading, without what goes along; repositories that none before has shown are taken in.
    async fn read_again(
        &self,
        known: &Known,
        listed: &UnboundedSender<Listed>,
    ) -> Result<Option<Shown>, Failure> {
        let slice = self.reader.slice;
        let nobody = Group::of_nobody(Source::Repositories(self.filter.clone()));
        let mut met = self.pages().listed(&self.id);
        let mut listing = Listing::open(slice.bitbucket, &nobody, None);
        let mut overlooked = Vec::new();
        while let Some(batch) = listing.next(&slice.deadline).await? {
            slice.keep().await?;
            if self.reader.is_stopped() {
                return Ok(None);
            }
            for raw in batch.items {
                if let Some(one) = Repository::of(&raw).filter(|one| met.insert(one.uuid.clone())) {
                    let raw = match self.own {
                        Some(group) => slice.looker().with_files(group, raw).await,
                        None => Ok(raw),
                    };
                    overlooked.push((one, raw));
                }
            }
        }
        if !overlooked.is_empty() {
            self.page(None, overlooked, known, listed).await?;
        }
        Ok(Some(listing.shown()))
    }
}
