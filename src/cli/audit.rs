//! `rollbackd audit`.
use crate::control::api::Request;
use clap::{Args, Subcommand};

/// Show who did what: the audit chain, newest last
#[derive(Debug, Clone, PartialEq, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Audit {
    /// Show at most the N newest entries
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
    #[command(subcommand)]
    pub what: Option<What>,
}

#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum What {
    /// Check every link of the chain; exit code 1 when it is broken
    Verify,
}
impl Audit {
    pub(super) fn request(&self) -> Request {
        match self.what {
            Some(What::Verify) => Request::AuditVerify,
            None => Request::Audit { limit: self.limit },
        }
    }
}
