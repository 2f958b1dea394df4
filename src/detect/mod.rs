//! From records to incidents: what a call did, who is behind it, which calls belong together. Pure: no clock, no disk, no
//! AWS; records come in any order, some of them several times, and the answer is the same.
//!
//! | module | what |
//! | --- | --- |
//! | [`catalogue`] | which calls destroy or add, and where their records name the target |
//! | [`actions`] | one record: its class, its targets, what it made, what it mentions |
//! | [`signs`] | calls that warn of a fatal one, calls that blind rollbackd |
//! | [`actor`] | rules that call an actor an agent |
//! | [`lineage`] | which session a record belongs to, and which session that one came from |
//! | [`incident`] | all of it together: the state that is fed records and gives incidents |
//! | [`explain`] | what was made of each record, and why: for people |
pub mod actions;
pub mod actor;
pub mod catalogue;
pub mod explain;
pub mod incident;
pub mod lineage;
pub mod signs;
