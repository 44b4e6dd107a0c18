//! What a reading of a list has shown, and whether nothing can have slipped through it: lists that are read page by page
//! shift when something leaves them.
//!
//! Pure. Knows nothing of how a list is read, or of what follows where nobody can tell.

/// How often a list is read before it moves faster than it can be read.
const MOST_READINGS: usize = 3;

/// What one reading of a list has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub(super) objects: usize,
    /// Of the objects' marks.
    pub(super) sum: u64,
    /// The list cannot have moved: it is one page, or every page has said the same number of objects, and so many were
    /// shown.
    pub(super) is_proven: bool,
}

/// The readings of one list so far.
#[derive(Default)]
pub struct Readings {
    count: usize,
    last: Option<Shown>,
}

/// What the readings so far prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing can have slipped through.
    Complete,
    /// One more reading may tell.
    NotYet,
    /// The list has moved during each of the readings.
    Never,
}

impl Shown {
    /// Everything is known at once.
    pub const WHOLE: Shown = Shown {
        objects: 0,
        sum: 0,
        is_proven: true,
    };

    fn is_as(self, other: Shown) -> bool {
        (self.objects, self.sum) == (other.objects, other.sum)
    }
}

impl Readings {
    /// Takes in one more reading; `None` where nobody can say any more what it has shown. What proves nothing by itself is
    /// believed when the reading before has shown the same.
    pub fn after(&mut self, shown: Option<Shown>) -> Proof {
        self.count += 1;
        let before = std::mem::replace(&mut self.last, shown);
        let is_all = |shown: Shown| shown.is_proven || before.is_some_and(|it| it.is_as(shown));
        match shown {
            Some(shown) if is_all(shown) => Proof::Complete,
            _ if self.count < MOST_READINGS => Proof::NotYet,
            _ => Proof::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(sum: u64) -> Option<Shown> {
        Some(Shown {
            objects: 7,
            sum,
            is_proven: false,
        })
    }

    #[test]
    fn a_list_is_complete_when_it_proves_it_or_two_readings_agree() {
        let mut readings = Readings::default();
        assert_eq!(readings.after(Some(Shown::WHOLE)), Proof::Complete);
        let mut readings = Readings::default();
        assert_eq!(readings.after(moved(1)), Proof::NotYet);
        assert_eq!(readings.after(moved(2)), Proof::NotYet);
        assert_eq!(readings.after(moved(2)), Proof::Complete);
    }

    #[test]
    fn after_three_readings_nobody_can_tell() {
        let mut readings = Readings::default();
        for (shown, proof) in [
            (None, Proof::NotYet),
            (moved(1), Proof::NotYet),
            (moved(2), Proof::Never),
        ] {
            assert_eq!(readings.after(shown), proof);
        }
    }
}
