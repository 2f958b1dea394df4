//! What rollbackd's tests and demo run against: an emulator of AWS, a trail of what is done to it, an environment to lose, and
//! the program itself as a process.
//!
//! Test support panics where a product returns an error: a test that cannot be set up has failed. Every wait is for a condition
//! and has a deadline. It must never use rollbackd's own code to judge rollbackd.

pub mod daemon;
pub mod emulator;
pub mod environment;
pub mod estate;
pub mod fleet;
pub mod proxy;
pub mod query;
mod record;
pub mod workload;
mod xml;

pub use daemon::{Daemon, Signal, aws_env, until};
pub use emulator::{Credentials, Emulator, assume, sdk_config};
pub use environment::{Counts, Environment};
pub use estate::Estate;
pub use proxy::{Identity, Moment, Order, Proxy, TrailConfig, Wrap};
pub use query::Script;
pub use workload::Workload;
