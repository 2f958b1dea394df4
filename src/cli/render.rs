//! The only printer. For people: pages of plain text and tables, coloured only on a terminal. For programs: the inner
//! value of the answer as JSON, without the answer's tag.
//!
//! Everything that is printed goes through [`neutral`] (see `page`), because names, tags, ids and messages come from
//! outside, and what a terminal would obey or hide must not get through. In JSON the same characters are escaped, which
//! changes no value.
mod audit;
mod detect;
mod incident;
mod neutral;
mod page;
mod plan;
mod readiness;
mod receipt;
mod status;
mod values;
mod versions;

pub use neutral::neutral;
pub use page::{Look, Page};
pub use receipt::progress;

use crate::kinds::mirror::{Coverage, Fate, Inputs};
use crate::{
    control::api::{Answer, Fault},
    detect::explain::Explanation,
    plan::{
        Plan,
        facts::{Facts, Phase},
    },
    trail::decode::Unreadable,
};
use serde::Serialize;
use serde_json::Value;
use std::io::{self, Write};

/// How answers are printed.
#[derive(Debug, Clone, Copy)]
pub enum Format {
    Table(Look),
    Json,
}

/// Prints an answer, with a line feed at its end.
pub fn render(answer: &Answer, format: &Format, out: &mut impl Write) -> io::Result<()> {
    let look = match format {
        Format::Json => return json(&inner(answer)?, out),
        Format::Table(look) => look,
    };
    let mut page = Page::new(look);
    match answer {
        Answer::Status(status) => status::status(&mut page, status),
        Answer::Sweep(sweep) => status::sweep(&mut page, sweep),
        Answer::Snapshots(snapshots) => status::snapshots(&mut page, snapshots),
        Answer::Halted(halted) => status::halted(&mut page, halted),
        Answer::Unhalted => page.line(0, "Not halted: the policies decide again."),
        Answer::History(history) => versions::history(&mut page, history),
        Answer::Show(version) => versions::show(&mut page, version),
        Answer::Diff(differences) => versions::diff(&mut page, differences),
        Answer::Readiness(lines) => readiness::lines(&mut page, lines),
        Answer::Incidents(lines) => incident::list(&mut page, lines),
        Answer::Incident(incident) => incident::one(&mut page, incident),
        Answer::Decided(line) => incident::decided(&mut page, line),
        Answer::Plan(plan) => plan::plan(&mut page, plan),
        Answer::Receipt(receipt) => receipt::receipt(&mut page, receipt),
        Answer::Audit(entries) => audit::entries(&mut page, entries),
        Answer::AuditVerified(verified) => audit::verified(&mut page, verified),
        Answer::Replay(replay) => detect::replay(&mut page, replay),
    }
    out.write_all(page.text().as_bytes())
}

fn inner(answer: &Answer) -> io::Result<Value> {
    let value = match answer {
        Answer::Status(v) => serde_json::to_value(v),
        Answer::Sweep(v) => serde_json::to_value(v),
        Answer::Snapshots(v) => serde_json::to_value(v),
        Answer::History(v) => serde_json::to_value(v),
        Answer::Show(v) => serde_json::to_value(v),
        Answer::Diff(v) => serde_json::to_value(v),
        Answer::Readiness(v) => serde_json::to_value(v),
        Answer::Incidents(v) => serde_json::to_value(v),
        Answer::Incident(v) => serde_json::to_value(v),
        Answer::Decided(v) => serde_json::to_value(v),
        Answer::Plan(v) => serde_json::to_value(v),
        Answer::Receipt(v) => serde_json::to_value(v),
        Answer::Halted(v) => serde_json::to_value(v),
        Answer::Unhalted => Ok(Value::Null),
        Answer::Audit(v) => serde_json::to_value(v),
        Answer::AuditVerified(v) => serde_json::to_value(v),
        Answer::Replay(v) => serde_json::to_value(v),
    };
    Ok(value?)
}

/// Prints what detection makes of records, and what of them is none.
pub fn explanation(
    all: &Explanation,
    unreadable: &[Unreadable],
    ignored: &[String],
    format: &Format,
    out: &mut impl Write,
) -> io::Result<()> {
    let look = match format {
        Format::Json => {
            let mut value = serde_json::to_value(all)?;
            value["unreadable"] = serde_json::to_value(unreadable)?;
            value["ignored"] = serde_json::to_value(ignored)?;
            return json(&value, out);
        }
        Format::Table(look) => look,
    };
    let mut page = Page::new(look);
    detect::explanation(&mut page, all, unreadable, ignored);
    out.write_all(page.text().as_bytes())
}

/// Prints a value as indented JSON.
pub fn json(value: &Value, out: &mut impl Write) -> io::Result<()> {
    let text = format!("{value:#}");
    writeln!(out, "{}", neutral::json(&text))
}

/// Prints what only has a text for people and a value for programs.
pub fn text(text: &str, value: &Value, format: &Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Json => json(value, out),
        Format::Table(look) => {
            let mut page = Page::new(look);
            page.lines(0, text.trim_end_matches('\n'));
            out.write_all(page.text().as_bytes())
        }
    }
}

