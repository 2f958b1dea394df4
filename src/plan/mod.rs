//! Plans: the ordered steps from what is live to a restore point, and all that cannot be brought back. Pure: a plan is a
//! function of versions, live state and settings.
pub mod budget;
pub mod facts;
