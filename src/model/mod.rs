//! The words of rollbackd as types: resources, versions, records, incidents, instants. Pure: no clock, no disk, no AWS.
pub mod actor;
pub mod audit;
pub mod by;
pub mod canon;
pub mod incident;
pub mod key;
pub mod limits;
pub mod point;
pub mod record;
pub mod redact;
pub mod reference;
pub mod sweep;
pub mod version;

pub use actor::{Actor, SessionId};
pub use by::By;
pub use canon::{Hash, canonical};
pub use incident::{Incident, IncidentId, IncidentState};
pub use jiff::Timestamp;
pub use key::{AccountId, KindName, Partition, Region, ResourceKey, Scope};
pub use point::{At, PointName};
pub use record::{EventId, Record};
pub use sweep::Sweep;
pub use version::{Alias, Cause, State, Version};
