//! What becomes of an item of which a file could not be read: it stays as it is, and is told of.

use std::sync::Arc;

use super::image::{Image, Made};
use super::look::Looker;
use super::plan::Sight;
use crate::bitbucket;
use crate::extract::{self, Group};
use crate::failure::{Failure, UnreadFile};

impl Looker<'_> {
    /// An item of which a file could not be read: it stays as it is.
    pub(super) fn lost(&self, group: &Group, file: &Arc<UnreadFile>) -> Sight {
        tracing::warn!(
            kind = group.source.name(),
            %file,
            "an item could not be read: it stays as it is"
        );
        self.mapper.doubt(&group.resources);
        Sight::Present(Image {
            made: Made::lost(&group.resources, "", file).collect(),
            basis: None,
        })
    }

    /// A repository of which a file could not be read. A failure of the moment is not the item's.
    pub(super) fn unread(&self, group: &Group, error: bitbucket::Error) -> Result<Sight, Failure> {
        match self.lost_file(group, &error) {
            Some(file) if !file.may_pass => Ok(self.lost(group, &file)),
            _ => Err(error.into()),
        }
    }

    /// Of the files that go along with the items of `group`, where `error` is about them.
    pub fn lost_file(&self, group: &Group, error: &bitbucket::Error) -> Option<Arc<UnreadFile>> {
        extract::unread_file(&group.included_files.join(", "), error)
    }
}
