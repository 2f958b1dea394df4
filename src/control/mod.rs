//! The Unix socket: one service, its server, its client. Without a daemon the same service runs in the command itself,
//! on the store: so every command does the same either way.
pub mod api;
mod client;
mod server;
pub mod service;

pub use client::{Client, NoDaemon};
pub use server::{Server, ServerError};
pub use service::Service;

/// The user of this process, as the audit names people.
pub fn caller() -> String {
    use std::os::unix::fs::MetadataExt;
    match std::fs::metadata("/proc/self") {
        Ok(of_process) => server::name_of(of_process.uid()),
        Err(_) => "unknown user".into(),
    }
}
