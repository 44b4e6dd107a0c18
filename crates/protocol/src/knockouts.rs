//! What each rule is for: the world that goes wrong without it.

use crate::rules::Rule;
use crate::world::World;
use crate::worlds::*;

/// Rules, and the world whose catalogue must go wrong if they are left out.
///
/// Most stand alone. Two that stand together cover for each other: leaving out either one does no harm.
pub const CAUGHT: &[(&[Rule], World)] = &[
    (&[Rule::RecordBeforeBitbucket], BUSY),
    (&[Rule::OneWriter], BUSY),
    (&[Rule::LiveLookAlwaysCommits], BUSY),
    (&[Rule::CompareWithSnapshot], LATE_ALONE),
    (&[Rule::UnsureIsDifferent], HALF_DONE),
    (&[Rule::SameStampUnderPen], BUSY),
    (&[Rule::SameGenerationUnderPen], MAPPING),
    (
        &[Rule::RaiseGenerationUnderPen, Rule::LeftOutIsLookedAt],
        MAPPING,
    ),
    (&[Rule::FirstHolderWrites], RENAMES),
    (&[Rule::WakeNextHolder], RENAMES),
    (&[Rule::TargetsAreHeld], TARGETS),
    (&[Rule::WakeWaiting], WAITING),
    (&[Rule::DeleteOnlyOurs], FOREIGN_TARGET),
    (&[Rule::RowsNameHolders], SHARED),
    (&[Rule::Announce], ALONE),
    (&[Rule::AnnounceRowsToo], ROWS_ONLY),
    (&[Rule::AnnounceOnlyUnchanged], FROZEN_ALONE),
    (&[Rule::ConditionsCoverPlace], FROZEN_RENAMES),
    (&[Rule::RowsOnlyUnchanged], FROZEN_THREE),
    (&[Rule::RowsBeforeSettle], HALF_DONE),
    (&[Rule::WakesBeforeSettle], HALF_DONE),
    (&[Rule::SettleOnlyOwnStamp], FROZEN_SHARED),
    (&[Rule::RefusedIsLookedAt], FROZEN_APART),
    (&[Rule::AcknowledgeLast], ALONE),
    (&[Rule::ListOnlyAdds], ALONE),
    (&[Rule::Adopt], NEW_TABLE),
    (&[Rule::AdoptNothingSearched], NEW_TABLE),
    (&[Rule::AdoptOnlyIfAllIsRead], NEW_TABLE),
    (&[Rule::AdoptOnlyIfProven], NEW_TABLE),
    (&[Rule::AdoptUnderPen], HALF_DONE),
];

/// Rules whose knock-out no small world catches, and why they stand.
pub const EXEMPT: &[(Rule, &str)] = &[(
    Rule::SuccessorTakesSnapshot,
    "an old snapshot shows differences that are none, which cost a commit; what happens to Port outside the pen while a \
     run is at work owes another run anyway",
)];
