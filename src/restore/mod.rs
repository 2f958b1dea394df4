//! Restores: executing a plan with a journal, proving what came of it.
//!
//! The rule that must never break: nothing is written to AWS before the journal says that it will be (behind a
//! barrier), and nothing is made without a look for what an earlier attempt made. `journal` holds the one function of
//! legal transitions, `apply` runs steps, `verify` reads back, `receipt` says what came of it, `terraform` says it to
//! Terraform, `prepare` makes the plan, `preflight` asks what would stop it.
pub mod apply;
pub mod journal;
mod preflight;
pub mod prepare;
pub mod receipt;
mod terraform;
mod verify;

pub use apply::Engine;
pub use journal::{Entry, Progress, Restore, RestoreState};
pub use prepare::Preparer;
pub use receipt::Receipt;
