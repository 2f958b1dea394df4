//! Where records come from. A source decodes what it receives, hands it to a sink, and acknowledges it only after the sink
//! has it on disk; then it rings a bell. It decides nothing: what a record means is `detect`'s business.
//!
//! Deliveries repeat, overlap between sources and come in any order; the event id is the same in all of them.
//!
//! | module | what |
//! | --- | --- |
//! | [`decode`] | any transport's bytes → records in normal form; what cannot be read is kept, never dropped |
//! | [`queue`] | EventBridge → SQS: seconds late, best effort |
//! | [`file`] | a file that a person hands over |
pub mod decode;
pub mod file;
pub mod queue;

use crate::model::Timestamp;
use jiff::SignedDuration;

/// How a source is doing, for people and for the alarm that silence is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Last time that the source answered, with or without records.
    pub last_poll: Option<Timestamp>,
    /// Last time that it had something for us.
    pub last_message: Option<Timestamp>,
    /// How long after its event the newest record of the last delivery reached us.
    pub lag: Option<SignedDuration>,
    /// What is wrong now, with what to do about it; `None` once it works again.
    pub error: Option<String>,
    /// Since the start: records handed on, messages that could not be read, that were none of ours, that are no records.
    pub records: u64,
    pub unreadable: u64,
    pub foreign: u64,
    pub ignored: u64,
}
