//! `strptime` with the habits of glibc's: what it computes from what, and what it leaves as it was.

use super::Moment;
use super::format::{month_named, weekday_named};

/// What `strptime` leaves in jq's hands.
pub(crate) struct Reading<'t> {
    pub(crate) moment: Moment,
    /// As the text says, or as follows from a date in it, or 8.
    pub(crate) weekday: i64,
    /// From 0: as the text says, or as follows from a date in it, or 367.
    pub(crate) day_of_year: i64,
    /// What is left of the text.
    pub(crate) rest: &'t str,
}

/// Reads `text` by `format`; `None` when it does not fit. A time zone is read and ignored, as jq does.
pub(crate) fn parse<'t>(text: &'t str, format: &str) -> Option<Reading<'t>> {
    let mut reader = Reader {
        rest: text,
        fields: Fields::default(),
    };
    reader.read(format)?;
    Some(reader.fields.reading(reader.rest))
}

#[derive(Default)]
struct Fields {
    century: Option<i64>,
    year: Option<i64>,
    /// The year has two digits, so that a century may be missing.
    short_year: bool,
    month: Option<i64>,
    day: Option<i64>,
    hour: i64,
    /// The hour is one of twelve.
    half_day: bool,
    afternoon: bool,
    minute: i64,
    second: i64,
    weekday: Option<i64>,
    /// From 0.
    day_of_year: Option<i64>,
    /// A number of the week, and the weekday that weeks begin with.
    week: Option<(i64, i64)>,
    /// Something of a date was read, from which weekday and day of the year follow.
    dated: bool,
    seconds: Option<i64>,
}

impl Fields {
    fn reading<'t>(&self, rest: &'t str) -> Reading<'t> {
        let mut moment = self.moment();
        let (mut weekday, mut day_of_year) =
            (self.weekday.unwrap_or(8), self.day_of_year.unwrap_or(367));
        if let Some(seconds) = self.seconds {
            moment = Moment::from_whole_seconds(seconds);
            (weekday, day_of_year) = (moment.weekday(), moment.day_of_year());
        }
        if self.dated && self.weekday.is_none() {
            if let Some(known) = self.day_of_year
                && (self.month.is_none() || self.day.is_none())
            {
                self.complete(&mut moment, known);
            }
            weekday = moment.weekday();
        }
        if self.dated && self.day_of_year.is_none() {
            day_of_year = moment.day_of_year();
        }
        if let (Some((week, first)), Some(wanted)) = (self.week, self.weekday) {
            let new_year = Moment {
                month: 0,
                day: 1,
                ..moment
            }
            .weekday();
            if self.day_of_year.is_none() {
                day_of_year =
                    (7 - (new_year - first)) % 7 + (week - 1) * 7 + (wanted - first + 7) % 7;
            }
            self.complete(&mut moment, day_of_year);
        }
        Reading {
            moment,
            weekday,
            day_of_year,
            rest,
        }
    }

    fn moment(&self) -> Moment {
        let year = match (self.century, self.year) {
            (Some(century), Some(year)) if self.short_year => century * 100 + year.rem_euclid(100),
            (Some(century), _) => century * 100,
            (None, year) => year.unwrap_or(1900),
        };
        Moment {
            year,
            month: self.month.unwrap_or(0),
            day: self.day.unwrap_or(0),
            hour: self.hour
                + if self.half_day && self.afternoon {
                    12
                } else {
                    0
                },
            minute: self.minute,
            second: self.second as f64,
        }
    }

    /// Month and day, where they are not given, from the day of the year.
    fn complete(&self, moment: &mut Moment, day_of_year: i64) {
        let found = Moment {
            month: 0,
            day: day_of_year + 1,
            ..*moment
        }
        .normalized();
        moment.month = self.month.unwrap_or(found.month);
        moment.day = self.day.unwrap_or(found.day);
    }
}

struct Reader<'t> {
    rest: &'t str,
    fields: Fields,
}

