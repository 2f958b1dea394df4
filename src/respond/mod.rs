//! What is done about what was seen: incidents get a plan, a policy decides, and a restore starts by approval or after a
//! grace period.
//!
//! The rule that must never break: nothing starts while halted, and nothing starts that the policy, or a person with the
//! plan's digest, did not allow. Reconcilers here read state and take no input, so a lost wake-up loses nothing.
pub mod hub;
mod reconcile;
pub mod replay;
pub mod restores;

pub use hub::{Core, Halted, Hub};
pub use reconcile::{Reconciler, starts_at};
pub use restores::{Busy, Restores};
