//! `rollbackd history` and `rollbackd show`.
use crate::{
    control::api::{Fault, Request},
    model::At,
};
use clap::Args;

/// Show every version of a resource, newest first: when, why it was captured, what changed
///
/// A resource that was restored keeps its history: any of its ids finds all of it.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct History {
    /// An id, alias or name that only one resource has, or a whole key
    #[arg(value_name = "RESOURCE")]
    pub resource: String,
}
impl History {
    pub(super) fn request(&self) -> Request {
        Request::History { resource: self.resource.clone() }
    }
}

/// Show a resource's configuration as it was captured
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "\
Examples:
  rollbackd show vpc-0a12
  rollbackd show vpc-0a12@2h
  rollbackd show vpc-0a12@2026-03-01T10:00:00Z
  rollbackd show ops@example.com --at friday-release    a name that has an @ itself")]
pub struct Show {
    /// The resource, and after an @ the instant [default: its last version]
    #[arg(value_name = "RESOURCE[@AT]")]
    pub resource: String,
    /// The instant; then an @ in RESOURCE belongs to its name [default: the last version]
    #[arg(long, value_name = "AT")]
    pub at: Option<At>,
}
impl Show {
    pub(super) fn request(&self) -> Result<Request, Fault> {
        if let Some(at) = &self.at {
            return Ok(Request::Show { resource: self.resource.clone(), at: Some(at.clone()) });
        }
        let Some((resource, at)) = self.resource.rsplit_once('@') else {
            return Ok(Request::Show { resource: self.resource.clone(), at: None });
        };
        if resource.is_empty() {
            return Err(Fault::usage(format!("`{}` names no resource before the @", self.resource)));
        }
        let at = at.parse().map_err(|e| Fault::usage(format!("{e}; if the @ belongs to the name, give --at too")))?;
        Ok(Request::Show { resource: resource.to_owned(), at: Some(at) })
    }
}
