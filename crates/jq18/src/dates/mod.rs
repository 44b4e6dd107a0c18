//! Broken-down times in UTC: the calendar is jiff's, the text forms are those of C's locale. No clock.

mod format;
mod parse;

use jiff::civil::{Date, date};

pub(super) use format::format;
pub(super) use parse::parse;

/// A moment as jq breaks it down: the array `[year, month from 0, day, hours, minutes, seconds, weekday, day of
/// the year from 0]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    /// With fraction.
    pub(super) second: f64,
}

const DAY_SECONDS: i64 = 86_400;
const EPOCH: Date = date(1970, 1, 1);
/// The Gregorian calendar repeats itself after so many years; jiff knows only those between -9999 and 9999.
const CYCLE_YEARS: i64 = 400;
const CYCLE_DAYS: i64 = 146_097;
/// Seconds that can be broken down: C counts years in 32 bits.
const MAX_SECONDS: f64 = 6.776e16;

impl Moment {
    /// Breaks down seconds since 1970; `None` when out of range.
    pub(super) fn from_seconds(seconds: f64) -> Option<Self> {
        if seconds.is_nan() || MAX_SECONDS < seconds.abs() {
            return None;
        }
        // Both as in jq, which cuts the moment off and adds the fraction above the floor.
        let (whole, fraction) = (seconds.trunc(), seconds - seconds.floor());
        let moment = Self::from_whole_seconds(whole as i64);
        Some(Self {
            second: moment.second + fraction,
            ..moment
        })
    }

    fn from_whole_seconds(seconds: i64) -> Self {
        let (day, cycle) = of_day(seconds.div_euclid(DAY_SECONDS));
        let rest = seconds.rem_euclid(DAY_SECONDS);
        Self {
            year: i64::from(day.year()) + cycle * CYCLE_YEARS,
            month: i64::from(day.month()) - 1,
            day: i64::from(day.day()),
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: (rest % 60) as f64,
        }
    }

    /// Whole seconds since 1970. Fields out of their range carry over, as in C's `timegm`.
    pub(super) fn seconds(&self) -> i64 {
        self.days() * DAY_SECONDS + self.hour * 3600 + self.minute * 60 + self.second as i64
    }

    /// `mktime`: the last two seconds before 1970 are what C's functions fail with.
    pub(super) fn timestamp(&self) -> Result<i64, &'static str> {
        match self.seconds() {
            -1 => Err("invalid gmtime representation"),
            -2 => Err("mktime not supported on this platform"),
            seconds => Ok(seconds),
        }
    }

    /// The same moment with every field in its range, without a fraction.
    pub(super) fn normalized(&self) -> Self {
        Self::from_whole_seconds(self.seconds())
    }

    /// From Sunday, 0.
    pub(super) fn weekday(&self) -> i64 {
        (self.days() + 4).rem_euclid(7)
    }

    /// From 0.
    pub(super) fn day_of_year(&self) -> i64 {
        let first = Self {
            month: 0,
            day: 1,
            ..*self
        };
        self.days() - first.days()
    }

    /// Days since 1970.
    fn days(&self) -> i64 {
        let year = self.year + self.month.div_euclid(12);
        // From 1970 on in the same cycle, so that only the cycles are missing.
        let (cycle, year) = (
            (year - 1970).div_euclid(CYCLE_YEARS),
            (year - 1970).rem_euclid(CYCLE_YEARS) + 1970,
        );
        let month = self.month.rem_euclid(12) + 1;
        let first = i16::try_from(year).ok().zip(i8::try_from(month).ok());
        let first = first.and_then(|(year, month)| Date::new(year, month, 1).ok());
        let days = first.map_or(0, |first| first.duration_since(EPOCH).as_hours() / 24);
        days + cycle * CYCLE_DAYS + self.day - 1
    }

    /// Year and number of the ISO 8601 week.
    fn iso_week(&self) -> (i64, i64) {
        let (day, cycle) = of_day(self.days());
        let week = day.iso_week_date();
        (
            i64::from(week.year()) + cycle * CYCLE_YEARS,
            i64::from(week.week()),
        )
    }
}

/// The date of a day since 1970, and how many cycles it is away.
fn of_day(days: i64) -> (Date, i64) {
    let within = jiff::Span::new().try_days(days.rem_euclid(CYCLE_DAYS));
    let date = within.and_then(|within| EPOCH.checked_add(within));
    (date.unwrap_or(EPOCH), days.div_euclid(CYCLE_DAYS))
}
