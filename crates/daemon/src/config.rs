//! Layered configuration: defaults, then a file, then the environment. Flags are the caller's.

use std::path::{Path, PathBuf};

use clap::{Arg, Command, value_parser};
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

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
}

/// Reads a service's configuration: `T::default()`, overlaid by the TOML `file` if one is named,
/// overlaid by environment variables that begin with `prefix` (`DOHLE_BROKER_`), whose names are
/// the keys in upper case, with `__` between nested keys.
///
/// Give `T` `#[serde(deny_unknown_fields)]`, so that a typo stops the process.
///
/// # Errors
///
/// The file is missing, a key is unknown or a value does not fit.
pub fn load<T>(file: Option<&Path>, prefix: &str) -> Result<T, ConfigError>
where
    T: Serialize + DeserializeOwned + Default,
{
    let mut figment = Figment::from(Serialized::defaults(T::default()));
    if let Some(path) = file {
        if !path.is_file() {
            return Err(ConfigError::NoFile { path: path.to_owned() });
        }
        figment = figment.merge(Toml::file_exact(path));
    }
    figment
        .merge(Env::prefixed(prefix).split("__"))
        .extract()
        .map_err(|error| ConfigError::Wrong(Box::new(error)))
}

/// Reads a service's configuration as its command line asks: [`load`] with the file that
/// `--config FILE` names. `--help` and `--version` are answered, and wrong arguments refused, by
/// ending the process.
///
/// # Errors
///
/// As [`load`].
pub fn from_command_line<T>(service: &'static str, prefix: &str) -> Result<T, ConfigError>
where
    T: Serialize + DeserializeOwned + Default,
{
    let keys = format!("Every key of the file can also be set as {prefix}<KEY>, which wins.");
    let matches = Command::new(service)
        .version(env!("CARGO_PKG_VERSION"))
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Configuration in TOML"),
        )
        .after_help(keys)
        .get_matches();
    load(matches.get_one::<PathBuf>("config").map(PathBuf::as_path), prefix)
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
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("example.toml");
        fs::write(&file, text).unwrap();
        load(Some(&file), "DOHLE_CONFIG_TEST_")
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
        let missing = load::<Example>(Some(Path::new("no/such.toml")), "DOHLE_CONFIG_TEST_");
        assert!(matches!(missing, Err(ConfigError::NoFile { .. })), "{missing:?}");
    }
}
