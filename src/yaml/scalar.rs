//! What an unquoted or tagged text of YAML 1.1 is: the patterns of `PyYAML`'s resolver, and what its safe constructor
//! makes of each.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Number, Value};

/// The namespace of `!!int` and its like.
const NAMESPACE: &str = "tag:yaml.org,2002:";

/// A scalar that is understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Value(Value),
    /// `<<`: as a key, what it stands for is merged into the mapping.
    Merge,
    /// `=`: as a key it is text; as a value `PyYAML` has no use for it.
    Default,
}

static INTEGER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$",
    )
});

static FLOAT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
    )
});

static TIMESTAMP: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:(?:[Tt]|[ \t]+)([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]*))?[ \t]*(?:(Z)|([-+])([0-9]{1,2})(?::([0-9]{2}))?)?)?$",
    )
});

/// Days and months of a date without a time have two digits.
static DATE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"));

#[expect(clippy::unwrap_used, reason = "the patterns are constants")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

/// What `text` without quotes and without a tag is.
pub(super) fn plain(text: &str) -> Result<Scalar, String> {
    let value = match text {
        "<<" => return Ok(Scalar::Merge),
        "=" => return Ok(Scalar::Default),
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        _ => match boolean(text) {
            Some(flag) => Value::Bool(flag),
            None if !text.starts_with(|first: char| "+-.0123456789".contains(first)) => text.into(),
            None if FLOAT.is_match(text) => float(text)?,
            None if INTEGER.is_match(text) => integer(text)?,
            None if is_timestamp(text) => timestamp(text)?.into(),
            None => text.into(),
        },
    };
    Ok(Scalar::Value(value))
}

/// What `text` with this tag is.
pub(super) fn tagged(tag: &str, text: &str) -> Result<Value, String> {
    let unusable = || format!("`{text}` is no value for the tag `{tag}`");
    Ok(match tag.strip_prefix(NAMESPACE) {
        // Bytes have no place in JSON: they stay as they are written.
        Some("str" | "binary") => text.into(),
        Some("null") => Value::Null,
        Some("bool") => {
            let flag = boolean(&text.to_ascii_lowercase());
            flag.ok_or_else(unusable)?.into()
        }
        Some("int") => integer(text.trim()).map_err(|_| unusable())?,
        Some("float") => float(text.trim()).map_err(|_| unusable())?,
        Some("timestamp") if is_timestamp(text) => timestamp(text)?.into(),
        Some("timestamp") => return Err(unusable()),
        _ => return Err(unknown_tag(tag)),
    })
}

/// Whether a list or a map may have this tag.
pub(super) fn collection(tag: &str) -> Result<(), String> {
    match tag.strip_prefix(NAMESPACE) {
        Some("map" | "seq" | "set" | "omap" | "pairs") => Ok(()),
        _ => Err(unknown_tag(tag)),
    }
}

fn unknown_tag(tag: &str) -> String {
    format!("the tag `{tag}` is not known")
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// Digits without underscores, and whether a minus stands before them.
fn unsigned(text: &str) -> (bool, String) {
    let plain = text.replace('_', "");
    let digits = plain.strip_prefix(['-', '+']).unwrap_or(&plain);
    (plain.starts_with('-'), digits.to_owned())
}

fn integer(text: &str) -> Result<Value, String> {
    let (is_negative, digits) = unsigned(text);
    let magnitude = match digits.as_bytes() {
        [b'0', b'b', ..] => in_base(digits.trim_start_matches("0b"), 2),
        [b'0', b'x', ..] => in_base(digits.trim_start_matches("0x"), 16),
        [b'0', _, ..] => in_base(&digits, 8),
        _ => digits
            .split(':')
            .try_fold(Magnitude::Exact(0), |sum, part| {
                Some(sum.times(60).plus(in_base(part, 10)?))
            }),
    };
    let magnitude = magnitude.ok_or_else(|| format!("`{text}` is no whole number"))?;
    Ok(magnitude.signed(is_negative))
}

/// A whole number, exact as long as JSON can hold it.
#[derive(Clone, Copy)]
enum Magnitude {
    Exact(u64),
    Rounded(f64),
}

impl Magnitude {
    #[expect(
        clippy::cast_precision_loss,
        reason = "beyond 64 bits JSON holds no more"
    )]
    fn rounded(self) -> f64 {
        match self {
            Magnitude::Exact(number) => number as f64,
            Magnitude::Rounded(number) => number,
        }
    }

    fn combine(
        self,
        other: Magnitude,
        exact: fn(u64, u64) -> Option<u64>,
        rounded: fn(f64, f64) -> f64,
    ) -> Magnitude {
        if let (Magnitude::Exact(one), Magnitude::Exact(two)) = (self, other)
            && let Some(number) = exact(one, two)
        {
            return Magnitude::Exact(number);
        }
        Magnitude::Rounded(rounded(self.rounded(), other.rounded()))
    }

    fn times(self, factor: u64) -> Magnitude {
        self.combine(Magnitude::Exact(factor), u64::checked_mul, |one, two| {
            one * two
        })
    }

    fn plus(self, other: Magnitude) -> Magnitude {
        self.combine(other, u64::checked_add, |one, two| one + two)
    }

    fn signed(self, is_negative: bool) -> Value {
        match self {
            Magnitude::Exact(number) if !is_negative => number.into(),
            Magnitude::Exact(number) => match 0_i64.checked_sub_unsigned(number) {
                Some(number) => number.into(),
                None => number_or_null(-self.rounded()),
            },
            Magnitude::Rounded(number) => {
                number_or_null(if is_negative { -number } else { number })
            }
        }
    }
}

