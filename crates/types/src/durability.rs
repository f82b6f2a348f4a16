/// When a record counts as stored: a topic's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Once it is synced to the disk: it survives a loss of power.
    #[default]
    Fsync,
    /// Once the operating system has it: it survives the process, not the machine.
    PageCache,
}
