use std::str::FromStr;

use clap::Args;

/// `dohle healthcheck`.
#[derive(Debug, Args)]
pub(crate) struct Healthcheck {
    /// broker, coordinator, registry or sink on this host, or http://host:port
    #[arg(value_name = "SERVICE|URL")]
    pub(crate) target: Target,
    /// Ask whether it can be used, not only whether it runs
    #[arg(long)]
    pub(crate) ready: bool,
}

/// Where a service tells how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target(pub(crate) String);

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = match text {
            "broker" => 9292,
            "coordinator" => 7170,
            "registry" => 8081,
            "sink" => 9392,
            url if url.starts_with("http://") => return Ok(Self(url.to_owned())),
            _ => {
                return Err(
                    "name broker, coordinator, registry or sink, or http://host:port".into()
                );
            }
        };
        Ok(Self(format!("http://127.0.0.1:{port}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_asked_where_they_are_by_default() {
        let at = |text: &str| Target::from_str(text).map(|target| target.0);
        assert_eq!(at("broker"), Ok("http://127.0.0.1:9292".to_owned()));
        assert_eq!(at("http://a:1"), Ok("http://a:1".to_owned()));
        assert!(at("brokers").is_err());
    }
}
