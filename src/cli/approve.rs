//! `rollbackd approve` and `rollbackd reject`.
use crate::{control::api::Request, plan::DigestPrefix};
use clap::Args;

/// Approve a plan that waits for it, and let the restore begin
///
/// The approval holds for exactly this plan: when what is live has changed since, it is refused.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Approve {
    /// The plan's digest, from `rollbackd incidents ID`; 8 digits of it are enough
    #[arg(value_name = "DIGEST")]
    pub digest: DigestPrefix,
    /// Why, for the audit chain [default: none]
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}
impl Approve {
    pub(super) fn request(&self) -> Request {
        Request::Approve { digest: self.digest.clone(), reason: self.reason.clone() }
    }
}

/// Reject a plan that waits for approval
///
/// Nothing is restored for its incident until somebody plans again.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Reject {
    /// The plan's digest, from `rollbackd incidents ID`; 8 digits of it are enough
    #[arg(value_name = "DIGEST")]
    pub digest: DigestPrefix,
    /// Why, for the audit chain [default: none]
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}
impl Reject {
    pub(super) fn request(&self) -> Request {
        Request::Reject { digest: self.digest.clone(), reason: self.reason.clone() }
    }
}
