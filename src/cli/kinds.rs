//! `rollbackd kinds`: what can be put back.
use super::{
    print,
    render::{self, Format, KindLine},
};
use crate::{control::api::Fault, kinds::registry};
use clap::Args;

/// List the kinds of resources that can be put back, and what of each never comes back
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Kinds {}

pub fn run(format: &Format) -> Result<u8, Fault> {
    let mut lines: Vec<KindLine> = registry::KINDS.iter().map(|k| KindLine::of(&k.facts(), k.spec_version())).collect();
    lines.sort_by_key(|l| l.name);
    print(|out| render::kinds(&lines, format, out))?;
    Ok(0)
}
