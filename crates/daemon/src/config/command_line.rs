use std::convert::Infallible;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use figment::providers::Serialized;
use figment::util::nest;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ConfigError, Translate, layered};

const CONFIG: &str = "config";
const CLASSIC: &str = "classic";

/// What one flag says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flag {
    /// With dots between nested keys.
    key: String,
    value: Value,
}

impl Provider for Flag {
    fn metadata(&self) -> Metadata {
        let name = format!("--{} of the command line", long(&self.key));
        Metadata::named(name).interpolater(|_profile, keys| keys.join("."))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let nested = nest(&self.key, self.value.clone()).into_dict();
        Ok(Profile::Default.collect(nested.unwrap_or_default()))
    }
}

/// Reads a service's configuration as its command line asks: [`load`](super::load) with the file that
/// is named, with `--config` or by itself, overlaid by flags. Each key of `T` is one, with `-` for `_`
/// and `.` between nested keys, its value written as in the environment. `--help` and `--version` are
/// answered, and wrong arguments refused, by ending the process.
///
/// # Errors
///
/// As [`load`](super::load).
pub fn from_command_line<T>(
    service: &'static str,
    prefix: &str,
    translate: Translate,
) -> Result<T, ConfigError>
where
    T: Serialize + DeserializeOwned + Default,
{
    let keys = keys_of::<T>()?;
    let matches = command(service, prefix, &keys).get_matches();
    read(&matches, prefix, translate, keys)
}

fn read<T>(
    matches: &ArgMatches,
    prefix: &str,
    translate: Translate,
    keys: Vec<(String, Value)>,
) -> Result<T, ConfigError>
where
    T: Serialize + DeserializeOwned + Default,
{
    let named = matches.get_one::<PathBuf>(CONFIG).or_else(|| matches.get_one(CLASSIC));
    let flag = |(key, _default): (String, Value)| {
        let value = matches.get_one::<Value>(&key)?.clone();
        Some(Flag { key, value })
    };
    let flags = keys.into_iter().filter_map(flag).collect();
    layered(named.map(PathBuf::as_path), prefix, translate, flags)
}

fn command(service: &'static str, prefix: &str, keys: &[(String, Value)]) -> Command {
    let after = format!(
        "Every flag but --config is a key of the file, and can also be set as {prefix}<KEY>, with __ \
         for each dot.\nFlags win over the environment, and that over the file. Lists are written \
         [\"one\",\"two\"], and texts that look like something else \"2026\", in quotes."
    );
    let file = |name: &'static str| Arg::new(name).value_parser(value_parser!(PathBuf));
    Command::new(service)
        .version(env!("CARGO_PKG_VERSION"))
        .arg(
            file(CONFIG).long(CONFIG).value_name("FILE").help(
                "Configuration in TOML, or as the classic service has it (.properties, .cfg)",
            ),
        )
        .arg(
            file(CLASSIC)
                .value_name("FILE")
                .conflicts_with(CONFIG)
                .help("The same, as the classic start scripts take it"),
        )
        .args(keys.iter().map(|(key, default)| flag(key, default)))
        .after_help(after)
}

fn flag(key: &str, default: &Value) -> Arg {
    let arg =
        Arg::new(key.to_owned()).long(long(key)).value_name("VALUE").allow_negative_numbers(true);
    let arg = if matches!(default, Value::String(..)) {
        arg.value_parser(|text: &str| literal(text))
    } else {
        arg.value_parser(|text: &str| text.parse::<Value>())
    };
    match shown(default) {
        Some(default) => arg.help(format!("Unless told otherwise {default}")),
        None => arg,
    }
}

/// A text as it is, unless it is quoted as in the environment. That never fails: what is nothing else is
/// a string.
fn literal(text: &str) -> Result<Value, Infallible> {
    if text.starts_with('"') { text.parse() } else { Ok(Value::from(text)) }
}

/// How a key is written as a flag, behind the dashes.
fn long(key: &str) -> String {
    key.replace('_', "-")
}

/// A default as it would be written; none if there is nothing to write.
fn shown(default: &Value) -> Option<String> {
    match default {
        Value::Dict(..) | Value::Array(..) | Value::Empty(..) => None,
        Value::String(_, text) => (!text.is_empty()).then(|| text.clone()),
        Value::Char(_, sign) => Some(sign.to_string()),
        Value::Bool(_, value) => Some(value.to_string()),
        Value::Num(_, number) => (number.to_i128().map(|number| number.to_string()))
            .or_else(|| number.to_u128().map(|number| number.to_string()))
            .or_else(|| number.to_f64().map(|number| number.to_string())),
    }
}

