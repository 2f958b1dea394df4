//! The kinds: one file each with all that rollbackd knows of one type of resource. The engine (capture, plan, restore)
//! sees them through `registry::kinds()` only; nothing else in the crate names a kind.
pub mod copies;
pub mod ec2;
#[cfg(test)]
mod guards;
pub mod kind;
pub mod mirror;
pub mod names;
pub mod permissions;
pub mod policy;
pub mod raw;
pub mod registry;

pub use kind::{AnyKind, Captured, Kind, Seen, Settled, Step, Which};

/// Takes the tags that told a restore's steps apart off what it made, so that infrastructure as code sees no difference.
pub async fn remove_step_tags(cx: &crate::aws::Cx, ids: &[String]) -> Result<(), crate::aws::Failure> {
    for ids in ids.chunks(1000) {
        ec2::untag_steps(cx, ids).await?;
    }
    Ok(())
}
