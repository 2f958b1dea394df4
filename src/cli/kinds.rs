//! `rollbackd kinds`: what can be put back.
use super::{
    print,
    render::{self, CoverageLine, Format, KindLine},
};
use crate::{control::api::Fault, kinds::registry};
use clap::Args;

/// List the kinds of resources that can be put back, and what of each never comes back
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Kinds {
    /// Count instead what becomes of each member that AWS describes, and of each setter of the calls that put it back
    /// [default: do not]
    #[arg(long)]
    pub coverage: bool,
}

pub fn run(args: &Kinds, format: &Format) -> Result<u8, Fault> {
    if args.coverage {
        let lines: Vec<CoverageLine> =
            registry::KINDS.iter().map(|k| CoverageLine::of(k.name(), k.tables(), k.inputs())).collect();
        print(|out| render::coverage(&lines, format, out))?;
        return Ok(0);
    }
    let mut lines: Vec<KindLine> = registry::KINDS.iter().map(|k| KindLine::of(&k.facts(), k.spec_version())).collect();
    lines.sort_by_key(|l| l.name);
    print(|out| render::kinds(&lines, format, out))?;
    Ok(0)
}