impl Reader<'_> {
    fn read(&mut self, format: &str) -> Option<()> {
        let mut chars = format.chars();
        while let Some(char) = chars.next() {
            if char.is_ascii_whitespace() {
                self.skip_blanks();
            } else if char == '%' {
                let mut letter = chars.next()?;
                while matches!(letter, '-' | '_' | '^' | '#' | '0'..='9') {
                    letter = chars.next()?;
                }
                let takes = match letter {
                    'E' => "cCyYxX",
                    'O' => "bdeHImMSUVWwy",
                    _ => "",
                };
                if !takes.is_empty() {
                    letter = chars.next().filter(|letter| takes.contains(*letter))?;
                }
                self.convert(letter)?;
            } else {
                self.rest = self.rest.strip_prefix(char)?;
            }
        }
        Some(())
    }

    fn skip_blanks(&mut self) {
        self.rest = self
            .rest
            .trim_start_matches(|char: char| char.is_ascii_whitespace());
    }

    /// At most `width` digits, after blanks.
    fn number(&mut self, width: usize, low: i64, high: i64) -> Option<i64> {
        self.skip_blanks();
        let digits = self.rest.bytes().take(width).take_while(u8::is_ascii_digit);
        let (number, rest) = self.rest.split_at_checked(digits.count())?;
        let number = number.parse().ok()?;
        self.rest = rest;
        (low <= number && number <= high).then_some(number)
    }

    fn convert(&mut self, letter: char) -> Option<()> {
        if self.convert_date(letter)? {
            self.fields.dated = true;
            return Some(());
        }
        match letter {
            'H' | 'k' => {
                self.fields.hour = self.number(2, 0, 23)?;
                self.fields.half_day = false;
            }
            'I' | 'l' => {
                self.fields.hour = self.number(2, 1, 12)? % 12;
                self.fields.half_day = true;
            }
            'M' => self.fields.minute = self.number(2, 0, 59)?,
            'S' => self.fields.second = self.number(2, 0, 61)?,
            'p' => {
                let (head, rest) = self.rest.split_at_checked(2)?;
                self.fields.afternoon = head.eq_ignore_ascii_case("PM");
                if !self.fields.afternoon && !head.eq_ignore_ascii_case("AM") {
                    return None;
                }
                self.rest = rest;
            }
            'T' | 'X' => self.read("%H:%M:%S")?,
            'R' => self.read("%H:%M")?,
            'r' => self.read("%I:%M:%S %p")?,
            'j' => self.fields.day_of_year = Some(self.number(3, 1, 366)? - 1),
            's' if self.rest.starts_with(|char: char| char.is_ascii_digit()) => {
                self.fields.seconds = Some(self.number(17, 0, i64::MAX)?);
            }
            'u' => self.fields.weekday = Some(self.number(1, 1, 7)? % 7),
            'w' => self.fields.weekday = Some(self.number(1, 0, 6)?),
            'a' | 'A' => {
                let (weekday, rest) = weekday_named(self.rest)?;
                self.fields.weekday = Some(weekday);
                self.rest = rest;
            }
            'U' => self.fields.week = Some((self.number(2, 0, 53)?, 0)),
            'W' => self.fields.week = Some((self.number(2, 0, 53)?, 1)),
            // Read and not used.
            'V' => drop(self.number(2, 0, 53)?),
            'g' => drop(self.number(2, 0, 99)?),
            'G' => drop(self.number(usize::MAX, 0, i64::MAX)?),
            'z' => self.zone()?,
            'Z' => {
                self.skip_blanks();
                let name = self
                    .rest
                    .trim_start_matches(|char: char| !char.is_ascii_whitespace());
                self.rest = name;
            }
            'n' | 't' => self.skip_blanks(),
            '%' => self.rest = self.rest.strip_prefix('%')?,
            _ => return None,
        }
        Some(())
    }

    /// Conversions that say something of a date; whether it is one of them.
    fn convert_date(&mut self, letter: char) -> Option<bool> {
        match letter {
            'Y' => {
                self.fields.year = Some(self.number(4, 0, 9999)?);
                self.fields.short_year = false;
            }
            'y' => {
                let year = self.number(2, 0, 99)?;
                self.fields.year = Some(if year < 69 { 2000 + year } else { 1900 + year });
                self.fields.short_year = true;
            }
            'C' => self.fields.century = Some(self.number(2, 0, 99)?),
            'm' => self.fields.month = Some(self.number(2, 1, 12)? - 1),
            'd' | 'e' => self.fields.day = Some(self.number(2, 1, 31)?),
            'b' | 'B' | 'h' => {
                let (month, rest) = month_named(self.rest)?;
                self.fields.month = Some(month);
                self.rest = rest;
            }
            'D' | 'x' => self.read("%m/%d/%y")?,
            'F' => self.read("%Y-%m-%d")?,
            'c' => self.read("%a %b %e %H:%M:%S %Y")?,
            _ => return Some(false),
        }
        Some(true)
    }

    /// `Z`, `+hh`, `+hhmm` or `+hh:mm`.
    fn zone(&mut self) -> Option<()> {
        self.skip_blanks();
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Some(());
        }
        self.rest = self.rest.strip_prefix(['+', '-'])?;
        let before = self.rest.len();
        self.number(2, 0, 99)?;
        if before - self.rest.len() < 2 {
            return None;
        }
        let rest = self.rest.strip_prefix(':').unwrap_or(self.rest);
        if rest.starts_with(|char: char| char.is_ascii_digit()) {
            self.rest = rest;
            self.number(2, 0, 59)?;
        }
        Some(())
    }
}
