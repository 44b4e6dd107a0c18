//! jq's order of all values.

use std::cmp::Ordering;

use super::guard;
use super::value::{Object, Text, Val};

impl Val {
    /// Order of all values, in which NaN is less than every number but equal to itself: for sorting,
    /// where `Ord` must be total.
    pub(super) fn total_order(&self, other: &Self) -> Ordering {
        match (self.as_f64(), other.as_f64()) {
            (Some(left), Some(right)) if left.is_nan() && right.is_nan() => Ordering::Equal,
            _ => self.order(other),
        }
    }

    /// jq's order: null, false, true, numbers, strings, arrays, objects. NaN is less than anything,
    /// itself included.
    fn order(&self, other: &Self) -> Ordering {
        guard::count(1);
        match (self, other) {
            (Self::Str(left), Self::Str(right)) => {
                guard::count(left.as_str().len().min(right.as_str().len()) / 256);
                left.cmp(right)
            }
            (Self::Arr(left), Self::Arr(right)) => {
                for (left, right) in left.items().iter().zip(right.items()) {
                    match left.order(right) {
                        Ordering::Equal => {}
                        unequal => return unequal,
                    }
                }
                left.items().len().cmp(&right.items().len())
            }
            (Self::Obj(left), Self::Obj(right)) => order_objects(left, right),
            _ => match (self.as_f64(), other.as_f64()) {
                (Some(left), Some(right)) => order_numbers(self, other, left, right),
                _ => self.rank().cmp(&other.rank()),
            },
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(false) => 1,
            Self::Bool(true) => 2,
            Self::Num(_) | Self::Literal(_) => 3,
            Self::Str(_) => 4,
            Self::Arr(_) => 5,
            Self::Obj(_) => 6,
        }
    }
}

fn order_numbers(this: &Val, other: &Val, left: f64, right: f64) -> Ordering {
    if left.is_nan() {
        return Ordering::Less;
    }
    // Two long integers may differ where their doubles agree.
    if let (Val::Literal(this), Val::Literal(other)) = (this, other)
        && left == right
        && let (Ok(this), Ok(other)) = (this.text.parse::<i128>(), other.text.parse::<i128>())
    {
        return this.cmp(&other);
    }
    left.partial_cmp(&right).unwrap_or(Ordering::Greater)
}

fn order_objects(left: &Object, right: &Object) -> Ordering {
    let sorted = |object: &Object| {
        let mut keys: Vec<Text> = object.entries().keys().cloned().collect();
        guard::count(keys.len());
        keys.sort();
        keys
    };
    let (left_keys, right_keys) = (sorted(left), sorted(right));
    match left_keys.cmp(&right_keys) {
        Ordering::Equal => {}
        unequal => return unequal,
    }
    left_keys
        .iter()
        .map(|key| left.entries()[key.as_str()].order(&right.entries()[key.as_str()]))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

impl PartialEq for Val {
    fn eq(&self, other: &Self) -> bool {
        self.order(other) == Ordering::Equal
    }
}

impl PartialOrd for Val {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.order(other))
    }
}
