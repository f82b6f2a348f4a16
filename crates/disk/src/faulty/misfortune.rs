use std::io;
use std::path::Path;

use super::{Operation, PlannedFault};

/// What is going to go wrong, and when.
#[derive(Debug, Default)]
pub(super) struct Misfortune {
    power: Power,
    faults: Vec<PlannedFault>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Power {
    #[default]
    On,
    /// Goes off during the change after so many.
    OffAfter(u32),
    Off,
}

/// What becomes of one operation.
pub(super) enum Fate {
    Succeeds,
    Fails(io::Error),
}

impl Misfortune {
    pub(super) fn cut_power_after(&mut self, operations: u32) {
        self.power = Power::OffAfter(operations);
    }

    pub(super) fn is_without_power(&self) -> bool {
        self.power == Power::Off
    }

    pub(super) fn plan(&mut self, fault: PlannedFault) {
        self.faults.push(fault);
    }

    pub(super) fn forget(&mut self) {
        self.faults.clear();
    }

    pub(super) fn faults_to_come(&self) -> usize {
        self.faults.len()
    }

    /// What becomes of a change.
    pub(super) fn fate(&mut self, operation: Operation, path: &Path) -> Fate {
        match self.power {
            Power::On => {}
            Power::OffAfter(0) => {
                self.power = Power::Off;
                return Fate::Fails(without_power());
            }
            Power::OffAfter(operations) => self.power = Power::OffAfter(operations - 1),
            Power::Off => return Fate::Fails(without_power()),
        }
        self.planned(operation, path).map_or(Fate::Succeeds, Fate::Fails)
    }

    /// The error planned for an operation, if its time has come.
    pub(super) fn planned(&mut self, operation: Operation, path: &Path) -> Option<io::Error> {
        let path = path.to_string_lossy();
        let index = self.faults.iter().position(|fault| {
            fault.operation == operation && path.contains(&fault.path_contains)
        })?;
        let fault = self.faults.get_mut(index)?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        Some(self.faults.remove(index).error.into())
    }

    pub(super) fn check_power(&self) -> io::Result<()> {
        if self.is_without_power() { Err(without_power()) } else { Ok(()) }
    }
}

pub(super) fn without_power() -> io::Error {
    io::Error::other("the power is off")
}
