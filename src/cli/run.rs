//! `rollbackd run`: the daemon.
use super::{Global, backend};
use crate::control::api::Fault;
use clap::Args;

/// Run the daemon: sweep on schedule, follow CloudTrail, answer commands
///
/// Reports, waits for approval, or restores by itself, as the policies of the configuration say; without one it waits
/// for approval. Logs to stderr.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "\
Signals:
  SIGTERM, SIGINT  finish the running step, journal it, leave; a second one leaves at once
  SIGHUP           read the configuration again; a bad one is refused and the old one stays

Environment:
  ROLLBACKD_LOG    what to log, as `level` or `target=level,…` [default: warn,rollbackd=info]")]
pub struct Run {}

pub async fn run(global: &Global) -> Result<u8, Fault> {
    backend::daemon(global).await
}
