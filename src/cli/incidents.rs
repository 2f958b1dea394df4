//! `rollbackd incidents`.
use crate::{control::api::Request, model::IncidentId};
use clap::Args;

/// List incidents, or show one: who, what calls, what was lost, what to do next
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Incidents {
    /// Show this one whole [default: list all]
    #[arg(value_name = "ID")]
    pub id: Option<IncidentId>,
}
impl Incidents {
    pub(super) fn request(&self) -> Request {
        self.id.clone().map_or(Request::Incidents, |id| Request::Incident { id })
    }
}
