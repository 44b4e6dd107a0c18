//! Numbers as jq 1.8 prints them: a literal keeps its digits until arithmetic touches it, a computed
//! number is the shortest text that reads back as the same double.

/// Largest integer below which every integer is a double.
pub(super) const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_992.0;

/// Text of a computed number.
pub(super) fn print(number: f64) -> String {
    if number.is_nan() {
        return "null".to_owned();
    }
    if number.is_infinite() {
        return print(f64::MAX.copysign(number));
    }
    if number == 0.0 {
        return if number.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return format!("{number:.0}");
    }
    // `{:e}` yields the shortest round-trip digits: d[.ddd]e<exponent>.
    let text = format!("{:e}", number.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let sign = if number < 0.0 { "-" } else { "" };
    let point = exponent + 1;
    let count = digits.len() as i32;
    if point <= -4 || count + 15 < point {
        let (head, tail) = digits.split_at_checked(1).unwrap_or((&digits, ""));
        let dot = if tail.is_empty() { "" } else { "." };
        let direction = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{head}{dot}{tail}e{direction}{:02}", exponent.abs());
    }
    place_point(sign, &digits, point)
}

/// Text of a literal in the General Decimal Arithmetic form that jq's decNumber prints:
/// `1e3` is `1E+3`, `1.10e2` is `110`, `0.00001` stays. `None` when `text` is not a decimal number.
pub(super) fn canonical(text: &str) -> Option<String> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all: String = [whole, fraction].concat();
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let digits = match all.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let count = i32::try_from(digits.len()).ok()?;
    let adjusted = exponent.checked_add(count - 1)?;
    if exponent <= 0 && -6 <= adjusted {
        return Some(place_point(sign, digits, count + exponent));
    }
    let (head, tail) = digits.split_at_checked(1)?;
    let dot = if tail.is_empty() { "" } else { "." };
    let direction = if adjusted < 0 { '-' } else { '+' };
    Some(format!(
        "{sign}{head}{dot}{tail}E{direction}{}",
        adjusted.abs()
    ))
}

/// Writes digits with the decimal point after the first `point` of them.
fn place_point(sign: &str, digits: &str, point: i32) -> String {
    let count = digits.len() as i32;
    let mut out = String::from(sign);
    if point <= 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', point.unsigned_abs() as usize));
        out.push_str(digits);
    } else if count <= point {
        out.push_str(digits);
        out.extend(std::iter::repeat_n('0', (point - count) as usize));
    } else {
        let (whole, fraction) = digits
            .split_at_checked(point as usize)
            .unwrap_or((digits, ""));
        out.push_str(&format!("{whole}.{fraction}"));
    }
    out
}

/// Reads a number as `tonumber` and JSON texts of jq do: decimal digits, optionally signed, no blanks.
pub(super) fn parse(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "nan" || unsigned == "NaN" {
        return Some(f64::NAN);
    }
    let decimal = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    decimal.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computed_numbers_print_as_in_jq() {
        for (number, text) in [
            (1.0, "1"),
            (-0.0, "-0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e15, "1000000000000000"),
            (1e16, "1e+16"),
            (1e17, "1e+17"),
            (1e300, "1e+300"),
            (1e-5, "1e-05"),
            (1.234e-5, "1.234e-05"),
            (0.0001, "0.0001"),
            (123_456_789_012_345_680.0, "123456789012345680"),
            (12_345_678_901_234_568_000_000.0, "12345678901234568000000"),
            (f64::NEG_INFINITY, "-1.7976931348623157e+308"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(print(number), text);
        }
    }

    #[test]
    fn literals_keep_their_digits() {
        for (text, canonical_text) in [
            ("1.0", "1.0"),
            ("1.50", "1.50"),
            ("1e3", "1E+3"),
            ("1E-7", "1E-7"),
            ("0.00001", "0.00001"),
            ("1.10e2", "110"),
            ("-1.0", "-1.0"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("00", "0"),
            ("1e1000", "1E+1000"),
            (".5", "0.5"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(canonical_text));
        }
        assert_eq!(canonical("1_0"), None);
        assert_eq!(canonical(""), None);
    }
}
