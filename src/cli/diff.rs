//! `rollbackd diff`.
use crate::{
    control::api::{Fault, Request, Side},
    model::{ResourceKey, reference::kind_of_id},
};
use clap::Args;

/// The word for what is there now.
pub const LIVE: &str = "live";

/// Show what differs between two instants, or between an instant and now
///
/// Exit code 0 whether or not something differs; `--output json` prints a list that is empty when nothing does.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "\
Examples:
  rollbackd diff 2h                          since two hours ago
  rollbackd diff friday-release 1h           between a label and an hour ago
  rollbackd diff 2h live vpc-0a12 sg-0b34    only these two

A word in B's place that has the form of a resource's id or key is taken as one; B is `live` then.")]
pub struct Diff {
    /// The earlier side: an instant, or `live`
    #[arg(value_name = "A")]
    pub a: String,
    /// The later side: an instant, or `live` [default: live]
    #[arg(value_name = "B|live")]
    pub b: Option<String>,
    /// Only these [default: every resource]
    #[arg(value_name = "RESOURCE")]
    pub resources: Vec<String>,
}
impl Diff {
    pub(super) fn request(&self) -> Result<Request, Fault> {
        let mut resources = self.resources.clone();
        let b = match &self.b {
            None => Side::Live,
            Some(word) if kind_of_id(word).is_some() || word.parse::<ResourceKey>().is_ok() => {
                resources.insert(0, word.clone());
                Side::Live
            }
            Some(word) => side(word)?,
        };
        let a = side(&self.a)?;
        if a == b {
            return Err(Fault::usage("both sides are the same; `rollbackd diff 2h` compares two hours ago with live"));
        }
        Ok(Request::Diff { a, b, resources })
    }
}
fn side(word: &str) -> Result<Side, Fault> {
    if word == LIVE {
        return Ok(Side::Live);
    }
    word.parse().map(Side::At).map_err(|e| Fault::usage(format!("{e}, or `live`")))
}
