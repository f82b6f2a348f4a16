//! The attributes of types and fields, each by itself.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::ParseError;
use crate::json::{excerpt, shorten};
use crate::model::{Body, Order, Props};
use crate::name::validate;

/// Attributes of a type that have a meaning, and therefore are never kept as unknown ones.
pub(super) const SCHEMA_RESERVED: [&str; 10] =
    ["doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases"];
pub(super) const FIELD_RESERVED: [&str; 6] = ["default", "doc", "name", "order", "type", "aliases"];

pub(super) fn enumeration(json: &Value, object: &Map<String, Value>) -> Result<Body, ParseError> {
    let Some(Value::Array(listed)) = object.get("symbols") else {
        return Err(ParseError::NoSymbols { found: excerpt(json) });
    };
    let mut symbols = Vec::with_capacity(listed.len());
    let mut seen = BTreeSet::new();
    for symbol in listed {
        let Value::String(symbol) = symbol else {
            return Err(ParseError::SymbolNotText { found: excerpt(symbol) });
        };
        validate(symbol)?;
        if !seen.insert(symbol) {
            return Err(ParseError::DuplicateSymbol { symbol: symbol.clone() });
        }
        symbols.push(symbol.clone());
    }
    let default = text(object, "default").map(ToOwned::to_owned);
    if let Some(default) = default.as_ref().filter(|default| !symbols.contains(default)) {
        let (default, symbols) = (default.clone(), shorten(symbols.join(", ")));
        return Err(ParseError::EnumDefault { default, symbols });
    }
    Ok(Body::Enum { symbols, default })
}

pub(super) fn fixed(json: &Value, object: &Map<String, Value>) -> Result<Body, ParseError> {
    let size = object.get("size").and_then(Value::as_i64);
    let size = size.filter(|size| i32::try_from(*size).is_ok());
    let size = size.ok_or_else(|| ParseError::NoSize { found: excerpt(json) })?;
    match u32::try_from(size) {
        Ok(size) => Ok(Body::Fixed { size }),
        Err(_negative) => Err(ParseError::NegativeSize { size }),
    }
}

pub(super) fn order(object: &Map<String, Value>) -> Result<Order, ParseError> {
    let Some(written) = object.get("order") else {
        return Ok(Order::Ascending);
    };
    written.as_str().and_then(Order::parse).ok_or_else(|| {
        let found = written.as_str().map_or_else(|| excerpt(written), str::to_uppercase);
        ParseError::UnknownOrder { found: shorten(found) }
    })
}

pub(super) fn aliases(
    json: &Value,
    object: &Map<String, Value>,
) -> Result<Vec<String>, ParseError> {
    let Some(listed) = object.get("aliases") else {
        return Ok(Vec::new());
    };
    let Value::Array(listed) = listed else {
        return Err(ParseError::AliasesNotArray { found: excerpt(json) });
    };
    let mut aliases = Vec::with_capacity(listed.len());
    let mut seen = BTreeSet::new();
    for alias in listed {
        let Value::String(alias) = alias else {
            return Err(ParseError::AliasNotText { found: excerpt(alias) });
        };
        if seen.insert(alias) {
            aliases.push(alias.clone());
        }
    }
    Ok(aliases)
}

pub(super) fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

pub(super) fn unknown(object: &Map<String, Value>, reserved: &[&str]) -> Props {
    let kept = object.iter().filter(|(key, _)| !reserved.contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}
