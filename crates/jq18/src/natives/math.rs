//! Numbers: the C mathematics library as jq offers it.

use jaq_core::native::Fun;

use super::{fail, of_arguments, of_input, of_values};
use crate::engine::Data;
use crate::value::{Val, ValR};

pub(super) fn add(all: &mut Vec<Fun<Data>>) {
    macro_rules! unary {
        ($($name:literal => $function:expr),* $(,)?) => {
            all.extend([$(of_input!($name, |value: Val| number(&value).map($function).map(Val::Num))),*]);
        };
    }
    macro_rules! binary {
        ($($name:literal => $function:expr),* $(,)?) => {
            all.extend([$(of_arguments!($name, |_: Val, first: Val, second: Val| {
                Ok(Val::Num($function(number(&first)?, number(&second)?)))
            })),*]);
        };
    }
    unary! {
        "floor" => f64::floor, "ceil" => f64::ceil, "round" => f64::round, "trunc" => f64::trunc,
        "rint" => f64::round_ties_even, "nearbyint" => f64::round_ties_even, "fabs" => f64::abs,
        "sqrt" => f64::sqrt, "cbrt" => f64::cbrt, "exp" => f64::exp, "exp2" => f64::exp2,
        "exp10" => libm::exp10, "expm1" => f64::exp_m1, "log" => f64::ln, "log2" => f64::log2,
        "log10" => f64::log10, "log1p" => f64::ln_1p, "sin" => f64::sin, "cos" => f64::cos,
        "tan" => f64::tan, "asin" => f64::asin, "acos" => f64::acos, "atan" => f64::atan,
        "sinh" => f64::sinh, "cosh" => f64::cosh, "tanh" => f64::tanh, "asinh" => libm::asinh,
        "acosh" => libm::acosh, "atanh" => libm::atanh, "gamma" => libm::lgamma, "lgamma" => libm::lgamma,
        "tgamma" => libm::tgamma, "j0" => libm::j0, "j1" => libm::j1, "y0" => libm::y0, "y1" => libm::y1,
        "erf" => libm::erf, "erfc" => libm::erfc, "significand" => significand, "logb" => logb,
    }
    binary! {
        "pow" => f64::powf, "atan2" => f64::atan2, "fmod" => libm::fmod, "fmin" => libm::fmin,
        "fmax" => libm::fmax, "fdim" => libm::fdim, "hypot" => f64::hypot, "copysign" => libm::copysign,
        "nextafter" => libm::nextafter, "nexttoward" => libm::nextafter, "remainder" => libm::remainder,
        "drem" => libm::remainder, "ldexp" => scale, "scalb" => scale, "scalbln" => scale,
        "jn" => |order, x| libm::jn(order as i32, x), "yn" => |order, x| libm::yn(order as i32, x),
    }
    all.push(of_values!("fma", 3, |mut cv| {
        let third = cv.0.pop_var();
        let second = cv.0.pop_var();
        let first = cv.0.pop_var();
        let compute = || {
            Ok(Val::Num(libm::fma(
                number(&first)?,
                number(&second)?,
                number(&third)?,
            )))
        };
        jaq_core::native::bome(compute())
    }));
    all.extend([
        of_input!("nan", |_: Val| ValR::Ok(Val::Num(f64::NAN))),
        of_input!("infinite", |_: Val| ValR::Ok(Val::Num(f64::INFINITY))),
        of_input!("isnan", |value: Val| is(&value, f64::is_nan)),
        of_input!("isinfinite", |value: Val| is(&value, f64::is_infinite)),
        of_input!("isfinite", |value: Val| is(&value, |number| !number
            .is_infinite())),
        of_input!("isnormal", |value: Val| is(&value, f64::is_normal)),
        of_input!("frexp", |value: Val| {
            let (mantissa, exponent) = libm::frexp(number(&value)?);
            Val::array(vec![Val::Num(mantissa), Val::Num(f64::from(exponent))])
        }),
        of_input!("modf", |value: Val| {
            let (fraction, whole) = libm::modf(number(&value)?);
            Val::array(vec![Val::Num(fraction), Val::Num(whole)])
        }),
        of_input!("lgamma_r", |value: Val| {
            let (gamma, sign) = libm::lgamma_r(number(&value)?);
            Val::array(vec![Val::Num(gamma), Val::Num(f64::from(sign))])
        }),
    ]);
}

/// Whether it is a number of that sort; of anything else jq 1.8 says no.
fn is(value: &Val, sort: fn(f64) -> bool) -> ValR {
    Ok(Val::Bool(value.as_f64().is_some_and(sort)))
}

fn number(value: &Val) -> ValR<f64> {
    match value.as_f64() {
        Some(number) => Ok(number),
        None => fail(format!("{} number required", value.describe())),
    }
}

fn scale(number: f64, exponent: f64) -> f64 {
    libm::scalbn(number, exponent.clamp(-10_000.0, 10_000.0) as i32)
}

fn significand(number: f64) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return number;
    }
    let (mantissa, _) = libm::frexp(number);
    mantissa * 2.0
}

fn logb(number: f64) -> f64 {
    if number == 0.0 {
        return f64::NEG_INFINITY;
    }
    if number.is_infinite() {
        return f64::INFINITY;
    }
    if number.is_nan() {
        return number;
    }
    f64::from(libm::frexp(number).1 - 1)
}
