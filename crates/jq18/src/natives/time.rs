//! Dates in expressions. Times are seconds since 1970 or broken-down arrays, always in UTC.

use jaq_core::native::Fun;

use super::{fail, of_argument, of_input};
use crate::dates::{self, Moment};
use crate::engine::Data;
use crate::value::{Val, ValR};

pub(super) fn add(all: &mut Vec<Fun<Data>>) {
    all.extend([
        of_input!("now", |_: Val| now()),
        of_input!("gmtime", |value: Val| gmtime(&value, "gmtime")),
        of_input!("localtime", |value: Val| gmtime(&value, "localtime")),
        of_input!("mktime", |value: Val| {
            if value.as_items().is_none() {
                return fail("mktime requires array inputs");
            }
            let moment = moment(&value, "mktime requires parsed datetime inputs")?;
            match moment.timestamp() {
                Ok(seconds) => Ok(Val::Num(seconds as f64)),
                Err(message) => fail(message),
            }
        }),
        of_argument!("strftime", |value: Val, format: Val| strftime(
            value, format, "strftime", "GMT"
        )),
        of_argument!("strflocaltime", |value: Val, format: Val| {
            strftime(value, format, "strflocaltime", "UTC")
        }),
        of_argument!("strptime", |value: Val, format: Val| {
            let (Some(text), Some(format)) = (value.as_str(), format.as_str()) else {
                return fail("strptime/1 requires string inputs and arguments");
            };
            // What is left over must begin with a blank.
            let parsed = dates::parse(text, format).filter(|read| {
                read.rest.is_empty()
                    || read
                        .rest
                        .starts_with(|char: char| char.is_ascii_whitespace())
            });
            let Some(read) = parsed else {
                return fail(format!(
                    "date \"{text}\" does not match format \"{format}\""
                ));
            };
            let mut fields = broken_down(&read.moment, read.weekday, read.day_of_year);
            if !read.rest.is_empty() {
                fields.push(Val::text(read.rest)?);
            }
            Val::array(fields)
        }),
    ]);
}

#[expect(
    clippy::disallowed_methods,
    reason = "`now` is the one function of jq that reads the clock"
)]
fn now() -> ValR {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Ok(Val::Num(
        elapsed.map_or(0.0, |elapsed| elapsed.as_secs_f64()),
    ))
}

fn broken_down(moment: &Moment, weekday: i64, day_of_year: i64) -> Vec<Val> {
    let fields = [
        moment.year,
        moment.month,
        moment.day,
        moment.hour,
        moment.minute,
    ];
    let mut fields: Vec<Val> = fields
        .into_iter()
        .map(|field| Val::Num(field as f64))
        .collect();
    fields.push(Val::Num(moment.second));
    fields.push(Val::Num(weekday as f64));
    fields.push(Val::Num(day_of_year as f64));
    fields
}

fn gmtime(value: &Val, function: &str) -> ValR {
    let Some(seconds) = value.as_f64() else {
        return fail(format!("{function}() requires numeric inputs"));
    };
    match Moment::from_seconds(seconds) {
        Some(moment) => Val::array(broken_down(&moment, moment.weekday(), moment.day_of_year())),
        None => fail("error converting number of seconds since epoch to datetime"),
    }
}

/// Fields that are missing are zero, which is 1900 for the year; fractions are cut, those of the year counted from 1900.
fn moment(value: &Val, refused: &str) -> ValR<Moment> {
    let Some(items) = value.as_items() else {
        return fail(refused);
    };
    let mut fields = [0.0; 6];
    for (index, (field, item)) in fields.iter_mut().zip(items).enumerate() {
        let zero = if index == 0 { 1900.0 } else { 0.0 };
        match item.as_f64() {
            Some(number) if !number.is_nan() => {
                *field = (number - zero)
                    .clamp(f64::from(i32::MIN), f64::from(i32::MAX))
                    .trunc()
            }
            _ => return fail(refused),
        }
    }
    let [year, month, day, hour, minute, second] = fields;
    Ok(Moment {
        year: 1900 + year as i64,
        month: month as i64,
        day: day as i64,
        hour: hour as i64,
        minute: minute as i64,
        second,
    })
}

fn strftime(value: Val, format: Val, function: &str, zone: &str) -> ValR {
    let refused = format!("{function}/1 requires parsed datetime inputs");
    let parsed = match value.as_f64() {
        Some(seconds) => match Moment::from_seconds(seconds) {
            Some(moment) => moment,
            None => return fail("error converting number of seconds since epoch to datetime"),
        },
        None => moment(&value, &refused)?.normalized(),
    };
    match format.as_str() {
        Some(format) => Val::text(dates::format(&parsed, format, zone)),
        None => fail(format!("{function}/1 requires a string format")),
    }
}
