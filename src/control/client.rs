//! The command's side of the socket.
use super::api::{Answer, Fault, Frame, Request};
use crate::restore::Progress;
use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, header};
use hyper_util::rt::TokioIo;
use std::{
    io,
    path::{Path, PathBuf},
};
use tokio::net::UnixStream;

/// No daemon answers on the socket.
#[derive(Debug, thiserror::Error)]
pub enum NoDaemon {
    /// Nobody listens there: the command does the work itself.
    #[error("no daemon listens on {}", .0.display())]
    Absent(PathBuf),
    #[error("{} is there, but this user may not open it: {source}; join its group, or run the command as root", path.display())]
    Denied { path: PathBuf, source: io::Error },
}

/// A connection to a daemon.
pub struct Client {
    sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
}
impl Client {
    pub async fn connect(path: &Path) -> Result<Self, NoDaemon> {
        let stream = UnixStream::connect(path).await.map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => NoDaemon::Denied { path: path.to_owned(), source },
            _ => NoDaemon::Absent(path.to_owned()),
        })?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|_| NoDaemon::Absent(path.to_owned()))?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends a request; progress is told as it comes.
    pub async fn call(&mut self, request: &Request, mut progress: impl FnMut(&Progress)) -> Result<Answer, Fault> {
        let broken = |e: &dyn std::fmt::Display| {
            Fault::failed(format!(
                "the daemon broke off: {e}; `rollbackd status` shows whether it runs, and what it did is in `rollbackd audit`"
            ))
        };
        let body = serde_json::to_vec(request).map_err(Fault::failed)?;
        let request = hyper::Request::post("/v1/call")
            .header(header::HOST, "rollbackd")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(Fault::failed)?;
        self.sender.ready().await.map_err(|e| broken(&e))?;
        let reply = self.sender.send_request(request).await.map_err(|e| broken(&e))?;
        let mut body = reply.into_body();
        let mut pending: Vec<u8> = vec![];
        let mut answer = None;
        // To its very end: a reply that is left half read closes the connection.
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|e| broken(&e))?.into_data() else { continue };
            pending.extend_from_slice(&data);
            while let Some(end) = pending.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                match serde_json::from_slice(&line).map_err(|e| other_version(&e))? {
                    Frame::Progress(p) => progress(&p),
                    Frame::Answer(a) => answer = Some(Ok(a)),
                    Frame::Fault(fault) => answer = Some(Err(fault)),
                }
            }
        }
        answer.unwrap_or_else(|| Err(broken(&"no answer came")))
    }
}

fn other_version(e: &serde_json::Error) -> Fault {
    Fault::failed(format!("the daemon's answer is not understood: {e}; are command and daemon of the same version?"))
}
