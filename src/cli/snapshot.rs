//! `rollbackd snapshot` and `rollbackd snapshots`.
use crate::{
    control::api::{Fault, Request},
    model::{At, PointName},
};
use clap::Args;

/// Capture everything now
///
/// Needs nothing but AWS credentials and a region, found as every AWS tool finds them. What did not change is stored
/// once. Exit code 3 when something could not be read; the answer names it, and its older versions stay.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "\
Examples:
  rollbackd snapshot
  rollbackd snapshot --label friday-release
  rollbackd diff friday-release live")]
pub struct Snapshot {
    /// Name this point in time, for `--at`, `diff` and `show` [default: no name]
    #[arg(long, value_name = "NAME")]
    pub label: Option<String>,
}
impl Snapshot {
    pub(super) fn request(&self) -> Result<Request, Fault> {
        if let Some(label) = &self.label
            && (!matches!(label.parse(), Ok(At::Named(PointName::Label(_)))) || label == super::diff::LIVE)
        {
            return Err(Fault::usage(format!(
                "`{label}` cannot be a label; a label begins with a letter, has letters, digits, `-`, `_` and `.`, at most 64 of them, and is not `live`"
            )));
        }
        Ok(Request::Snapshot { label: self.label.clone() })
    }
}

/// List sweeps and labels, newest first
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Snapshots {
    /// Show at most N sweeps
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
}
impl Snapshots {
    pub(super) fn request(&self) -> Request {
        Request::Snapshots { limit: self.limit }
    }
}
