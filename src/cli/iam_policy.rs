//! `rollbackd iam-policy`: the least permissions, made from the kinds.
use super::print;
use crate::{
    control::api::Fault,
    kinds::{policy::policies, registry::KINDS},
};
use clap::Args;
use std::io::Write;

/// Print one of the IAM policies that rollbackd needs, made from the kinds it knows
///
/// The identity of the daemon needs `daemon` and each `observe-…`, which only read. The restore role needs each `observe-…`
/// and each `restore-…`, which adds what putting that service's resources back takes. Always JSON, ready for
/// `aws iam create-policy --policy-document`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct IamPolicy {
    /// Which policy [default: list their names]
    name: Option<String>,
}
impl IamPolicy {
    pub fn run(&self) -> Result<u8, Fault> {
        let all = policies(KINDS);
        let names: Vec<&str> = all.iter().map(|p| p.name.as_str()).collect();
        let text = match &self.name {
            None => names.join("\n") + "\n",
            Some(name) => match all.iter().find(|p| p.name == *name) {
                Some(policy) => policy.text(),
                None => {
                    return Err(Fault::usage(format!("no policy is named `{name}`; there are {}", names.join(", "))));
                }
            },
        };
        print(|out| out.write_all(text.as_bytes()))?;
        Ok(0)
    }
}
