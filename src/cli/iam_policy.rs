//! `rollbackd iam-policy`: the least permissions, made from the kinds.
use super::print;
use crate::{
    control::api::Fault,
    kinds::{
        policy::{observe_policy, restore_policy, text},
        registry::KINDS,
    },
};
use clap::Subcommand;
use std::io::Write;

/// Print the IAM policy that rollbackd needs, made from the kinds it knows
///
/// Always JSON, ready for `aws iam create-policy --policy-document`.
#[derive(Debug, Clone, Copy, PartialEq, Subcommand)]
pub enum IamPolicy {
    /// Print what the daemon needs: to read every kind, take records from its queue, assume the restore role
    Observe,
    /// Print what the restore role needs: to put every kind back, and read it
    Restore,
}

pub fn run(what: IamPolicy) -> Result<u8, Fault> {
    let policy = match what {
        IamPolicy::Observe => observe_policy(KINDS),
        IamPolicy::Restore => restore_policy(KINDS),
    };
    print(|out| out.write_all(text(&policy).as_bytes()))?;
    Ok(0)
}
