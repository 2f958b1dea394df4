//! The Unix socket: one service, its server, its client. Without a daemon the same service runs in the command itself,
//! on the store: so every command does the same either way.
pub mod api;
mod client;
mod server;
pub mod service;

pub use client::{Client, NoDaemon};
pub use server::{Server, ServerError};
pub use service::Service;
