use thiserror::Error;
use types::{Coded, Reason};

use crate::model::{Kind, MAX_NESTING, MAX_TEXT_BYTES};

/// Why a text is no Avro schema.
///
/// The wording is Avro-Java's where it says what is wrong: that is what people search for.
#[derive(Debug, Error)]
pub enum ParseError {
    /// Longer than [`MAX_TEXT_BYTES`].
    #[error("the schema has {bytes} bytes; at most {MAX_TEXT_BYTES} are allowed")]
    TooLarge {
        /// Bytes given.
        bytes: usize,
    },
    /// Nested deeper than [`MAX_NESTING`].
    #[error(
        "the schema nests more than {MAX_NESTING} levels of JSON; define inner types beside each other"
    )]
    TooDeep,
    /// Not JSON.
    #[error("the schema is not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// Something follows the schema.
    #[error("dangling content after end of schema: {rest}")]
    Dangling {
        /// What follows, cut if long.
        rest: String,
    },
    /// Neither a name, an object nor an array.
    #[error("Schema not yet supported: {found}")]
    Unsupported {
        /// The JSON found.
        found: String,
    },
    /// An object without the text attribute `type`.
    #[error("No type: {found}")]
    NoType {
        /// The JSON found.
        found: String,
    },
    /// `type` names nothing that exists.
    #[error("Type not supported: {name}{within}{hint}")]
    UnknownType {
        /// The word after `type`.
        name: String,
        /// Where it stands, or nothing.
        within: Within,
        /// What was probably meant, or nothing.
        hint: Hint,
    },
    /// The type of a field is an unknown name.
    #[error(
        "\"{name}\" is not a defined name. The type of the \"{field}\" field must be a defined \
         name or a {{\"type\": ...}} expression.{hint:#}"
    )]
    UndefinedFieldType {
        /// The unknown name.
        name: String,
        /// The field.
        field: String,
        /// What was probably meant, or nothing.
        hint: Hint,
    },
    /// An unknown name anywhere else.
    #[error("Undefined name: \"{name}\"{within}{hint}")]
    UndefinedName {
        /// The unknown name.
        name: String,
        /// Where it stands, or nothing.
        within: Within,
        /// What was probably meant, or nothing.
        hint: Hint,
    },
    /// A name without a character.
    #[error("Empty name")]
    EmptyName,
    /// A name that begins with neither a letter nor `_`.
    #[error("Illegal initial character: {name}")]
    IllegalInitial {
        /// The name.
        name: String,
    },
    /// A name with something other than letters, digits and `_`.
    #[error("Illegal character in: {name}")]
    IllegalCharacter {
        /// The name.
        name: String,
    },
    /// A part of a namespace that is no name.
    #[error("Namespace part \"{part}\" is invalid: {reason}")]
    Namespace {
        /// The part between two dots.
        part: String,
        /// What is wrong with it.
        #[source]
        reason: Box<Self>,
    },
    /// A type that is called `int`.
    #[error("Schemas may not be named after primitives: {name}")]
    NamedAfterPrimitive {
        /// The name.
        name: String,
    },
    /// A second definition of a name.
    #[error("Can't redefine: {name}")]
    Redefined {
        /// The full name.
        name: String,
    },
    /// A type that needs a name has none.
    #[error("No name in schema: {found}")]
    NoName {
        /// The JSON found.
        found: String,
    },
    /// A record without the array `fields`.
    #[error("Record has no fields: {found}")]
    NoFields {
        /// The JSON found.
        found: String,
    },
    /// A field without a name.
    #[error("No field name: {found}")]
    NoFieldName {
        /// The JSON found.
        found: String,
    },
    /// A field without a type.
    #[error("No field type: {found}")]
    NoFieldType {
        /// The JSON found.
        found: String,
    },
    /// An `order` that is none of the three.
    #[error("No enum constant org.apache.avro.Schema.Field.Order.{found}")]
    UnknownOrder {
        /// The word found, in capitals.
        found: String,
    },
    /// Two fields of one name.
    #[error(
        "Duplicate field {field} in record {record}: {field} type:{second_type} pos:{second} and {field} type:{first_type} pos:{first}."
    )]
    DuplicateField {
        /// The name of both.
        field: String,
        /// The record's full name.
        record: String,
        /// Position of the first, from 0.
        first: usize,
        /// Position of the second, from 0.
        second: usize,
        /// Type of the first, as Java names it.
        first_type: &'static str,
        /// Type of the second, as Java names it.
        second_type: &'static str,
    },
    /// A default that is no value of the field's type.
    #[error("Invalid default for field {field}: {default} not a {schema}")]
    InvalidDefault {
        /// The field.
        field: String,
        /// The default, cut if long.
        default: String,
        /// The field's type, cut if long.
        schema: String,
    },
    /// An enum without the array `symbols`.
    #[error("Enum has no symbols: {found}")]
    NoSymbols {
        /// The JSON found.
        found: String,
    },
    /// A symbol that is no text.
    #[error("Enum symbol is not a string: {found}")]
    SymbolNotText {
        /// The JSON found.
        found: String,
    },
    /// A symbol that stands twice.
    #[error("Duplicate enum symbol: {symbol}")]
    DuplicateSymbol {
        /// The symbol.
        symbol: String,
    },
    /// An enum's default that is none of its symbols.
    #[error("The Enum Default: {default} is not in the enum symbol set: [{symbols}]")]
    EnumDefault {
        /// The default.
        default: String,
        /// The symbols, cut if long.
        symbols: String,
    },
    /// An array without `items`.
    #[error("Array has no items type: {found}")]
    NoItems {
        /// The JSON found.
        found: String,
    },
    /// A map without `values`.
    #[error("Map has no values type: {found}")]
    NoValues {
        /// The JSON found.
        found: String,
    },
    /// A fixed type without a whole number as `size`.
    #[error("Invalid or no size: {found}")]
    NoSize {
        /// The JSON found.
        found: String,
    },
    /// A fixed type of less than nothing.
    #[error("Invalid fixed size: {size}")]
    NegativeSize {
        /// The size given.
        size: i64,
    },
    /// A union directly in a union.
    #[error("Nested union: {union}")]
    NestedUnion {
        /// The outer union, cut if long.
        union: String,
    },
    /// Two branches of one type.
    #[error("Duplicate in union:{name}")]
    DuplicateBranch {
        /// The type both have.
        name: String,
    },
    /// `aliases` that are no array.
    #[error("aliases not an array: {found}")]
    AliasesNotArray {
        /// The JSON found.
        found: String,
    },
    /// An alias that is no text.
    #[error("alias not a string: {found}")]
    AliasNotText {
        /// The JSON found.
        found: String,
    },
}

impl Coded for ParseError {
    fn reason(&self) -> Reason {
        Reason::InvalidRequest
    }
}

/// The named place around a fault, as the end of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Within(pub(super) Option<String>);

impl std::fmt::Display for Within {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(name) => write!(f, " in \"{name}\""),
            None => Ok(()),
        }
    }
}

/// What the author probably meant, as the end of a message; `{:#}` after a whole sentence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hint(pub(super) Option<&'static str>);

impl std::fmt::Display for Hint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(meant) => {
                let separator = if f.alternate() { "" } else { ";" };
                write!(f, "{separator} did you mean \"{meant}\"?")
            }
            None => Ok(()),
        }
    }
}

impl ParseError {
    pub(super) fn duplicate_field(
        record: &str,
        field: &str,
        (first, first_kind): (usize, Kind),
        (second, second_kind): (usize, Kind),
    ) -> Self {
        Self::DuplicateField {
            field: field.to_owned(),
            record: record.to_owned(),
            first,
            second,
            first_type: first_kind.as_str(),
            second_type: second_kind.as_str(),
        }
    }
}