/// A plan's page, for where it is not the answer itself.
pub fn plan(plan: &Plan, look: &Look) -> String {
    let mut page = Page::new(look);
    plan::plan(&mut page, plan);
    page.text()
}

/// What is told instead of an answer.
pub fn fault(fault: &Fault, look: &Look) -> String {
    let mut page = Page::new(look);
    let mut lines = fault.message.trim_end().lines();
    page.mark(0, page::Mark::Error, lines.next().unwrap_or_default());
    lines.for_each(|line| page.lines(0, line));
    page.text()
}

/// One kind, as `rollbackd kinds` lists it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KindLine {
    pub name: &'static str,
    pub spec_version: u16,
    /// Where in a restore it belongs.
    pub phase: &'static str,
    pub never_back: Vec<&'static str>,
    /// Members that are shown and not put back, with why.
    pub reported: std::collections::BTreeMap<&'static str, &'static str>,
}
impl KindLine {
    pub fn of(facts: &Facts, spec_version: u16) -> Self {
        Self {
            name: facts.kind,
            spec_version,
            phase: match facts.phase {
                Phase::Identity => "identity",
                Phase::Network => "network",
                Phase::Rules => "rules",
                Phase::Data => "data",
                Phase::LoadBalancing => "load-balancing",
                Phase::Compute => "compute",
            },
            never_back: facts.never_back.to_vec(),
            reported: facts.reported.iter().copied().collect(),
        }
    }
}

/// Prints the kinds.
pub fn kinds(lines: &[KindLine], format: &Format, out: &mut impl Write) -> io::Result<()> {
    let look = match format {
        Format::Json => return json(&serde_json::to_value(lines)?, out),
        Format::Table(look) => look,
    };
    let mut page = Page::new(look);
    let rows = lines.iter().map(|l| {
        let never = if l.never_back.is_empty() { "-".to_owned() } else { l.never_back.join("; ") };
        vec![l.name.to_owned(), l.spec_version.to_string(), l.phase.to_owned(), never]
    });
    page.table(0, &["KIND", "SPEC", "PHASE", "NEVER COMES BACK"], 3, rows);
    out.write_all(page.text().as_bytes())
}

/// What becomes of a kind's members: one row of `rollbackd kinds --coverage`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CoverageLine {
    pub name: &'static str,
    /// Members that are put back, and how many of them point at other resources.
    pub kept: usize,
    pub references: usize,
    /// Kept to be shown: no call can give them back.
    pub unsettable: usize,
    /// Left out for a reason: runtime state, or it follows from something else.
    pub runtime: usize,
    /// On the wire, and not parsed by this version of the SDK: stored raw.
    pub gaps: usize,
    /// Setters of the calls that put it back: fed from the spec, and left for a reason.
    pub setters_fed: usize,
    pub setters_left: usize,
}
impl CoverageLine {
    pub fn of(name: &'static str, tables: &[&Coverage], inputs: &[&Inputs]) -> Self {
        let mut line = Self { name, ..Self::default() };
        for field in tables.iter().flat_map(|t| t.fields) {
            match field.fate {
                Fate::Keep => line.kept += 1,
                Fate::Report(_) => line.unsettable += 1,
                Fate::Drop(_) => line.runtime += 1,
                Fate::Gap(_) => line.gaps += 1,
            }
            line.references += usize::from(field.refers);
        }
        line.setters_fed = inputs.iter().map(|i| i.given.len()).sum();
        line.setters_left = inputs.iter().map(|i| i.left.len()).sum();
        line
    }
}

/// Prints the coverage of the kinds, and their sum.
pub fn coverage(lines: &[CoverageLine], format: &Format, out: &mut impl Write) -> io::Result<()> {
    let look = match format {
        Format::Json => return json(&serde_json::to_value(lines)?, out),
        Format::Table(look) => look,
    };
    let mut all = CoverageLine { name: "all", ..CoverageLine::default() };
    for l in lines {
        all.kept += l.kept;
        all.references += l.references;
        all.unsettable += l.unsettable;
        all.runtime += l.runtime;
        all.gaps += l.gaps;
        all.setters_fed += l.setters_fed;
        all.setters_left += l.setters_left;
    }
    let mut page = Page::new(look);
    let rows = lines.iter().chain([&all]).map(|l| {
        let counts = [l.kept, l.references, l.unsettable, l.runtime, l.gaps, l.setters_fed, l.setters_left];
        let mut row = vec![l.name.to_owned()];
        row.extend(counts.iter().map(usize::to_string));
        row
    });
    page.table(0, &["KIND", "KEPT", "REFERENCES", "UNSETTABLE", "RUNTIME", "GAPS", "SETTERS FED", "LEFT"], 1, rows);
    page.gap();
    page.line(0, "`rollbackd kinds` says what never comes back.");
    out.write_all(page.text().as_bytes())
}
