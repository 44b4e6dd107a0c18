//! Broken-down times, `strftime` and `strptime` as in the C locale and UTC. No clock.

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
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Seconds that can be broken down: within some hundred million years of now, far from overflow.
const MAX_SECONDS: f64 = 1e15;

impl Moment {
    /// Breaks down seconds since 1970; `None` when out of range.
    pub(super) fn from_seconds(seconds: f64) -> Option<Self> {
        if seconds.is_nan() || MAX_SECONDS < seconds.abs() {
            return None;
        }
        // Both as in jq, which cuts the moment off and adds the fraction above the floor.
        let (whole, fraction) = (seconds.trunc(), seconds - seconds.floor());
        let days = (whole as i64).div_euclid(DAY_SECONDS);
        let rest = (whole as i64).rem_euclid(DAY_SECONDS);
        let (year, month, day) = civil_from_days(days);
        Some(Self {
            year,
            month: month - 1,
            day,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: (rest % 60) as f64 + fraction,
        })
    }

    /// Whole seconds since 1970. Fields out of their range carry over, as in C's `timegm`.
    pub(super) fn seconds(&self) -> i64 {
        let year = self.year + self.month.div_euclid(12);
        let month = self.month.rem_euclid(12) + 1;
        let days = days_from_civil(year, month, 1) + self.day - 1;
        days * DAY_SECONDS + self.hour * 3600 + self.minute * 60 + self.second.floor() as i64
    }

    pub(super) fn weekday(&self) -> i64 {
        (days_from_civil(self.year, self.month + 1, self.day) + 4).rem_euclid(7)
    }

    pub(super) fn day_of_year(&self) -> i64 {
        days_from_civil(self.year, self.month + 1, self.day) - days_from_civil(self.year, 1, 1)
    }

    /// Year and number of the ISO 8601 week.
    fn iso_week(&self) -> (i64, i64) {
        let weekday = (self.weekday() + 6) % 7;
        let days = days_from_civil(self.year, self.month + 1, self.day);
        let (year, _, _) = civil_from_days(days - weekday + 3);
        let first = days_from_civil(year, 1, 1);
        (year, (days - weekday + 3 - first) / 7 + 1)
    }
}

/// Days since 1970 of a date in the proleptic Gregorian calendar; month from 1.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Count years from March, so that the leap day is the last of its year.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Formats a moment. Unknown conversions stay as they are.
pub(super) fn format(moment: &Moment, format: &str) -> String {
    let mut out = String::with_capacity(format.len() + 16);
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            out.push(char);
            continue;
        }
        let mut conversion = chars.next();
        // GNU modifiers: no padding, blank padding, zero padding, upper case; the C ones E and O.
        let mut padding = None;
        let mut upper = false;
        while let Some(flag @ ('-' | '_' | '0' | '^' | 'E' | 'O')) = conversion {
            match flag {
                '^' => upper = true,
                '-' | '_' | '0' => padding = Some(flag),
                _ => {}
            }
            conversion = chars.next();
        }
        match conversion {
            Some(conversion) => {
                let start = out.len();
                convert(moment, conversion, padding, &mut out);
                if upper {
                    let tail = out.split_off(start);
                    out.push_str(&tail.to_uppercase());
                }
            }
            None => out.push('%'),
        }
    }
    out
}

