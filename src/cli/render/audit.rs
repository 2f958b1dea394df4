//! The audit chain.
use super::{
    page::{Mark, Page},
    values::{clock, count, value},
};
use crate::{control::api::AuditVerified, model::audit::Entry};
use serde_json::Value;

pub fn entries(page: &mut Page<'_>, entries: &[Entry]) {
    if entries.is_empty() {
        return page.line(0, "Nothing was done yet.");
    }
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by_key(|e| e.seq);
    let rows = sorted.into_iter().map(|e| {
        let details = if e.what.details == Value::Null { "-".to_owned() } else { value(&e.what.details) };
        let subject = match e.what.subject.parse::<crate::model::Hash>() {
            Ok(digest) => digest.short().to_owned(),
            Err(_) => e.what.subject.clone(),
        };
        vec![e.seq.to_string(), clock(e.at), e.what.verb.clone(), subject, e.who.clone(), details]
    });
    page.table(0, &["NO", "AT", "WHAT", "SUBJECT", "WHO", "DETAILS"], 3, rows);
}

pub fn verified(page: &mut Page<'_>, v: &AuditVerified) {
    let entries = count(usize::try_from(v.entries).unwrap_or(usize::MAX), "entry");
    match &v.broken {
        None => page.mark(0, Mark::Good, format_args!("{entries}, every link holds")),
        Some(how) => {
            page.mark(0, Mark::Trouble, format_args!("The chain is broken: {how} ({entries} read)"));
            page.line(2, "Somebody changed the store, or its disk did. Keep the store as it is, and look into it.");
        }
    }
    if let Some(head) = &v.head {
        page.field("Head", head);
    }
}
