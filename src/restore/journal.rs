//! What a restore has done: one entry a step, each change behind a barrier, and the one function that says which change
//! may follow which.
use super::Receipt;
use crate::{
    model::{By, Hash, IncidentId, ResourceKey, Scope, Timestamp},
    plan::Verb,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One execution of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restore {
    /// Names the restore in the `rollbackd:step` tag and in client tokens: short, and of letters and digits.
    pub id: String,
    pub plan: Hash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// Where it builds, if elsewhere than the resources are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<Scope>,
    pub by: By,
    pub started: Timestamp,
    pub state: RestoreState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// Told while a restore runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub step: u32,
    pub of: u32,
    pub verb: Verb,
    pub resource: ResourceKey,
    pub state: StepState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Where a restore stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreState {
    /// Running, or the process that ran it died: `resume` goes on.
    Running,
    /// Stopped between steps, by a signal, a halt or expired credentials: `resume` goes on.
    Stopped,
    /// Read back; the receipt says what came of it.
    Done,
}

/// Where one step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    Pending,
    /// The call may have been made: a retry must look for what it made.
    Intent,
    /// The resource exists under its new id.
    Made,
    Done,
    Failed,
    /// A step that it needs failed, was blocked or skipped.
    Blocked,
    /// The plan said that it cannot be done.
    Skipped,
}
impl StepState {
    /// It ended, and what it was for is not there.
    pub fn is_undone(self) -> bool {
        matches!(self, Self::Failed | Self::Blocked | Self::Skipped)
    }
}
impl fmt::Display for StepState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Intent => "under way",
            Self::Made => "made",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Skipped => "skipped",
        })
    }
}

/// What happens to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// About to call AWS.
    Start,
    /// It exists, under this id.
    Made(String),
    Finish,
    Fail(String),
    Block(String),
    Skip(String),
    /// `resume` tries what failed or was blocked once more, and what was linked without it.
    Retry,
}

/// A step's state in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub step: u32,
    pub state: StepState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether a call may ever have been made: a retry after a failure must still look first.
    pub tried: bool,
    pub at: Timestamp,
}

/// A change of the journal that its rules forbid: a defect, or a journal that was altered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "step {step} is {from}, and {event:?} may not follow that; the journal was altered, or this is a defect: keep the store and report it"
)]
pub struct Illegal {
    pub step: u32,
    pub from: StepState,
    pub event: Event,
}

/// The one function of legal transitions.
pub fn next(step: u32, from: StepState, event: &Event) -> Result<StepState, Illegal> {
    use StepState as S;
    Ok(match (from, event) {
        // Intent again: the process died between intent and outcome.
        (S::Pending | S::Intent, Event::Start) => S::Intent,
        (S::Intent, Event::Made(_)) => S::Made,
        (S::Intent | S::Made, Event::Finish) => S::Done,
        (S::Intent | S::Made, Event::Fail(_)) => S::Failed,
        (S::Pending, Event::Block(_)) => S::Blocked,
        (S::Pending, Event::Skip(_)) => S::Skipped,
        (S::Failed | S::Blocked | S::Done, Event::Retry) => S::Pending,
        _ => return Err(Illegal { step, from, event: event.clone() }),
    })
}

impl Entry {
    pub fn new(step: u32, at: Timestamp) -> Self {
        Self { step, state: StepState::Pending, new_id: None, why: None, tried: false, at }
    }
    /// The entry after an event.
    pub fn after(&self, event: Event, at: Timestamp) -> Result<Self, Illegal> {
        let state = next(self.step, self.state, &event)?;
        let mut entry = Self { state, at, ..self.clone() };
        match event {
            Event::Start => entry.tried = true,
            Event::Made(id) => entry.new_id = Some(id),
            Event::Fail(why) | Event::Block(why) | Event::Skip(why) => entry.why = Some(why),
            Event::Retry => {
                entry.why = None;
                // What was made before it failed stays made: only its waiting or linking is tried again.
                if entry.new_id.is_some() {
                    entry.state = StepState::Made;
                }
            }
            Event::Finish => entry.why = None,
        }
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every state against every event, written out: a change here is a change of what a crash may leave behind.
    #[test]
    fn only_the_listed_transitions_are_legal() {
        use StepState::*;
        let states = [Pending, Intent, Made, Done, Failed, Blocked, Skipped];
        let events = [
            Event::Start,
            Event::Made("x".into()),
            Event::Finish,
            Event::Fail("w".into()),
            Event::Block("w".into()),
            Event::Skip("w".into()),
            Event::Retry,
        ];
        let legal: Vec<(StepState, usize, StepState)> = vec![
            (Pending, 0, Intent),
            (Pending, 4, Blocked),
            (Pending, 5, Skipped),
            (Intent, 0, Intent),
            (Intent, 1, Made),
            (Intent, 2, Done),
            (Intent, 3, Failed),
            (Made, 2, Done),
            (Made, 3, Failed),
            (Failed, 6, Pending),
            (Blocked, 6, Pending),
            (Done, 6, Pending),
        ];
        for from in states {
            for (i, event) in events.iter().enumerate() {
                let want = legal.iter().find(|(s, e, _)| *s == from && *e == i).map(|(_, _, to)| *to);
                assert_eq!(next(1, from, event).ok(), want, "{from:?} {event:?}");
            }
        }
    }

    #[test]
    fn what_was_made_stays_made_when_a_later_part_is_tried_again() {
        let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut e = Entry::new(1, at);
        for event in [Event::Start, Event::Made("vpc-2".into()), Event::Fail("never ready".into()), Event::Retry] {
            e = e.after(event, at).unwrap();
        }
        assert_eq!((e.state, e.new_id.as_deref(), e.tried, e.why), (StepState::Made, Some("vpc-2"), true, None));
    }
}
