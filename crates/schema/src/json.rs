//! JSON as Jackson prints it: that text is what Java compares, hashes and shows.

use std::fmt::Write as _;

use serde_json::Value;

/// Appends `value` without white space.
pub(crate) fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, &number.to_string()),
        Value::String(text) => write_string(out, text),
        Value::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                separate(out, index);
                write_value(out, element);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (index, (key, member)) in members.iter().enumerate() {
                separate(out, index);
                write_string(out, key);
                out.push(':');
                write_value(out, member);
            }
            out.push('}');
        }
    }
}

/// `value` as text, for messages: at most about a kilobyte of it.
pub(crate) fn excerpt(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value);
    shorten(text)
}

/// Cuts a text that would drown the message it stands in.
pub(crate) fn shorten(text: String) -> String {
    const LONGEST: usize = 1024;
    if text.len() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain("...".chars()).collect()
}

/// Appends a comma before every element but the first.
pub(crate) fn separate(out: &mut String, index: usize) {
    if 0 < index {
        out.push(',');
    }
}

/// Appends a quoted string.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            control if control < ' ' => {
                // Writing to a string cannot fail.
                write!(out, "\\u{:04X}", u32::from(control)).ok();
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Integers keep their digits; everything else is a double to Java, whatever its spelling.
fn write_number(out: &mut String, digits: &str) {
    let is_integer = !digits.contains(['.', 'e', 'E']);
    if is_integer {
        out.push_str(if digits == "-0" { "0" } else { digits });
    } else {
        out.push_str(&java_double(digits.parse().unwrap_or(f64::NAN)));
    }
}

/// `Double.toString`, quoted where JSON has no such number.
fn java_double(value: f64) -> String {
    if value.is_nan() {
        return "\"NaN\"".to_owned();
    }
    if value.is_infinite() {
        return if value < 0.0 { "\"-Infinity\"" } else { "\"Infinity\"" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    let scientific = format!("{value:E}");
    match scientific.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        _ => scientific,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &str) {
        let mut out = String::new();
        write_value(&mut out, &serde_json::from_str(json).unwrap());
        assert_eq!(out, expected);
    }

    #[test]
    fn numbers_are_spelled_as_java_spells_them() {
        check("1e3", "1000.0");
        check("1E+7", "1.0E7");
        check("12345678.5", "1.23456785E7");
        check("0.001", "0.001");
        check("0.00015", "1.5E-4");
        check("-0.0", "-0.0");
        check("-0", "0");
        check("123456789012345678901234567890", "123456789012345678901234567890");
        check("1e999", "\"Infinity\"");
    }

    #[test]
    fn strings_are_escaped_as_jackson_escapes_them() {
        check(r#""\u001f\n\"\\é\/""#, r#""\u001F\n\"\\é/""#);
    }
}
