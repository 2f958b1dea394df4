//! What the planner must know of a kind. The kinds give it; the planner names none of them, `elsewhere` apart.
use super::{
    preflight::{Ask, Blocks, IsKnown, Quota},
    readiness::{Copies, Copy, Ready},
};
use crate::model::Scope;
use serde_json::Value;
use std::collections::BTreeMap;

/// Where in a restore a kind belongs (aws-facts §2, "Order of a restore"). Within a phase the graph decides; between
/// phases too: a phase only breaks ties, so that a plan reads in an order that people expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    Identity,
    Network,
    Rules,
    Data,
    LoadBalancing,
    Compute,
}

/// One kind's facts.
#[derive(Clone, Copy)]
pub struct Facts {
    pub kind: &'static str,
    pub phase: Phase,
    pub perishable: bool,
    pub immutable: &'static [&'static str],
    /// What create gives beside the immutable members and the tags.
    pub given: &'static [&'static str],
    pub reported: &'static [(&'static str, &'static str)],
    /// Those of `reported` in which a restored one may differ.
    pub harmless: &'static [&'static str],
    pub after: &'static [&'static str],
    pub link_after: &'static [&'static str],
    pub never_back: &'static [&'static str],
    /// What AWS allows only so many of (H65).
    pub quotas: &'static [Quota],
    pub blocks: fn(&Value) -> Option<Blocks>,
    /// Who else must act when it is made again.
    pub human: fn(&Scope, &Value, IsKnown<'_>) -> Option<Ask>,
    /// What Terraform's AWS provider calls it and what was made with it: resource types with their import ids.
    pub terraform: fn(&str, &Value) -> Vec<(&'static str, String)>,
    /// Where lists without an order sit in the spec, and what names their rows.
    pub row_keys: fn() -> BTreeMap<String, &'static [&'static str]>,
    pub is_implicit: fn(&Value) -> bool,
    pub natural_key: fn(&Value) -> Option<String>,
    /// Of whose content it is a copy.
    pub copy_of: fn(&str, &Value) -> Option<Copy>,
    /// What deleting it would cost today.
    pub readiness: fn(&str, &Value, &Copies) -> Ready,
    /// Writing calls of create (no `now`) or converge, in order.
    pub calls: fn(Option<&Value>, &Value) -> Vec<&'static str>,
}
