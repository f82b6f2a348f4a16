//! Layered configuration: defaults, then a file, then the environment, then flags.

mod command_line;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

pub use command_line::from_command_line;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
pub use figment::value::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tracing::warn;

use command_line::Flag;

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file that was named is not there.
    #[error("the configuration file {} does not exist; check the path given with --config", path.display())]
    NoFile {
        /// The path given.
        path: PathBuf,
    },
    /// A key is unknown, or a value is of the wrong kind.
    #[error("the configuration is wrong: {0}")]
    // Boxed: figment's error is larger than all the rest.
    Wrong(#[source] Box<figment::Error>),
    /// A classic file cannot be read.
    #[error("{} cannot be read as key=value lines: {reason}", path.display())]
    Unreadable {
        /// The path given.
        path: PathBuf,
        /// What stands in the way.
        reason: String,
    },
    /// A classic file says something that cannot be.
    #[error("{}: {reason}", path.display())]
    Classic {
        /// The path given.
        path: PathBuf,
        /// The key, what it says, and what would do.
        reason: String,
    },
}

/// What a file of a classic service (`server.properties`, `zoo.cfg`, `schema-registry.properties`)
/// means here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Classic {
    /// Our keys with their values.
    pub keys: BTreeMap<String, Value>,
    /// Keys of the file for which there is no use.
    pub unused: Vec<String>,
}

/// Translates the lines of a classic file, by key.
///
/// The error names the key and says what would do.
pub type Translate = fn(BTreeMap<String, String>) -> Result<Classic, String>;

/// Reads a service's configuration: `T::default()`, overlaid by the `file` if one is named, overlaid
/// by environment variables that begin with `prefix` (`DOHLE_BROKER_`), whose names are the keys in
/// upper case, with `__` between nested keys. [`from_command_line`] overlays them by flags.
///
/// The file is TOML, or, if its name ends in `.properties` or `.cfg`, one of a classic service, for
/// `translate`. Of the latter, keys without a use here are named in one warning.
///
/// Give `T` `#[serde(deny_unknown_fields)]`, so that a typo stops the process.
///
/// # Errors
///
/// The file is missing, a key is unknown or a value does not fit.
pub fn load<T>(file: Option<&Path>, prefix: &str, translate: Translate) -> Result<T, ConfigError>
where
    T: Serialize + DeserializeOwned + Default,
{
    layered(file, prefix, translate, Vec::new())
}

fn layered<T>(
    file: Option<&Path>,
    prefix: &str,
    translate: Translate,
    flags: Vec<Flag>,
) -> Result<T, ConfigError>
where
    T: Serialize + DeserializeOwned + Default,
{
    let mut figment = Figment::from(Serialized::defaults(T::default()));
    if let Some(path) = file {
        if !path.is_file() {
            return Err(ConfigError::NoFile { path: path.to_owned() });
        }
        figment = if is_classic(path) {
            figment.merge(Serialized::globals(classic(path, translate)?))
        } else {
            figment.merge(Toml::file_exact(path))
        };
    }
    figment = figment.merge(Env::prefixed(prefix).split("__"));
    flags
        .into_iter()
        .fold(figment, Figment::merge)
        .extract()
        .map_err(|error| ConfigError::Wrong(Box::new(error)))
}

fn is_classic(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "properties" || extension == "cfg")
}

fn classic(path: &Path, translate: Translate) -> Result<BTreeMap<String, Value>, ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
    let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let lines = java_properties::read(io::BufReader::new(file))
        .map_err(|error| unreadable(error.to_string()))?;
    // Blanks at the end of a line are part of a value in Java, and of none that is meant.
    let trimmed = lines.into_iter().map(|(key, value)| (key, value.trim().to_owned()));
    let translated = translate(trimmed.collect())
        .map_err(|reason| ConfigError::Classic { path: path.to_owned(), reason })?;
    let Classic { keys, unused } = translated;
    if !unused.is_empty() {
        let unused = unused.join(", ");
        warn!(file = %path.display(), keys = unused, "keys that have no use here were left out");
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        port: u16,
        name: String,
    }

    impl Default for Example {
        fn default() -> Self {
            Self { port: 1, name: "default".into() }
        }
    }

    fn read(text: &str) -> Result<Example, ConfigError> {
        read_as("example.toml", text)
    }

    fn read_as(name: &str, text: &str) -> Result<Example, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        load(Some(&file), "DOHLE_CONFIG_TEST_", translate)
    }

    fn translate(lines: BTreeMap<String, String>) -> Result<Classic, String> {
        let mut classic = Classic::default();
        for (key, value) in lines {
            if key == "client.port" {
                let port: u16 = value.parse().map_err(|_no| format!("{key} is {value}"))?;
                classic.keys.insert("port".to_owned(), port.into());
            } else {
                classic.unused.push(key);
            }
        }
        Ok(classic)
    }

    #[test]
    fn a_classic_file_is_translated() {
        let text = "# a comment\nclient.port = 7 \ntickTime=2000\n";
        let read = read_as("zoo.cfg", text).unwrap();
        assert_eq!(read, Example { port: 7, name: "default".into() });
        let error = read_as("server.properties", "client.port=x\n").unwrap_err().to_string();
        assert!(error.ends_with("server.properties: client.port is x"), "{error}");
    }

    #[test]
    fn a_file_overlays_the_defaults() {
        assert_eq!(read("port = 2").unwrap(), Example { port: 2, name: "default".into() });
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = read("prot = 2").unwrap_err().to_string();
        assert!(error.contains("prot"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_and_not_the_defaults() {
        let missing =
            load::<Example>(Some(Path::new("no/such.toml")), "DOHLE_CONFIG_TEST_", translate);
        assert!(matches!(missing, Err(ConfigError::NoFile { .. })), "{missing:?}");
    }
}
