//! The seam to the service: where requests are sent, and what runs in its place. The only file of `cli` that knows
//! whether a daemon answers or this process does.
use super::Global;
use crate::{
    control::api::{Answer, Fault, Request},
    restore::Progress,
};

/// Who answers: the daemon over its socket, or the service in this process.
#[derive(Debug)]
pub struct Backend {}
impl Backend {
    /// The daemon of the configured socket, when one runs; else the store and AWS from here.
    pub async fn open(_global: &Global) -> Result<Self, Fault> {
        Ok(Self {})
    }
}

/// Sends one request and waits for its answer; `progress` hears of each step meanwhile.
pub async fn call(_backend: &mut Backend, request: Request, _progress: impl FnMut(&Progress)) -> Result<Answer, Fault> {
    Err(Fault::failed(format!("not wired yet: {request:?}")))
}

/// `rollbackd run`: until a signal ends it.
pub async fn daemon(_global: &Global) -> Result<u8, Fault> {
    Err(Fault::failed("not wired yet: the daemon"))
}
