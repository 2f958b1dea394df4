//! The Unix socket: one service, its server, its client.
pub mod api;
