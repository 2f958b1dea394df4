//! `rollbackd status`.
use clap::Args;

/// Show whether all is well: what is watched, the last sweep, the sources' lag, open incidents, what is wrong
///
/// Works without a daemon too, and says so then.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Status {}
