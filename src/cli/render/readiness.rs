//! What deletions would cost: the costly ones one by one, the rest counted.
use super::page::{Mark, Page};
use crate::plan::readiness::{Cost, Readiness};

pub fn lines(page: &mut Page<'_>, all: &[Readiness]) {
    if all.is_empty() {
        return page.line(0, "Nothing is captured yet; `rollbackd snapshot` does it.");
    }
    let heading = |cost| match cost {
        Cost::Data => "Data would be lost",
        Cost::Memory => "What runs would be lost",
        Cost::Identity => "What others know it by could be lost",
        Cost::Id => "Comes back under another id",
        Cost::Nothing => "Cannot be deleted as it is",
    };
    for cost in [Cost::Data, Cost::Memory, Cost::Identity, Cost::Nothing] {
        let these: Vec<&Readiness> = all.iter().filter(|r| r.cost == cost).collect();
        if these.is_empty() {
            continue;
        }
        page.heading(heading(cost));
        for r in these {
            let name = r.name.as_ref().map(|n| format!(" ({n})")).unwrap_or_default();
            let mark = if cost >= Cost::Memory { Mark::Trouble } else { Mark::Good };
            page.mark(1, mark, format_args!("{} {}{name}: {}", r.resource.kind, r.resource.id, r.lost));
            if let Some(remedy) = &r.remedy {
                page.line(2, remedy);
            }
        }
    }
    let rest = all.iter().filter(|r| r.cost == Cost::Id).count();
    if rest > 0 {
        page.gap();
        page.line(0, format_args!("{rest} more come back under another id, with what refers to them rewired."));
    }
}
