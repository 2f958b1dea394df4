//! AWS as the rest of the crate sees it: one context of clients per account and region, paced, with errors in classes.
pub mod budget;
#[cfg(test)]
pub mod canned;
pub mod clients;
mod error;
pub mod places;
pub mod quotas;
pub mod tap;

pub use budget::Budget;
pub use clients::{Aws, Caller, Purpose, Role, Settings};
pub use error::{Class, Failure};

use crate::model::Scope;

/// What a kind's calls need: the clients of one account and region.
#[derive(Debug, Clone)]
pub struct Cx {
    pub scope: Scope,
    /// Reads and idempotent writes: the SDK retries them.
    pub ec2: aws_sdk_ec2::Client,
    /// Creates: one attempt each, since a lost answer may hide a success (H64). The engine looks before it tries again.
    pub ec2_once: aws_sdk_ec2::Client,
    pub quotas: aws_sdk_servicequotas::Client,
}
