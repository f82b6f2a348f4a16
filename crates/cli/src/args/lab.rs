use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// `dohle lab`.
#[derive(Debug, Args)]
pub(crate) struct Lab {
    /// Where everything is kept
    #[arg(long, value_name = "PATH", default_value = "./dohle-lab")]
    pub(crate) dir: PathBuf,
    /// Leave after the demo
    #[arg(long)]
    pub(crate) exit: bool,
    /// The ports of coordinator, broker and registry; 0 takes free ones
    #[arg(long, value_name = "C,B,R", default_value_t = Ports::USUAL)]
    pub(crate) ports: Ports,
}

/// Where the lab's services listen; 0 takes a free port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    /// Of the coordinator.
    pub(crate) coordinator: u16,
    /// Of the broker.
    pub(crate) broker: u16,
    /// Of the registry.
    pub(crate) registry: u16,
}

impl Ports {
    /// Where everybody looks for them.
    pub(crate) const USUAL: Self = Self { coordinator: 7070, broker: 9192, registry: 8081 };
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{}", self.coordinator, self.broker, self.registry)
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self { coordinator: 0, broker: 0, registry: 0 });
        }
        let numbers: Result<Vec<u16>, _> = text.split(',').map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[coordinator, broker, registry]) => Ok(Self { coordinator, broker, registry }),
            Ok(_) | Err(_) => Err("write three ports, as in 7070,9192,8081, or 0".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ports_are_named_or_none_at_all() {
        let ports = |coordinator, broker, registry| Ok(Ports { coordinator, broker, registry });
        assert_eq!("7070,9192,8081".parse::<Ports>(), ports(7070, 9192, 8081));
        assert_eq!("0".parse::<Ports>(), ports(0, 0, 0));
        for text in ["", "1", "1,2", "1,2,3,4", "1,2,x", "70000,1,1"] {
            assert!(text.parse::<Ports>().is_err(), "{text:?}");
        }
    }
}
