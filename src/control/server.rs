//! The server's side of the socket: one route, peers told apart by the kernel, replies as lines of JSON.
use super::{
    Service,
    api::{Fault, Frame, Request},
};
use crate::config::{Access, Control};
use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, DefaultBodyLimit, State, connect_info::Connected, rejection::JsonRejection},
    response::{IntoResponse, Response},
    routing::post,
    serve::IncomingStream,
};
use bytes::Bytes;
use futures_util::stream;
use std::{
    convert::Infallible,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tokio::{net::UnixListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

/// A request is a command: nobody types more than this.
const REQUEST_BYTES_MAX: usize = 256 << 10;

/// Why the socket does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot listen on {path}: {source}; choose another with `control.socket`")]
    Listen { path: PathBuf, source: io::Error },
    #[error("another daemon answers on {0}; stop that one, or give this one another `control.socket`")]
    Taken(PathBuf),
    #[error("cannot give {path} to group `{group}`: {why}; create the group, or change `control.group`")]
    Group { path: PathBuf, group: String, why: String },
}

/// The process at the other end, as the kernel says.
#[derive(Debug, Clone)]
struct Peer {
    uid: Option<u32>,
}
impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { uid: stream.io().peer_cred().ok().map(|c| c.uid()) }
    }
}

/// A socket that listens.
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}
impl Server {
    /// Listens, for the owner and, where the settings say so, a group. A socket that nobody answers on is left over from a
    /// crash and is replaced.
    pub async fn bind(settings: &Control) -> Result<Self, ServerError> {
        let path = settings.socket.clone();
        let failed = |source| ServerError::Listen { path: path.clone(), source };
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(failed)?;
        }
        if path.exists() {
            if tokio::net::UnixStream::connect(&path).await.is_ok() {
                return Err(ServerError::Taken(path));
            }
            std::fs::remove_file(&path).map_err(failed)?;
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        let mode = if settings.access() == Access::Nobody { 0o600 } else { 0o660 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
        if let Access::Group(group) = settings.access() {
            give_to_group(&path, &group)?;
        }
        Ok(Self { listener, path })
    }

    /// Answers until told to stop; replies under way end first.
    pub async fn run(self, service: Service, stop: CancellationToken) -> io::Result<()> {
        let app = Router::new()
            .route("/v1/call", post(call))
            .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
            .with_state(service);
        let served = axum::serve(self.listener, app.into_make_service_with_connect_info::<Peer>())
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await;
        // Gone already when another daemon took the path; then it is not ours to remove.
        let _ = std::fs::remove_file(&self.path);
        served
    }
}

fn give_to_group(path: &Path, group: &str) -> Result<(), ServerError> {
    let failed = |why: String| ServerError::Group { path: path.to_owned(), group: group.to_owned(), why };
    let table = std::fs::read_to_string("/etc/group").map_err(|e| failed(e.to_string()))?;
    let gid = table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == group).then(|| fields.nth(1)?.parse::<u32>().ok()).flatten()
        })
        .next()
        .ok_or_else(|| failed("there is no such group".into()))?;
    std::os::unix::fs::chown(path, None, Some(gid)).map_err(|e| failed(e.to_string()))
}

async fn call(
    State(service): State<Service>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Result<Json<Request>, JsonRejection>,
) -> Response {
    let (frames, lines) = mpsc::unbounded_channel::<Bytes>();
    match request {
        Err(e) => {
            let fault = Fault::usage(format!(
                "the daemon does not understand the request: {}; are command and daemon of the same version?",
                e.body_text()
            ));
            let _ = frames.send(line(&Frame::Fault(fault)));
        }
        Ok(Json(request)) => {
            let who = peer.uid.map_or("unknown peer".to_owned(), name_of);
            tokio::spawn(async move {
                let (progress, mut steps) = mpsc::unbounded_channel();
                let forward = async {
                    while let Some(p) = steps.recv().await {
                        // A caller that left does not stop what it started.
                        let _ = frames.send(line(&Frame::Progress(p)));
                    }
                };
                let work = async {
                    let result = service.call(request, &who, &progress).await;
                    drop(progress);
                    result
                };
                let (result, ()) = tokio::join!(work, forward);
                let _ = frames.send(line(&result.map_or_else(Frame::Fault, Frame::Answer)));
            });
        }
    }
    let body =
        stream::unfold(lines, |mut lines| async move { Some((Ok::<_, Infallible>(lines.recv().await?), lines)) });
    ([("content-type", "application/x-ndjson")], Body::from_stream(body)).into_response()
}

fn line(frame: &Frame) -> Bytes {
    let mut text = serde_json::to_vec(frame).unwrap_or_else(|e| {
        // Maps with keys that are no text cannot be written; no answer has one.
        format!(
            r#"{{"fault":{{"kind":"failed","message":"the answer cannot be written: {}"}}}}"#,
            e.to_string().replace('"', "'")
        )
        .into_bytes()
    });
    text.push(b'\n');
    text.into()
}

/// `root (uid 0)`: the name from the host's own table, where it has one.
pub(super) fn name_of(uid: u32) -> String {
    let table = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    match name {
        Some(name) => format!("{name} (uid {uid})"),
        None => format!("uid {uid}"),
    }
}