fn convert(moment: &Moment, conversion: char, padding: Option<char>, out: &mut String) {
    let hour12 = (moment.hour + 11) % 12 + 1;
    let half = if moment.hour < 12 { "AM" } else { "PM" };
    let weekday = moment.weekday();
    let name = |names: &[&'static str], index: i64| {
        usize::try_from(index)
            .ok()
            .and_then(|index| names.get(index))
            .copied()
            .unwrap_or("?")
    };
    let short = |name: &'static str| name.get(..3).unwrap_or(name);
    let (weekday_name, month_name) = (name(&WEEKDAYS, weekday), name(&MONTHS, moment.month));
    let nested = |text: &str| self::format(moment, text);
    let (value, width, fill) = match conversion {
        'Y' => (moment.year, 1, '0'),
        'C' => (moment.year.div_euclid(100), 2, '0'),
        'y' => (moment.year.rem_euclid(100), 2, '0'),
        'm' => (moment.month + 1, 2, '0'),
        'd' => (moment.day, 2, '0'),
        'e' => (moment.day, 2, ' '),
        'H' => (moment.hour, 2, '0'),
        'k' => (moment.hour, 2, ' '),
        'I' => (hour12, 2, '0'),
        'l' => (hour12, 2, ' '),
        'M' => (moment.minute, 2, '0'),
        'S' => (moment.second as i64, 2, '0'),
        'j' => (moment.day_of_year() + 1, 3, '0'),
        'u' => ((weekday + 6) % 7 + 1, 1, '0'),
        'w' => (weekday, 1, '0'),
        'U' => ((moment.day_of_year() + 7 - weekday) / 7, 2, '0'),
        'W' => ((moment.day_of_year() + 7 - (weekday + 6) % 7) / 7, 2, '0'),
        'V' => (moment.iso_week().1, 2, '0'),
        'G' => (moment.iso_week().0, 1, '0'),
        'g' => (moment.iso_week().0.rem_euclid(100), 2, '0'),
        's' => (moment.seconds(), 1, '0'),
        other => {
            match other {
                'a' => out.push_str(short(weekday_name)),
                'A' => out.push_str(weekday_name),
                'b' | 'h' => out.push_str(short(month_name)),
                'B' => out.push_str(month_name),
                'p' => out.push_str(half),
                'P' => out.push_str(&half.to_lowercase()),
                'Z' => out.push_str("GMT"),
                'z' => out.push_str("+0000"),
                'F' => out.push_str(&nested("%Y-%m-%d")),
                'T' | 'X' => out.push_str(&nested("%H:%M:%S")),
                'R' => out.push_str(&nested("%H:%M")),
                'r' => out.push_str(&nested("%I:%M:%S %p")),
                'D' | 'x' => out.push_str(&nested("%m/%d/%y")),
                'c' => out.push_str(&nested("%a %b %e %H:%M:%S %Y")),
                'n' => out.push('\n'),
                't' => out.push('\t'),
                '%' => out.push('%'),
                other => {
                    out.push('%');
                    out.push(other);
                }
            }
            return;
        }
    };
    out.push_str(&match (padding, fill) {
        (Some('-'), _) => value.to_string(),
        (Some('_'), _) | (None, ' ') => format!("{value:width$}"),
        _ => format!("{value:0width$}"),
    });
}

/// Reads `text` by `format`; `None` when it does not fit. Also returns what is left of the text. The time zone
/// `%z` is read and ignored, as jq does.
pub(super) fn parse<'t>(text: &'t str, format: &str) -> Option<(Moment, &'t str)> {
    let mut reader = Reader {
        rest: text,
        fields: Fields::default(),
    };
    reader.read(format)?;
    Some((reader.fields.moment()?, reader.rest))
}

#[derive(Default)]
struct Fields {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    day_of_year: Option<i64>,
    afternoon: Option<bool>,
    seconds: Option<i64>,
}

impl Fields {
    fn moment(&self) -> Option<Moment> {
        let year = self.year.unwrap_or(1900);
        if let Some(seconds) = self.seconds {
            return Moment::from_seconds(seconds as f64);
        }
        let hour = match self.afternoon {
            Some(afternoon) => self.hour % 12 + if afternoon { 12 } else { 0 },
            None => self.hour,
        };
        let (month, day) = match (self.month, self.day, self.day_of_year) {
            (None, None, Some(day_of_year)) => {
                let days = days_from_civil(year, 1, 1) + day_of_year - 1;
                let (_, month, day) = civil_from_days(days);
                (month - 1, day)
            }
            (month, day, _) => (month.unwrap_or(0), day.unwrap_or(0)),
        };
        Some(Moment {
            year,
            month,
            day,
            hour,
            minute: self.minute,
            second: self.second as f64,
        })
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
                let mut conversion = chars.next()?;
                while matches!(conversion, 'E' | 'O' | '-' | '_' | '0' | '^') {
                    conversion = chars.next()?;
                }
                self.convert(conversion)?;
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
        let digits = self
            .rest
            .bytes()
            .take(width)
            .take_while(u8::is_ascii_digit)
            .count();
        let (number, rest) = self.rest.split_at_checked(digits)?;
        let number = number.parse().ok()?;
        self.rest = rest;
        (low <= number && number <= high).then_some(number)
    }

