//! `rollbackd halt` and `rollbackd unhalt`.
use crate::control::api::Request;
use clap::Args;

/// Stop every automatic act at once, and keep it stopped
///
/// Running restores finish their step and stop; none begins by itself. Survives restarts. Watching and capturing go on,
/// and `rollbackd resume` goes on with what was stopped.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Halt {
    /// Why, for the audit chain [default: none]
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}
impl Halt {
    pub(super) fn request(&self) -> Request {
        Request::Halt { reason: self.reason.clone() }
    }
}

/// Let policies decide again
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Unhalt {
    /// Why, for the audit chain [default: none]
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}
impl Unhalt {
    pub(super) fn request(&self) -> Request {
        Request::Unhalt { reason: self.reason.clone() }
    }
}
