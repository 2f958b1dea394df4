//! rollbackd: keeps every version of an AWS environment's configuration, sees what agents destroy, and puts it back.
//!
//! The map, from the bottom up; a module may use only what stands above it here:
//!
//! | module | what |
//! | --- | --- |
//! | [`model`] | the words: resources, versions, records, incidents, instants. Pure |
//! | [`detect`] | from records to incidents: actions, agents, lineage. Pure |
//! | [`plan`] | from live to a restore point, as steps with a digest. Pure |
//! | [`config`] | typed settings; an error points at its line |
//! | [`aws`] | clients per account and region, pacing, error classes |
//! | [`kinds`] | one file a kind of resource |
//! | [`trail`] | where records come from: decoding, the SQS queue |
//!
//! Invariants, tested by `tests/layers.rs`:
//! 1. `model`, `detect`, `plan` know no clock, no disk, no AWS: a plan is a function of versions, live state and settings.
//! 2. Only `store` names sled; only `aws`, `kinds`, `trail`, `respond` name an SDK crate; only `cli` prints.
//! 3. Only `restore` changes a user's resources, and only after a journal entry is on disk.
//! 4. Adding a kind is one file and its lines in the registry.
pub mod aws;
pub mod cli;
pub mod config;
pub mod control;
pub mod detect;
pub mod kinds;
pub mod model;
pub mod plan;
pub mod restore;
pub mod trail;
