//! `rollbackd receipt`.
use super::{exit_code, print, render::Format, show};
use crate::control::api::{Answer, Fault, Request};
use clap::Args;
use std::io::Write;

/// Show the receipt that a restore ended in, once more
///
/// Exit code 3 when it names differences, losses or refusals, as when the restore ended.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Receipt {
    /// The restore's id, from its receipt or `rollbackd incidents`
    #[arg(value_name = "RESTORE")]
    pub restore: String,
    /// Print only what Terraform's state must be told: `import` blocks for the ids that changed [default: the whole
    /// receipt]
    #[arg(long)]
    pub terraform: bool,
}
impl Receipt {
    pub(super) fn request(&self) -> Request {
        Request::Receipt { restore: self.restore.clone() }
    }
    pub(super) fn show(&self, answer: &Answer, format: &Format) -> Result<u8, Fault> {
        match answer {
            Answer::Receipt(receipt) if self.terraform => {
                let none = "# No id changed that Terraform knows.\n";
                print(|out| out.write_all(receipt.terraform.as_deref().unwrap_or(none).as_bytes()))?;
                Ok(0)
            }
            _ => {
                show(answer, format)?;
                Ok(exit_code(answer))
            }
        }
    }
}