/// Every key that has a value of its own, with dots between nested ones, and its default.
fn keys_of<T: Serialize + Default>() -> Result<Vec<(String, Value)>, ConfigError> {
    let defaults: Dict = Figment::from(Serialized::defaults(T::default()))
        .extract()
        .map_err(|error| ConfigError::Wrong(Box::new(error)))?;
    let mut keys = Vec::new();
    collect("", defaults, &mut keys);
    Ok(keys)
}

fn collect(below: &str, dict: Dict, keys: &mut Vec<(String, Value)>) {
    for (name, value) in dict {
        let key = if below.is_empty() { name } else { format!("{below}.{name}") };
        let nested = value.as_dict().filter(|nested| !nested.is_empty());
        match nested.cloned() {
            Some(nested) => collect(&key, nested, keys),
            None => keys.push((key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde::Deserialize;

    use super::*;
    use crate::config::Classic;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        http_port: Option<u16>,
        names: Vec<String>,
        limits: Limits,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        max_bytes: u64,
        label: String,
    }

    impl Default for Limits {
        fn default() -> Self {
            Self { max_bytes: 7, label: String::new() }
        }
    }

    fn try_run(line: &[&str]) -> Result<Result<Example, ConfigError>, clap::Error> {
        let keys = keys_of::<Example>().unwrap();
        let command = command("example", "DOHLE_FLAGS_TEST_", &keys);
        let matches = command.try_get_matches_from([&["example"], line].concat())?;
        Ok(read(&matches, "DOHLE_FLAGS_TEST_", |_lines| Ok(Classic::default()), keys))
    }

    fn run(line: &[&str]) -> Example {
        try_run(line).unwrap().unwrap()
    }

    #[test]
    fn every_key_is_a_flag_with_a_value_as_in_the_environment() {
        assert_eq!(run(&[]), Example::default());
        let read = run(&["--http-port", "80", "--limits.max-bytes=5", "--names", r#"["a", "b"]"#]);
        assert_eq!(read.http_port, Some(80));
        assert_eq!(read.limits.max_bytes, 5);
        assert_eq!(read.names, ["a", "b"]);
        assert_eq!(run(&["--limits.label=-x"]).limits.label, "-x");
        for text in ["2026", "true", "[1]", "\"true\""] {
            assert_eq!(run(&["--limits.label", text]).limits.label, text.trim_matches('"'));
        }
    }

    #[test]
    fn a_flag_without_its_value_does_not_take_the_next_flag_for_it() {
        let error = try_run(&["--limits.label", "--http-port=80"]).unwrap_err().to_string();
        assert!(error.contains("--limits.label"), "{error}");
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("example.toml");
        fs::write(&file, "http_port = 1\n[limits]\nmax_bytes = 2\nlabel = 'file'\n").unwrap();
        let file = file.to_str().unwrap();
        for line in [["--config", file, "--limits.max-bytes=3"], [file, "--limits.max-bytes", "3"]]
        {
            let read = run(&line);
            assert_eq!((read.http_port, read.limits.max_bytes), (Some(1), 3));
            assert_eq!(read.limits.label, "file");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_the_nearest_named() {
        let error = try_run(&["--limits.max-byte", "3"]).unwrap_err().to_string();
        assert!(error.contains("--limits.max-bytes"), "{error}");
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_by_the_name_of_its_flag() {
        let error = try_run(&["--http-port", "eighty"]).unwrap().unwrap_err().to_string();
        let named = ["eighty", "http_port", "--http-port of the command line"];
        assert!(named.iter().all(|word| error.contains(word)), "{error}");
    }

    #[test]
    fn help_names_keys_and_defaults() {
        let keys = keys_of::<Example>().unwrap();
        let help = command("example", "DOHLE_X_", &keys).render_help().to_string();
        let named = ["--limits.max-bytes <VALUE>", "Unless told otherwise 7", "DOHLE_X_<KEY>"];
        assert!(named.iter().all(|word| help.contains(word)), "{help}");
    }
}
