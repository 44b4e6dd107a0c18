//! What the protocol demands, one name per rule. Each says which line of the protocol it is and what it is for.
//!
//! The lines, in the order of a commit: (1) record and generation, then Bitbucket; (2) the pen; (3) read both again
//! under it; (4) plan; (5) announce; (6) Port, rows, wakes, settle, let go, acknowledge; (7) a list only adds;
//! (8) adoption.

macro_rules! rules {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// One demand of the protocol. Knocked out, a world must fail.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Rule { $($(#[$meta])* $name,)* }

        impl Rule {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

rules! {
    /// Line 1. A look reads the record before Bitbucket: what it saw is then at least as new as the record.
    RecordBeforeBitbucket,
    /// Line 2. Only the holder of the pen writes Port and the table; there is one pen.
    OneWriter,
    /// Line 2. A live look takes the pen even where nothing differs, and of a gone item too: its stamp tells others
    /// that their reading is older.
    LiveLookAlwaysCommits,
    /// Line 2. A run compares with a snapshot of Port, not only with what the record says was written.
    CompareWithSnapshot,
    /// Line 2. The successor of a dead run takes a snapshot of its own.
    SuccessorTakesSnapshot,
    /// Lines 2 and 5. A run takes an unsure record for a difference: somebody died between announcing and settling.
    UnsureIsDifferent,
    /// Line 3. Under the pen the record must bear the stamp that was read before Bitbucket.
    SameStampUnderPen,
    /// Line 3. Under the pen the mapping's generation must be the one that the look mapped with.
    SameGenerationUnderPen,
    /// Line 3. An item that a run leaves out because of its stamp is looked at.
    LeftOutIsLookedAt,
    /// Line 2. A run raises the generation under the pen, so that no commit of the old one is under way.
    RaiseGenerationUnderPen,
    /// Line 4. The first holder in a fixed order writes an entity; others only hold it.
    FirstHolderWrites,
    /// Line 4. An item that has become the first holder is woken.
    WakeNextHolder,
    /// Line 4. The target of a relation that Port creates is held by the items that relate to it.
    TargetsAreHeld,
    /// Line 4. An item whose target is missing waits for it; the commit that writes the target wakes the item.
    WakeWaiting,
    /// Line 4. Only what Port says is ours is deleted.
    DeleteOnlyOurs,
    /// Lines 4 and 6. Rows say which places hold an entity.
    RowsNameHolders,
    /// Line 5. Before Port the record names what was held and what is held now, and is unsure.
    Announce,
    /// Line 5. So it is where only rows change.
    AnnounceRowsToo,
    /// Line 5, against a holder that was frozen. A record is announced only if it is as it was read under the pen.
    AnnounceOnlyUnchanged,
    /// Lines 5 and 6, against a holder that was frozen. These conditions are on the records of the whole place, since
    /// its items share their rows.
    ConditionsCoverPlace,
    /// Line 6, against a holder that was frozen. A row is written only if it is as it was read under the pen.
    RowsOnlyUnchanged,
    /// Line 6. Rows are written before the record is settled.
    RowsBeforeSettle,
    /// Line 6. Wakes are sent before the record is settled.
    WakesBeforeSettle,
    /// Line 6, against a holder that was frozen. The record is settled only while its stamp is still the one that this
    /// commit announced.
    SettleOnlyOwnStamp,
    /// Lines 5 and 6. Who is refused by one of these conditions gives up as if dead: its items are looked at again.
    RefusedIsLookedAt,
    /// Line 6. A message is acknowledged last.
    AcknowledgeLast,
    /// Line 7. What a list does not show is looked at by id before anything of it goes.
    ListOnlyAdds,
    /// Line 8. A complete run deletes what is ours and what nothing names.
    Adopt,
    /// Line 8. Not in blueprints that a search identifier addresses: those entities are only enriched.
    AdoptNothingSearched,
    /// Line 8. Not while a part without a record is unread.
    AdoptOnlyIfAllIsRead,
    /// Line 8. Only after a reading through which nothing can slip: an item without a record has nothing else to speak
    /// for it.
    AdoptOnlyIfProven,
    /// Line 8. Under the pen, with the rows as they are there.
    AdoptUnderPen,
}

impl Rule {
    /// The rule of this name, as [`Debug`](std::fmt::Debug) writes it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|rule| format!("{rule:?}") == name)
    }
}

/// The rules in force.
#[derive(Clone, Copy, Debug)]
pub struct Rules(u64);

impl Rules {
    pub const ALL: Self = Self(u64::MAX);

    #[must_use]
    pub const fn without(self, rule: Rule) -> Self {
        Self(self.0 & !(1 << rule as u64))
    }

    pub(crate) const fn has(self, rule: Rule) -> bool {
        self.0 >> rule as u64 & 1 == 1
    }
}

/// Every rule has a bit.
const _: () = assert!(Rule::ALL.len() <= u64::BITS as usize);
