use std::fmt;
use std::sync::Arc;

use crate::parse::ParseError;

/// The name of a record, enum or fixed type with its namespace: `org.example.Person`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FullName(Arc<str>);

impl FullName {
    /// Reads a name as it stands in a schema. A dot in it makes it a full name; otherwise it lies
    /// in `enclosing`. A leading dot names the null namespace.
    pub(crate) fn read(text: &str, enclosing: Option<&str>) -> Result<Self, ParseError> {
        let (namespace, simple) = match text.rsplit_once('.') {
            Some((namespace, simple)) => (Some(namespace), simple),
            None => (enclosing, text),
        };
        validate(simple)?;
        let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) else {
            return Ok(Self(Arc::from(simple)));
        };
        for part in namespace.split('.') {
            validate(part).map_err(|reason| ParseError::Namespace {
                part: part.to_owned(),
                reason: Box::new(reason),
            })?;
        }
        Ok(Self(Arc::from(format!("{namespace}.{simple}"))))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// `None` is the null namespace.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.0.rsplit_once('.').map(|(namespace, _)| namespace)
    }

    /// The part after the last dot.
    pub(crate) fn simple(&self) -> &str {
        self.0.rsplit_once('.').map_or(&*self.0, |(_, simple)| simple)
    }
}

impl fmt::Display for FullName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Java's rule: letters and digits of any script. Characters beyond U+FFFF are two `char`s there,
/// neither of which is a letter.
pub(crate) fn validate(name: &str) -> Result<(), ParseError> {
    let letter = |c: char| c == '_' || (c.is_alphabetic() && c <= '\u{FFFF}');
    let digit = |c: char| c.is_numeric() && c <= '\u{FFFF}';
    let mut characters = name.chars();
    let Some(first) = characters.next() else {
        return Err(ParseError::EmptyName);
    };
    if !letter(first) {
        return Err(ParseError::IllegalInitial { name: name.to_owned() });
    }
    if !characters.all(|c| letter(c) || digit(c)) {
        return Err(ParseError::IllegalCharacter { name: name.to_owned() });
    }
    Ok(())
}