/// `None` where there are no digits, or others than the base has.
fn in_base(digits: &str, base: u32) -> Option<Magnitude> {
    if digits.is_empty() {
        return None;
    }
    if let Ok(number) = u64::from_str_radix(digits, base) {
        return Some(Magnitude::Exact(number));
    }
    if base == 10 && digits.bytes().all(|digit| digit.is_ascii_digit()) {
        // Rounded once, not at every digit.
        return digits.parse().ok().map(Magnitude::Rounded);
    }
    digits.chars().try_fold(Magnitude::Exact(0), |sum, digit| {
        let digit = Magnitude::Exact(digit.to_digit(base)?.into());
        Some(sum.times(base.into()).plus(digit))
    })
}

fn float(text: &str) -> Result<Value, String> {
    let (is_negative, digits) = unsigned(&text.to_ascii_lowercase());
    let number = match digits.as_str() {
        ".inf" | ".nan" => return Ok(Value::Null),
        digits => digits.split(':').try_fold(0.0, |sum, part| {
            let part: f64 = part.parse().ok()?;
            Some(sum * 60.0 + part)
        }),
    };
    let number = number.ok_or_else(|| format!("`{text}` is no number"))?;
    Ok(number_or_null(if is_negative { -number } else { number }))
}

/// JSON has no infinity and no NaN.
fn number_or_null(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

fn is_timestamp(text: &str) -> bool {
    TIMESTAMP.is_match(text) && (text.contains(':') || DATE.is_match(text))
}

/// ISO 8601, as Python writes it. A day that is in no calendar is an error.
fn timestamp(text: &str) -> Result<String, String> {
    let unusable = || format!("`{text}` is no date that there is");
    let parts = TIMESTAMP.captures(text).ok_or_else(unusable)?;
    let number = |group: usize| -> Option<i8> { parts.get(group)?.as_str().parse().ok() };
    let year: i16 = parts
        .get(1)
        .and_then(|year| year.as_str().parse().ok())
        .filter(|year| 0 < *year)
        .ok_or_else(unusable)?;
    let (month, day) = number(2).zip(number(3)).ok_or_else(unusable)?;
    let date = jiff::civil::Date::new(year, month, day).map_err(|_| unusable())?;
    let Some(hour) = number(4) else {
        return Ok(date.to_string());
    };
    let (minute, second) = number(5).zip(number(6)).ok_or_else(unusable)?;
    let time = jiff::civil::Time::new(hour, minute, second, 0).map_err(|_| unusable())?;
    let fraction = parts.get(7).map_or("", |fraction| fraction.as_str());
    // Python keeps microseconds.
    let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let fraction = match fraction.trim_matches('0') {
        "" => String::new(),
        _ => format!(".{fraction}"),
    };
    let zone = match (parts.get(8), parts.get(9), number(10)) {
        (Some(_), ..) => "+00:00".to_owned(),
        (None, Some(sign), Some(hours)) => {
            let minutes = number(11).unwrap_or(0);
            let sign = if hours == 0 && minutes == 0 {
                "+"
            } else {
                sign.as_str()
            };
            format!("{sign}{hours:02}:{minutes:02}")
        }
        _ => String::new(),
    };
    Ok(format!("{date}T{time}{fraction}{zone}"))
}
