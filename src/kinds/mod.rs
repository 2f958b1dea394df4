//! The kinds: one file each with all that rollbackd knows of one type of resource. The engine (capture, plan, restore)
//! sees them through `registry::kinds()` only; nothing else in the crate names a kind.
pub mod ec2;
pub mod kind;
pub mod mirror;
pub mod names;
pub mod policy;
pub mod registry;

pub use kind::{AnyKind, Captured, Kind, Seen, Settled, Step, Which};
