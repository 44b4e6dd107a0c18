//! `strftime` as in C's locale. jiff's own differs in what that locale says (`%c`, `%x`), in years beside four digits,
//! and fails where C copies a conversion that it does not know.

use super::Moment;

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
/// Columns that a conversion may ask for.
const MAX_WIDTH: usize = 1_000;

/// What is being formatted, and how its zone is called.
struct Formatter<'z> {
    moment: Moment,
    zone: &'z str,
}

/// What a conversion gives.
enum Field {
    /// With its least number of columns, and what fills them.
    Number(i64, usize, char),
    Text(String),
}

/// Between `%` and the letter.
#[derive(Default)]
struct Flags {
    padding: Option<char>,
    upper: bool,
    swapped: bool,
    width: Option<usize>,
}

/// Formats a moment whose fields are in their ranges. Unknown conversions stay as they are.
pub(crate) fn format(moment: &Moment, format: &str, zone: &str) -> String {
    Formatter {
        moment: *moment,
        zone,
    }
    .format(format)
}

impl Formatter<'_> {
    fn format(&self, format: &str) -> String {
        let mut out = String::with_capacity(format.len() + 16);
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            let (before, conversion) = rest.split_at_checked(at).unwrap_or((rest, ""));
            out.push_str(before);
            rest = self.conversion(conversion, &mut out);
        }
        out.push_str(rest);
        out
    }

    /// Formats the conversion at the start of the text; what follows it.
    fn conversion<'f>(&self, text: &'f str, out: &mut String) -> &'f str {
        let mut flags = Flags::default();
        let mut chars = text.chars();
        chars.next();
        let mut letter = chars.next();
        while let Some(flag @ ('-' | '_' | '0' | '^' | '#')) = letter {
            match flag {
                '^' => flags.upper = true,
                '#' => flags.swapped = true,
                _ => flags.padding = Some(flag),
            }
            letter = chars.next();
        }
        while let Some(digit) = letter.and_then(|char| char.to_digit(10)) {
            let width = flags.width.unwrap_or(0) * 10 + digit as usize;
            flags.width = Some(width.min(MAX_WIDTH));
            letter = chars.next();
        }
        while let Some('E' | 'O') = letter {
            letter = chars.next();
        }
        let rest = chars.as_str();
        match letter.and_then(|letter| Some((letter, self.field(letter)?))) {
            Some((letter, field)) => out.push_str(&flags.apply(letter, field)),
            None => out.push_str(text.strip_suffix(rest).unwrap_or(text)),
        }
        rest
    }

    fn field(&self, letter: char) -> Option<Field> {
        use Field::{Number, Text};
        let moment = &self.moment;
        let weekday = moment.weekday();
        let from_monday = (weekday + 6) % 7;
        let hour12 = (moment.hour + 11) % 12 + 1;
        let half = if moment.hour < 12 { "AM" } else { "PM" };
        Some(match letter {
            'Y' => Number(moment.year, 1, '0'),
            'C' => Number(moment.year.div_euclid(100), 1, '0'),
            'y' => Number(moment.year.rem_euclid(100), 2, '0'),
            'm' => Number(moment.month + 1, 2, '0'),
            'd' => Number(moment.day, 2, '0'),
            'e' => Number(moment.day, 2, ' '),
            'H' => Number(moment.hour, 2, '0'),
            'k' => Number(moment.hour, 2, ' '),
            'I' => Number(hour12, 2, '0'),
            'l' => Number(hour12, 2, ' '),
            'M' => Number(moment.minute, 2, '0'),
            'S' => Number(moment.second as i64, 2, '0'),
            'j' => Number(moment.day_of_year() + 1, 3, '0'),
            'u' => Number(from_monday + 1, 1, '0'),
            'w' => Number(weekday, 1, '0'),
            'U' => Number((moment.day_of_year() + 7 - weekday) / 7, 2, '0'),
            'W' => Number((moment.day_of_year() + 7 - from_monday) / 7, 2, '0'),
            'V' => Number(moment.iso_week().1, 2, '0'),
            'G' => Number(moment.iso_week().0, 1, '0'),
            'g' => Number(moment.iso_week().0.rem_euclid(100), 2, '0'),
            's' => Number(moment.seconds(), 1, '0'),
            'a' => Text(short(name(&WEEKDAYS, weekday)).to_owned()),
            'A' => Text(name(&WEEKDAYS, weekday).to_owned()),
            'b' | 'h' => Text(short(name(&MONTHS, moment.month)).to_owned()),
            'B' => Text(name(&MONTHS, moment.month).to_owned()),
            'p' => Text(half.to_owned()),
            'P' => Text(half.to_lowercase()),
            'Z' => Text(self.zone.to_owned()),
            'z' => Text("+0000".to_owned()),
            'F' => Text(self.format("%Y-%m-%d")),
            'T' | 'X' => Text(self.format("%H:%M:%S")),
            'R' => Text(self.format("%H:%M")),
            'r' => Text(self.format("%I:%M:%S %p")),
            'D' | 'x' => Text(self.format("%m/%d/%y")),
            'c' => Text(self.format("%a %b %e %H:%M:%S %Y")),
            'n' => Text("\n".to_owned()),
            't' => Text("\t".to_owned()),
            '%' => Text("%".to_owned()),
            _ => return None,
        })
    }
}

impl Flags {
    fn apply(&self, letter: char, field: Field) -> String {
        let (text, width, fill) = match field {
            Field::Number(number, width, fill) => {
                let fill = match self.padding {
                    Some('0') => '0',
                    Some(_) => ' ',
                    None => fill,
                };
                let width = if self.padding == Some('-') { 1 } else { width };
                (number.to_string(), width, fill)
            }
            Field::Text(text) => (text, 1, if self.padding == Some('0') { '0' } else { ' ' }),
        };
        let missing = self
            .width
            .unwrap_or(width)
            .saturating_sub(text.chars().count());
        let text = match letter {
            'p' | 'Z' if self.swapped => text.to_lowercase(),
            _ if self.upper || self.swapped => text.to_uppercase(),
            _ => text,
        };
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) if fill == '0' => ("-", digits),
            _ => ("", text.as_str()),
        };
        format!("{sign}{}{digits}", fill.to_string().repeat(missing))
    }
}

fn name(names: &[&'static str], index: i64) -> &'static str {
    let index = usize::try_from(index).ok();
    index
        .and_then(|index| names.get(index))
        .copied()
        .unwrap_or("?")
}

fn short(name: &str) -> &str {
    name.get(..3).unwrap_or(name)
}

/// Index of the name at the start of `text`, long or short, in any case; and what follows it.
fn named<'t>(names: &[&str], text: &'t str) -> Option<(i64, &'t str)> {
    for (index, name) in (0..).zip(names) {
        for candidate in [*name, short(name)] {
            if let Some((head, rest)) = text.split_at_checked(candidate.len())
                && head.eq_ignore_ascii_case(candidate)
            {
                return Some((index, rest));
            }
        }
    }
    None
}

pub(super) fn weekday_named(text: &str) -> Option<(i64, &str)> {
    named(&WEEKDAYS, text)
}

pub(super) fn month_named(text: &str) -> Option<(i64, &str)> {
    named(&MONTHS, text)
}
