//! Resources whose identifiers cannot be trusted: where more than a tenth of them is null, or nothing that Port takes, the
//! expression is at fault rather than some items. The resource has failed, and nothing of it is deleted.

use super::journal::Phase;
use super::slice::Slice;
use crate::store::documents::Distrusted;
use crate::store::run::FailedPart;
use crate::sync::mapper::blueprint_or_any;

impl Slice<'_> {
    /// As far as the items tell that were read until now.
    pub(super) fn distrusted(&self) -> Distrusted {
        self.count();
        let run = self.run();
        let mut distrusted = Distrusted::default();
        for resource in self.sources().mapping().resources() {
            let counts = run.identifiers.get(&resource.fingerprint);
            if counts.is_some_and(|counts| counts.is_distrusted()) {
                distrusted.resources.insert(resource.fingerprint.clone());
                let blueprint = blueprint_or_any(resource);
                distrusted.blueprints.insert(blueprint.to_owned());
            }
        }
        distrusted
    }

    /// Notes them as parts of the workspace that could not be read, when everything is read.
    pub(super) fn fail_distrusted(&self) {
        let distrusted = self.distrusted();
        for group in self.sources().groups() {
            let resources = group.resources.iter();
            for resource in resources.filter(|it| distrusted.resources.contains(&it.fingerprint)) {
                let mut run = self.run();
                let counts = run.identifiers.get(&resource.fingerprint).copied();
                let counts = counts.unwrap_or_default();
                let (unusable, all) = (counts.unusable, counts.all());
                let part = FailedPart {
                    source: group.id.clone(),
                    repository: None,
                    name: resource.name(),
                    reason: format!(
                        "{unusable} of {all} identifiers are null or refused by Port: nothing of it is deleted; \
                         correct port.entity.mappings.identifier"
                    ),
                };
                if !run.failed.contains(&part) {
                    tracing::warn!(%part, "a resource without identifiers");
                    self.journal.warn(Phase::Transform, part.to_string());
                }
                run.fail(part);
            }
        }
    }
}
