//! Conversions between values and text: JSON, numbers, `@base64` and the other formats.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jaq_core::ValT;
use jaq_core::native::Fun;

use super::{fail, of_argument, of_input};
use crate::engine::Data;
use crate::guard;
use crate::value::{Val, ValR};

pub(super) fn add(all: &mut Vec<Fun<Data>>) {
    all.extend([
        of_input!("tostring", |value: Val| {
            let text = value.into_string();
            guard::check().map(|()| text)
        }),
        of_input!("tojson", |value: Val| Val::text(value.to_text())),
        of_input!("fromjson", fromjson),
        of_input!("tonumber", |value: Val| match &value {
            Val::Num(_) | Val::Literal(_) => Ok(value),
            Val::Str(text) => match Val::literal(text.as_str()) {
                Some(number) => Ok(number),
                None => fail(format!("{} cannot be parsed as a number", value.describe())),
            },
            _ => fail(format!("{} cannot be parsed as a number", value.describe())),
        }),
        of_argument!("format!", |value: Val, name: Val| match name.as_str() {
            Some(name) => format(value, name),
            None => fail(format!("{} is not a valid format", name.describe())),
        }),
    ]);
}

fn fromjson(value: Val) -> ValR {
    let Some(text) = value.as_str() else {
        return fail(format!("{} only strings can be parsed", value.describe()));
    };
    guard::allocate(text.len())?;
    Val::from_text(text)
}

fn format(value: Val, name: &str) -> ValR {
    match name {
        "text" => Ok(Val::Str(value.to_plain_text())),
        "json" => Val::text(value.to_text()),
        "html" => {
            let mut out = String::new();
            for char in value.to_plain_text().as_str().chars() {
                match char {
                    '<' => out.push_str("&lt;"),
                    '>' => out.push_str("&gt;"),
                    '&' => out.push_str("&amp;"),
                    '\'' => out.push_str("&apos;"),
                    '"' => out.push_str("&quot;"),
                    char => out.push(char),
                }
            }
            Val::text(out)
        }
        "uri" => {
            let mut out = String::new();
            for byte in value.to_plain_text().as_str().bytes() {
                if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                    out.push(char::from(byte));
                } else {
                    out.push_str(&format!("%{byte:02X}"));
                }
            }
            Val::text(out)
        }
        "urid" => uri_decode(value),
        "csv" => row(value, "csv", ",", |text| {
            format!("\"{}\"", text.replace('"', "\"\""))
        }),
        "tsv" => row(value, "tsv", "\t", |text| {
            let text = text.replace('\\', "\\\\").replace('\t', "\\t");
            text.replace('\n', "\\n").replace('\r', "\\r")
        }),
        "sh" => shell(value),
        "base64" => Val::text(STANDARD.encode(value.to_plain_text().as_str())),
        "base64d" => base64_decode(value),
        _ => fail(format!(
            "{} is not a valid format",
            name.chars().take(30).collect::<String>()
        )),
    }
}

fn row(value: Val, name: &str, separator: &str, quote: fn(&str) -> String) -> ValR {
    let Some(items) = value.as_items() else {
        return fail(format!(
            "{} cannot be {name}-formatted, only array",
            value.describe()
        ));
    };
    let cells = items.iter().map(|item| match item {
        Val::Null => Ok(String::new()),
        Val::Str(text) => Ok(quote(text.as_str())),
        Val::Arr(_) | Val::Obj(_) => fail(format!("{} is not valid in a csv row", item.describe())),
        scalar => Ok(scalar.to_text()),
    });
    let cells: Vec<String> = cells.collect::<Result<_, _>>()?;
    Val::text(cells.join(separator))
}

fn shell(value: Val) -> ValR {
    let word = |item: &Val| match item {
        Val::Str(text) => Ok(format!("'{}'", text.as_str().replace('\'', "'\\''"))),
        Val::Arr(_) | Val::Obj(_) => {
            fail(format!("{} can not be escaped for shell", item.describe()))
        }
        scalar => Ok(scalar.to_text()),
    };
    let words: Vec<String> = match value.as_items() {
        Some(items) => items.iter().map(word).collect::<Result<_, _>>()?,
        None => vec![word(&value)?],
    };
    Val::text(words.join(" "))
}

fn uri_decode(value: Val) -> ValR {
    let text = value.to_plain_text();
    let mut bytes = Vec::with_capacity(text.as_str().len());
    let mut rest = text.as_str().bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return fail(format!("{} is not a valid uri encoding", value.describe()));
        };
        bytes.push((high * 16 + low) as u8);
    }
    Val::text(String::from_utf8_lossy(&bytes))
}

/// Padding is optional; bytes that are not UTF-8 become replacement characters.
fn base64_decode(value: Val) -> ValR {
    let text = value.to_plain_text();
    let value = Val::Str(text.clone());
    let unpadded = text.as_str().trim_end_matches('=');
    if unpadded.len() % 4 == 1 {
        return fail(format!("{} trailing base64 byte found", value.describe()));
    }
    const LENIENT: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
            .with_decode_allow_trailing_bits(true),
    );
    match LENIENT.decode(unpadded) {
        Ok(bytes) => Val::text(text_of(&bytes)),
        Err(_) => fail(format!("{} is not valid base64 data", value.describe())),
    }
}

/// Bytes as text. Where they are none, jq leaves out what their first byte announces, as far as it looks like it.
fn text_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let announced = match first {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        // Cut off by the end: all of it is one character that is missing.
        let (char, length) = match rest.get(..announced) {
            None => (None, rest.len()),
            Some(sequence) => match std::str::from_utf8(sequence) {
                Ok(char) => (char.chars().next(), announced),
                Err(_) => {
                    let follow = sequence
                        .iter()
                        .skip(1)
                        .take_while(|byte| **byte & 0xc0 == 0x80);
                    (None, 1 + follow.count())
                }
            },
        };
        text.push(char.unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = rest.get(length..).unwrap_or_default();
    }
    text
}
