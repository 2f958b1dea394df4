//! Limits on all that comes from outside, with their units. A limit that is hit is an error that gives its number.

/// The longest resource id (ARNs included).
pub const ID_BYTES_MAX: usize = 2048;
/// An SQS message is at most 1 MiB (Amazon SQS quotas); CloudTrail records over 256 KB never reach EventBridge.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// How deep a record's JSON may nest: the deepest known is 11.
pub const RECORD_DEPTH_MAX: usize = 64;
/// Targets taken from one record; batch calls name up to 1000.
pub const RECORD_TARGETS_MAX: usize = 1000;
/// One value of the store, before it is cut into chunks.
pub const VALUE_BYTES_MAX: usize = 16 << 20;
/// How far up the chain of assumed roles a session is followed.
pub const LINEAGE_DEPTH_MAX: usize = 32;
/// Resources in one plan.
pub const PLAN_STEPS_MAX: usize = 20_000;
/// One text of a record (user agent, request id, session name): CloudTrail cuts these at 1 KB.
pub const RECORD_TEXT_BYTES_MAX: usize = 2048;
/// A record's event id: a UUID of 36 characters in every transport.
pub const EVENT_ID_BYTES_MAX: usize = 128;
/// Session tags taken from one record: STS allows 50.
pub const SESSION_TAGS_MAX: usize = 64;
/// Calls kept in memory for lineage that may still arrive; past it, half of those by nobody we suspect are let go.
pub const ACTS_KEPT_MAX: usize = 200_000;
