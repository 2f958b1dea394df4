//! rollbackd: keeps every version of an AWS environment's configuration, sees what agents destroy, and puts it back.
//!
//! The map, from the bottom up; a module may use only what stands above it here:
//!
//! | module | what |
//! | --- | --- |
//! | [`model`] | the words: resources, versions, records, incidents, instants. Pure |
//! | [`detect`] | who acted, whether that was an agent, what it destroyed, which acts belong together. Pure |
//! | [`config`] | the settings, typed |
//! | [`plan`] | from live to a restore point, as steps with a digest. Pure |
//! | [`aws`] | clients per account and region, pacing, error classes |
//! | [`store`] | sled behind domain methods, with barrier, envelope and scrub |
//! | [`audit`] | the hash-chained record of what was done |
//! | [`kinds`] | one file a kind of resource |
//! | [`trail`] | CloudTrail records in |
//! | [`capture`] | sweeps and targeted reads into the store |
//! | [`restore`] | plans executed, with a journal, and read back |
//! | [`respond`] | policy, approval, the reconciler |
//! | [`control`] | the Unix socket: one service, its server, its client |
//! | [`daemon`] | the task tree, signals, systemd |
//! | [`cli`] | one file a command, and the only printer |
//!
//! Invariants, tested by `tests/layers.rs`:
//! 1. `model`, `detect`, `plan` know no clock, no disk, no AWS: a plan is a function of versions, live state and settings.
//! 2. Only `store` names sled; only `aws`, `kinds`, `trail`, `respond` name an SDK crate; only `cli` prints.
//! 3. Only `restore`, and the copies of data of `capture` that the settings ask for, change a user's resources, and only
//!    after an entry of the journal, or of the audit, is on disk.
//! 4. Adding a kind is one file and its lines in the registry.
pub mod audit;
pub mod aws;
pub mod capture;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod detect;
pub mod kinds;
pub mod model;
pub mod plan;
pub mod respond;
pub mod restore;
pub mod store;
pub mod trail;

#[cfg(test)]
mod testing;
