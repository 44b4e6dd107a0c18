//! What a reading of a list by number has shown, and whether anything seems to have slipped through it: lists that are read
//! page by page shift when something leaves them.
//!
//! Pure. Knows nothing of how a list is read, or of what follows where nobody can tell. A count is no proof: where one object
//! goes and another comes, a third may slip through and the count be right. Only one page, or a list
//! [by key](super::by_key), proves that something is not there.

/// How often a list is read before it moves faster than it can be read.
const MOST_READINGS: usize = 3;

/// What one reading of a list has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub(super) objects: usize,
    /// Of the objects' marks.
    pub(super) sum: u64,
    /// Every page has said the same number of objects, and so many were shown: nothing seems to have slipped through.
    pub is_counted: bool,
    /// It was one page, and so cannot have moved: what it does not show was not there.
    pub is_one_page: bool,
}

/// The readings of one list so far.
#[derive(Default)]
pub struct Readings {
    count: usize,
    last: Option<Shown>,
}

/// What the readings so far say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing seems to have slipped through.
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
        is_counted: true,
        is_one_page: true,
    };

    fn is_as(self, other: Shown) -> bool {
        (self.objects, self.sum) == (other.objects, other.sum)
    }
}

impl Readings {
    /// Takes in one more reading. One whose count does not fit is believed when the reading before has shown the same.
    pub fn after(&mut self, shown: Shown) -> Proof {
        self.count += 1;
        let before = self.last.replace(shown);
        match shown.is_counted || before.is_some_and(|it| it.is_as(shown)) {
            true => Proof::Complete,
            false if self.count < MOST_READINGS => Proof::NotYet,
            false => Proof::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(sum: u64) -> Shown {
        Shown {
            objects: 7,
            sum,
            is_counted: false,
            is_one_page: false,
        }
    }

    #[test]
    fn a_list_seems_complete_when_the_count_fits_or_two_readings_agree() {
        let mut readings = Readings::default();
        assert_eq!(readings.after(Shown::WHOLE), Proof::Complete);
        let mut readings = Readings::default();
        assert_eq!(readings.after(moved(1)), Proof::NotYet);
        assert_eq!(readings.after(moved(2)), Proof::NotYet);
        assert_eq!(readings.after(moved(2)), Proof::Complete);
    }

    #[test]
    fn after_three_readings_nobody_can_tell() {
        let mut readings = Readings::default();
        for (sum, proof) in [(1, Proof::NotYet), (2, Proof::NotYet), (3, Proof::Never)] {
            assert_eq!(readings.after(moved(sum)), proof);
        }
    }
}
