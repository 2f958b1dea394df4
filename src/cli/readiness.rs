//! `rollbackd readiness`: what a deletion would cost today.
use crate::control::api::Request;
use clap::Args;

/// Show what deleting each resource would cost today, and the one call that would change that
///
/// Read from the last captures; the worst is first. Data is only as safe as its newest snapshot.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Readiness {
    /// These only [default: every resource]
    #[arg(value_name = "RESOURCE")]
    pub resources: Vec<String>,
}
impl Readiness {
    pub(super) fn request(&self) -> Request {
        Request::Readiness { resources: self.resources.clone() }
    }
}
