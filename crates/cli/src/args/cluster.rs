use clap::Subcommand;

/// `dohle cluster ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show the cluster's id, brokers and coordinator
    Info,
    /// Say whether every broker serves and every partition has a leader and its replicas; exits
    /// with 1 if not
    Health {
        /// Say it again whenever it changes
        #[arg(long)]
        watch: bool,
        /// With --watch: leave as soon as all is well
        #[arg(long, requires = "watch")]
        exit_when_healthy: bool,
    },
}

/// `dohle coordinator ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum CoordinatorVerb {
    /// Show who leads, the term, and how far the log has come
    Status,
}
