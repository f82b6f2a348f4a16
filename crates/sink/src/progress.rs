//! What a person who waits is shown.

mod bars;

pub use bars::Bars;

/// The long parts of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reading records and writing them to staging; counts offsets.
    Stage,
    /// Moving files to where readers look; counts files.
    Publish,
    /// Checking files; counts files.
    Verify,
}

/// Is told how the work goes on. Called often: must be quick.
pub trait Progress: Send + Sync + 'static {
    /// A phase begins, with so much to do.
    fn begin(&self, phase: Phase, total: u64);

    /// That much more of the current phase is done.
    fn advance(&self, done: u64);

    /// The current phase is over.
    fn end(&self);
}

/// Shows nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _phase: Phase, _total: u64) {}

    fn advance(&self, _done: u64) {}

    fn end(&self) {}
}