    /// Index of the name that comes next, long or short, in any case.
    fn name(&mut self, names: &[&str]) -> Option<i64> {
        for (index, name) in names.iter().enumerate() {
            for candidate in [*name, name.get(..3)?] {
                if let Some((head, rest)) = self.rest.split_at_checked(candidate.len())
                    && head.eq_ignore_ascii_case(candidate)
                {
                    self.rest = rest;
                    return i64::try_from(index).ok();
                }
            }
        }
        None
    }

    fn convert(&mut self, conversion: char) -> Option<()> {
        match conversion {
            'Y' => self.fields.year = Some(self.number(4, 0, 9999)?),
            'y' => {
                let year = self.number(2, 0, 99)?;
                self.fields.year = Some(if year < 69 { 2000 + year } else { 1900 + year });
            }
            'm' => self.fields.month = Some(self.number(2, 1, 12)? - 1),
            'd' | 'e' => self.fields.day = Some(self.number(2, 1, 31)?),
            'H' | 'k' => self.fields.hour = self.number(2, 0, 23)?,
            'I' | 'l' => self.fields.hour = self.number(2, 1, 12)?,
            'M' => self.fields.minute = self.number(2, 0, 59)?,
            'S' => self.fields.second = self.number(2, 0, 61)?,
            'j' => self.fields.day_of_year = Some(self.number(3, 1, 366)?),
            's' => self.fields.seconds = Some(self.number(15, 0, i64::MAX)?),
            'u' | 'w' => {
                self.number(1, 0, 7)?;
            }
            'U' | 'W' | 'V' => {
                self.number(2, 0, 53)?;
            }
            'a' | 'A' => {
                self.name(&WEEKDAYS)?;
            }
            'b' | 'B' | 'h' => self.fields.month = Some(self.name(&MONTHS)?),
            'p' => {
                self.fields.afternoon = Some(self.half()? == "PM");
            }
            'T' => self.read("%H:%M:%S")?,
            'R' => self.read("%H:%M")?,
            'D' => self.read("%m/%d/%y")?,
            'F' => self.read("%Y-%m-%d")?,
            'c' => self.read("%a %b %e %H:%M:%S %Y")?,
            'z' => self.zone()?,
            'Z' => {
                let letters = self
                    .rest
                    .bytes()
                    .take_while(u8::is_ascii_alphabetic)
                    .count();
                self.rest = self.rest.get(letters..)?;
            }
            'n' | 't' => self.skip_blanks(),
            '%' => self.rest = self.rest.strip_prefix('%')?,
            _ => return None,
        }
        Some(())
    }

    fn half(&mut self) -> Option<&'static str> {
        let (head, rest) = self.rest.split_at_checked(2)?;
        self.rest = rest;
        ["AM", "PM"]
            .into_iter()
            .find(|half| head.eq_ignore_ascii_case(half))
    }

    /// `Z`, `+hh`, `+hhmm` or `+hh:mm`.
    fn zone(&mut self) -> Option<()> {
        self.skip_blanks();
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Some(());
        }
        self.rest = self.rest.strip_prefix(['+', '-'])?;
        self.number(2, 0, 99)?;
        let rest = self.rest.strip_prefix(':').unwrap_or(self.rest);
        if rest.starts_with(|char: char| char.is_ascii_digit()) {
            self.rest = rest;
            self.number(2, 0, 59)?;
        }
        Some(())
    }
}
