//! An HTTP proxy in front of the emulator: it tells what passed, plays CloudTrail for it, and plays tricks.
//!
//! What is lost, delayed or refused here is so for clients of the proxy only. Clients of the emulator itself see the truth,
//! which is how a test prepares and judges.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::emulator::{Credentials, sdk_config};
use crate::record;
use crate::xml::{self, Node};

const SETTLE_WAIT_S_MAX: u64 = 60;

/// Where the trail goes: a queue in the emulator, and the keys to send to it.
#[derive(Clone, Debug)]
pub struct TrailConfig {
    pub queue_url: String,
    pub credentials: Credentials,
    pub account: String,
    pub region: String,
}

/// How an envelope lies in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wrap {
    #[default]
    Plain,
    /// As SNS delivers it to a queue without raw delivery.
    Sns,
}

/// The order in which held envelopes are let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Forward,
    Reverse,
}

/// Who stands behind an access key.
#[derive(Clone, Debug)]
pub enum Identity {
    User {
        account: String,
        name: String,
    },
    Root {
        account: String,
    },
    Role(RoleSession),
    /// A `userIdentity` written as it is; the access key is added.
    Custom(Value),
}

/// A session of a role, as an `AssumeRole` that passes the proxy makes it.
#[derive(Clone, Debug)]
pub struct RoleSession {
    pub account: String,
    /// The whole ARN of the role, with its path.
    pub role_arn: String,
    pub role_id: String,
    pub session: String,
    pub source_identity: Option<String>,
    pub created: Timestamp,
}

impl Identity {
    pub fn user(account: &str, name: &str) -> Identity {
        Identity::User { account: account.into(), name: name.into() }
    }

    pub fn root(account: &str) -> Identity {
        Identity::Root { account: account.into() }
    }

    /// A session that no `AssumeRole` of the trail tells of.
    pub fn role(account: &str, role: &str, session: &str) -> Identity {
        let role_arn = format!("arn:aws:iam::{account}:role/{role}");
        Identity::Role(RoleSession {
            account: account.into(),
            role_id: format!("AROA{:016X}0", stable(&role_arn)),
            role_arn,
            session: session.into(),
            source_identity: None,
            created: now(),
        })
    }

    /// The `userIdentity` element of a record.
    pub fn element(&self, access_key: &str) -> Value {
        match self {
            Identity::User { account, name } => json!({
                "type": "IAMUser",
                "principalId": format!("AIDA{:016X}0", stable(&format!("{account}/{name}"))),
                "arn": format!("arn:aws:iam::{account}:user/{name}"),
                "accountId": account,
                "accessKeyId": access_key,
                "userName": name,
            }),
            Identity::Root { account } => json!({
                "type": "Root",
                "principalId": account,
                "arn": format!("arn:aws:iam::{account}:root"),
                "accountId": account,
                "accessKeyId": access_key,
            }),
            Identity::Role(of) => {
                let name = of.role_arn.rsplit('/').next().unwrap_or_default();
                let mut session = json!({
                    "sessionIssuer": {
                        "type": "Role",
                        "principalId": of.role_id,
                        "arn": of.role_arn,
                        "accountId": of.account,
                        "userName": name,
                    },
                    "webIdFederationData": {},
                    "attributes": { "creationDate": of.created.to_string(), "mfaAuthenticated": "false" },
                });
                if let Some(source) = &of.source_identity {
                    session["sourceIdentity"] = json!(source);
                }
                json!({
                    "type": "AssumedRole",
                    "principalId": format!("{}:{}", of.role_id, of.session),
                    "arn": format!("arn:aws:sts::{}:assumed-role/{name}/{}", of.account, of.session),
                    "accountId": of.account,
                    "accessKeyId": access_key,
                    "sessionContext": session,
                })
            }
            Identity::Custom(element) => {
                let mut element = element.clone();
                if element.get("accessKeyId").is_none() {
                    element["accessKeyId"] = json!(access_key);
                }
                element
            }
        }
    }
}

/// A call that passed, or was refused or lost, in the order of arrival.
#[derive(Clone, Debug)]
pub struct Call {
    pub time: Timestamp,
    /// When the client had its answer; none while it waits, and where the answer was lost.
    pub ended: Option<Timestamp>,
    pub access_key: String,
    pub region: String,
    pub service: String,
    pub operation: String,
}

/// Counts one call that stands still, for as long as it does: its caller may be killed and take it along.
struct Standing<'a>(&'a watch::Sender<usize>);
impl<'a> Standing<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|n| *n += 1);
        Self(count)
    }
}
impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n -= 1);
    }
}

/// Where a frozen call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The emulator has not seen it.
    Before,
    /// The emulator has carried it out; nobody has seen the answer.
    After,
}

#[derive(Debug)]
struct Freeze {
    operation: String,
    /// Calls that pass first.
    left: usize,
    moment: Moment,
}

#[derive(Clone, Debug)]
struct Fault {
    operation: String,
    times: usize,
    code: String,
    status: u16,
}

#[derive(Debug, Default)]
struct State {
    latency: Duration,
    shape: Wrap,
    faults: Vec<Fault>,
    freezes: Vec<Freeze>,
    /// Why the trail broke.
    broken: Option<String>,
    lost: HashMap<String, usize>,
    /// Operation → how many describes show what it made as not ready.
    pending: HashMap<String, usize>,
    /// Resource → the operation that made it pending, and how many describes still show that.
    unready: HashMap<String, (String, usize)>,
    /// Operation → (member, element, text): what its answers say beside a member.
    extras: HashMap<String, (String, String, String)>,
    identities: HashMap<String, Identity>,
    calls: Vec<Call>,
    holding: bool,
    held: Vec<Value>,
    envelopes: Vec<Value>,
}

struct Inner {
    upstream: SocketAddr,
    trail: Option<TrailConfig>,
    state: Mutex<State>,
    outbox: mpsc::UnboundedSender<Value>,
    /// Envelopes made but not yet in the queue; held ones do not count.
    unsent: watch::Sender<usize>,
    /// Calls that stand still now.
    frozen: watch::Sender<usize>,
    /// Counts the thaws.
    thaws: watch::Sender<u64>,
}

/// A running proxy. It stops taking connections when it is dropped.
pub struct Proxy {
    inner: Arc<Inner>,
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

/// A proxy that is not started yet. Everything but the trail can also be set while it runs.
pub struct ProxyBuilder {
    upstream: SocketAddr,
    trail: Option<TrailConfig>,
    state: State,
}

impl ProxyBuilder {
    /// Each call waits this long before it is forwarded.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.state.latency = latency;
        self
    }

    /// Every call that changes something, and every AssumeRole, is reported to this queue.
    pub fn trail(mut self, trail: TrailConfig) -> Self {
        self.trail = Some(trail);
        self
    }

    pub fn shape(mut self, shape: Wrap) -> Self {
        self.state.shape = shape;
        self
    }

    pub fn identity(mut self, access_key: &str, identity: Identity) -> Self {
        self.state.identities.insert(access_key.into(), identity);
        self
    }

    /// As [`Proxy::pending`].
    pub fn pending(mut self, operation: &str, describes: usize) -> Self {
        self.state.pending.insert(operation.into(), describes);
        self
    }

    /// As [`Proxy::fail`].
    pub fn fail(mut self, operation: &str, times: usize, code: &str, status: u16) -> Self {
        self.state.faults.push(Fault { operation: operation.into(), times, code: code.into(), status });
        self
    }

    /// As [`Proxy::lose_answer`].
    pub fn lose_answer(mut self, operation: &str, times: usize) -> Self {
        self.state.lost.insert(operation.into(), times);
        self
    }

    pub async fn start(self) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (outbox, inbox) = mpsc::unbounded_channel();
        let (unsent, _) = watch::channel(0);
        let inner = Arc::new(Inner {
            upstream: self.upstream,
            trail: self.trail,
            state: Mutex::new(self.state),
            outbox,
            unsent,
            frozen: watch::channel(0).0,
            thaws: watch::channel(0).0,
        });
        let tasks =
            vec![tokio::spawn(serve(Arc::clone(&inner), listener)), tokio::spawn(deliver(Arc::clone(&inner), inbox))];
        Proxy { inner, address, tasks }
    }
}

impl Proxy {
    /// A proxy to the emulator at `endpoint`, such as `http://127.0.0.1:5000`.
    pub fn to(endpoint: &str) -> ProxyBuilder {
        let upstream = endpoint.trim_start_matches("http://").parse();
        let upstream = upstream.unwrap_or_else(|problem| panic!("the endpoint {endpoint}: {problem}"));
        ProxyBuilder { upstream, trail: None, state: State::default() }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set_latency(&self, latency: Duration) {
        self.inner.state().latency = latency;
    }

    /// Says who uses an access key. Those that an AssumeRole through this proxy gave out are known already; unknown ones
    /// appear as the IAM user `setup`.
    pub fn identity(&self, access_key: &str, identity: Identity) {
        self.inner.state().identities.insert(access_key.into(), identity);
    }

    /// After `operation`, the first `describes` answers that show what it made (or, for a delete, removed) show it as not
    /// there yet: `pending` for `available`, `deleting` for `deleted`. It is known for CreateNatGateway, DeleteNatGateway,
    /// CreateVpc and CreateSubnet.
    pub fn pending(&self, operation: &str, describes: usize) {
        self.inner.state().pending.insert(operation.into(), describes);
    }

    /// From now on each item of an answer to `describe` that has a `member` also has this `element`: what AWS will say one day
    /// and nobody knows yet.
    pub fn say_also(&self, describe: &str, member: &str, element: &str, text: &str) {
        let extra = (member.to_owned(), element.to_owned(), text.to_owned());
        self.inner.state().extras.insert(describe.to_owned(), extra);
    }

    /// The next `times` calls of `operation` are answered with this error and do not reach the emulator. A dry run is an
    /// operation of its own here: `CreateVpc?DryRun`.
    pub fn fail(&self, operation: &str, times: usize, code: &str, status: u16) {
        let fault = Fault { operation: operation.into(), times, code: code.into(), status };
        self.inner.state().faults.push(fault);
    }

    /// The next `times` calls of `operation` are carried out, but the connection ends before the answer.
    pub fn lose_answer(&self, operation: &str, times: usize) {
        self.inner.state().lost.insert(operation.into(), times);
    }

    /// The call number `nth` (from 0, from now on) of `operation` stands still at `moment` until [`Proxy::thaw`]: the instant
    /// to kill its caller. `*` is any call that changes something in EC2.
    pub fn freeze(&self, operation: &str, nth: usize, moment: Moment) {
        self.inner.state().freezes.push(Freeze { operation: operation.into(), left: nth, moment });
    }

    /// Waits until a call stands still.
    pub async fn frozen(&self, deadline: Duration) {
        let mut frozen = self.inner.frozen.subscribe();
        let wait = tokio::time::timeout(deadline, frozen.wait_for(|count| *count > 0));
        let done = wait.await.is_ok_and(|frozen| frozen.is_ok());
        assert!(done, "no call stands still after {deadline:?}; the last ones: {:?}", self.last_calls());
    }

    /// Lets all calls that stand still go on.
    pub fn thaw(&self) {
        self.inner.thaws.send_modify(|count| *count += 1);
    }

    fn last_calls(&self) -> Vec<String> {
        self.inner.state().calls.iter().rev().take(5).map(|call| call.operation.clone()).collect()
    }

    /// The calls so far, in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.inner.state().calls.clone()
    }

    /// How often `operation` was called.
    pub fn count(&self, operation: &str) -> usize {
        self.inner.state().calls.iter().filter(|call| call.operation == operation).count()
    }

    /// From now on envelopes are made but kept back.
    pub fn hold(&self) {
        self.inner.state().holding = true;
    }

    /// Lets go what was kept back, each envelope `copies` times.
    pub fn release(&self, order: Order, copies: usize) {
        let held = {
            let mut state = self.inner.state();
            state.holding = false;
            std::mem::take(&mut state.held)
        };
        let ordered: Vec<Value> = match order {
            Order::Forward => held,
            Order::Reverse => held.into_iter().rev().collect(),
        };
        for envelope in ordered {
            (0..copies).for_each(|_| self.inner.post(envelope.clone()));
        }
    }

    /// Forgets what was kept back: these events are never delivered.
    pub fn discard(&self) {
        let mut state = self.inner.state();
        state.holding = false;
        state.held.clear();
    }

    /// The envelopes sent so far, copies included.
    pub fn envelopes(&self) -> Vec<Value> {
        self.inner.state().envelopes.clone()
    }

    /// Sends an envelope that no call stands behind.
    pub fn send(&self, envelope: Value) {
        assert!(self.inner.trail.is_some(), "this proxy has no trail");
        self.inner.post(envelope);
    }

    /// Waits until every envelope that is not held is in the queue.
    pub async fn settled(&self) {
        let mut unsent = self.inner.unsent.subscribe();
        let wait = tokio::time::timeout(Duration::from_secs(SETTLE_WAIT_S_MAX), unsent.wait_for(|count| *count == 0));
        let done = wait.await.is_ok_and(|settled| settled.is_ok());
        assert!(done, "envelopes still on their way after {SETTLE_WAIT_S_MAX} s: {}", *self.inner.unsent.borrow());
        let broken = self.inner.state().broken.clone();
        assert!(broken.is_none(), "the trail broke: {}", broken.unwrap_or_default());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn post(&self, envelope: Value) {
        // Without a receiver the proxy is gone or has no trail, and nobody waits for this envelope.
        self.unsent.send_modify(|count| *count += 1);
        if self.outbox.send(envelope).is_err() {
            self.unsent.send_modify(|count| *count -= 1);
        }
    }

    async fn stand_still(&self, asked: &Asked, moment: Moment) {
        let hit = {
            let mut state = self.state();
            let any = asked.service == "ec2" && record::mutating(&asked.service, &asked.operation);
            let any = any && asked.trick == asked.operation;
            let mut hit = None;
            for (at, freeze) in state.freezes.iter_mut().enumerate() {
                let named = freeze.operation == asked.trick || (freeze.operation == "*" && any);
                match (named && freeze.moment == moment, freeze.left) {
                    (true, 0) => hit = hit.or(Some(at)),
                    (true, _) => freeze.left -= 1,
                    (false, _) => {}
                }
            }
            hit.map(|at| state.freezes.remove(at)).is_some()
        };
        if hit {
            let mut thaws = self.thaws.subscribe();
            let seen = *thaws.borrow_and_update();
            let _standing = Standing::new(&self.frozen);
            // An error means that the proxy is gone, and with it the caller's connection.
            thaws.wait_for(|count| *count > seen).await.ok();
        }
    }
}

async fn serve(inner: Arc<Inner>, listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let inner = Arc::clone(&inner);
        tokio::spawn(async move {
            stream.set_nodelay(true).ok();
            let service = hyper::service::service_fn(|request| handle(Arc::clone(&inner), request));
            // It ends with an error when an answer is lost on purpose, and when a client goes away.
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}

async fn deliver(inner: Arc<Inner>, mut inbox: mpsc::UnboundedReceiver<Value>) {
    let Some(trail) = &inner.trail else { return };
    let endpoint = format!("http://{}", inner.upstream);
    let client = aws_sdk_sqs::Client::new(&sdk_config(&trail.credentials, &trail.region, &endpoint));
    while let Some(envelope) = inbox.recv().await {
        let shape = inner.state().shape;
        let body = match shape {
            Wrap::Plain => envelope.to_string(),
            Wrap::Sns => json!({
                "Type": "Notification",
                "MessageId": uuid(),
                "TopicArn": format!("arn:aws:sns:{}:{}:trail", trail.region, trail.account),
                "Message": envelope.to_string(),
                "Timestamp": Timestamp::now().to_string(),
                "SignatureVersion": "1",
                "Signature": "kit",
                "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/kit.pem",
                "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
            })
            .to_string(),
        };
        let sent = client.send_message().queue_url(&trail.queue_url).message_body(body).send().await;
        match sent {
            Ok(_) => inner.state().envelopes.push(envelope),
            Err(problem) => inner.state().broken = Some(format!("send to {}: {problem:?}", trail.queue_url)),
        }
        inner.unsent.send_modify(|count| *count -= 1);
    }
}

/// What of a request the proxy needs to know.
struct Asked {
    /// The operation as tricks and counts know it: a dry run is `CreateVpc?DryRun`, and changes nothing.
    trick: String,
    access_key: String,
    region: String,
    service: String,
    operation: String,
    pairs: Vec<(String, String)>,
    user_agent: String,
}

type Answer = Response<Full<Bytes>>;

async fn handle(inner: Arc<Inner>, request: Request<Incoming>) -> Result<Answer, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let asked = read(&head, &body);
    let (number, latency, fault) = {
        let mut state = inner.state();
        state.calls.push(Call {
            time: Timestamp::now(),
            ended: None,
            access_key: asked.access_key.clone(),
            region: asked.region.clone(),
            service: asked.service.clone(),
            operation: asked.trick.clone(),
        });
        let fault = state.faults.iter_mut().find(|fault| fault.times > 0 && fault.operation == asked.trick);
        let fault = fault.map(|fault| {
            fault.times -= 1;
            fault.clone()
        });
        (state.calls.len() - 1, state.latency, fault)
    };
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    inner.stand_still(&asked, Moment::Before).await;
    let (head, body) = match fault {
        Some(fault) => refuse(&asked, &fault),
        None => forward(&inner, head, body).await?,
    };
    let body = observe(&inner, &asked, head.status, body);
    inner.stand_still(&asked, Moment::After).await;
    let lost = {
        let mut state = inner.state();
        let left = state.lost.get_mut(&asked.trick).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    };
    if lost {
        return Err(std::io::Error::other("this answer is lost on purpose"));
    }
    inner.state().calls[number].ended = Some(Timestamp::now());
    let mut answer = Response::from_parts(head, Full::new(body));
    for name in [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
        answer.headers_mut().remove(name);
    }
    Ok(answer)
}

fn read(head: &hyper::http::request::Parts, body: &Bytes) -> Asked {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let scope = header(AUTHORIZATION.as_str()).split("Credential=").nth(1).unwrap_or_default();
    let scope: Vec<&str> = scope.split(',').next().unwrap_or_default().split('/').collect();
    let scoped = |at: usize| scope.get(at).copied().unwrap_or_default().to_owned();
    let target = header("x-amz-target");
    let text = std::str::from_utf8(body).unwrap_or_default();
    let pairs = if target.is_empty() { form(text) } else { Vec::new() };
    let action = pairs.iter().find(|(name, _)| name == "Action").map(|(_, value)| value.as_str());
    let operation = action.unwrap_or_else(|| target.rsplit('.').next().unwrap_or_default());
    let dry_run = pairs.iter().any(|(name, value)| name == "DryRun" && value == "true");
    Asked {
        trick: if dry_run { format!("{operation}?DryRun") } else { operation.to_owned() },
        access_key: scoped(0),
        region: scoped(2),
        service: scoped(3),
        operation: operation.to_owned(),
        user_agent: header(USER_AGENT.as_str()).to_owned(),
        pairs,
    }
}

fn form(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let bytes = text.as_bytes();
        let mut out = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let escaped = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
            match (bytes[at], escaped) {
                (b'%', Some(byte)) => {
                    out.push(byte);
                    at += 2;
                }
                (b'+', _) => out.push(b' '),
                (byte, _) => out.push(byte),
            }
            at += 1;
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (decode(name), decode(value))).collect()
}

async fn forward(
    inner: &Inner,
    head: hyper::http::request::Parts,
    body: Bytes,
) -> Result<(hyper::http::response::Parts, Bytes), std::io::Error> {
    // The emulator closes each connection after one answer, so there is nothing to keep.
    let stream = TcpStream::connect(inner.upstream).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
    tokio::spawn(connection);
    let mut request = Request::from_parts(head, Full::new(body));
    for name in [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
        request.headers_mut().remove(name);
    }
    let answer = sender.send_request(request).await.map_err(std::io::Error::other)?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    Ok((head, body))
}

fn refuse(asked: &Asked, fault: &Fault) -> (hyper::http::response::Parts, Bytes) {
    let message = "This answer was set up by the test.";
    let (kind, body) = match asked.service.as_str() {
        "ec2" => (
            "text/xml",
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Errors><Error><Code>{}</Code><Message>{message}</Message></Error></Errors><RequestID>{}</RequestID></Response>",
                fault.code,
                uuid()
            ),
        ),
        "sts" | "iam" => (
            "text/xml",
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>{message}</Message></Error><RequestId>{}</RequestId></ErrorResponse>",
                fault.code,
                uuid()
            ),
        ),
        _ => ("application/x-amz-json-1.0", json!({ "__type": fault.code, "message": message }).to_string()),
    };
    let status = StatusCode::from_u16(fault.status).expect("a status between 100 and 999");
    let answer = Response::builder().status(status).header(CONTENT_TYPE, kind).body(()).expect("a plain head");
    (answer.into_parts().0, Bytes::from(body))
}

/// Takes from an answer what the trail and later answers need, and returns it as the client shall see it.
fn observe(inner: &Inner, asked: &Asked, status: StatusCode, body: Bytes) -> Bytes {
    let Some(mut root) = std::str::from_utf8(&body).ok().and_then(xml::parse) else {
        report(inner, asked, status, &Node::default());
        return body;
    };
    report(inner, asked, status, &root);
    let mut state = inner.state();
    if asked.operation == "AssumeRole" && status.is_success() {
        learn(&mut state, asked, &root);
    }
    if let (true, Some((id, ..))) = (status.is_success(), unready_rule(&asked.operation)) {
        let describes = state.pending.get(&asked.operation).copied().unwrap_or_default();
        let made = root.find_text(id).map(str::to_owned);
        let made =
            made.or_else(|| asked.pairs.iter().find(|(name, _)| name.eq_ignore_ascii_case(id)).map(|p| p.1.clone()));
        if let (true, Some(made)) = (describes > 0, made) {
            state.unready.insert(made, (asked.operation.clone(), describes));
        }
    }
    let extra = state.extras.get(&asked.operation).cloned();
    if !asked.operation.starts_with("Describe") || (state.unready.is_empty() && extra.is_none()) {
        return body;
    }
    let mut changed = false;
    root.for_each_mut(&mut |node| {
        changed |= show_unready(&mut state.unready, &asked.operation, node);
        if let Some((member, element, text)) = &extra
            && node.name == "item"
            && node.child(member).is_some()
        {
            node.children.push(Node { name: element.clone(), text: text.clone(), ..Node::default() });
            changed = true;
        }
    });
    if !changed {
        return body;
    }
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    root.write(&mut text);
    Bytes::from(text)
}

/// Of an operation: the element that names its resource, the describe that shows it, its state once done, and before.
fn unready_rule(operation: &str) -> Option<(&'static str, &'static str, &'static str, &'static str)> {
    match operation {
        "CreateNatGateway" => Some(("natGatewayId", "DescribeNatGateways", "available", "pending")),
        "DeleteNatGateway" => Some(("natGatewayId", "DescribeNatGateways", "deleted", "deleting")),
        "CreateVpc" => Some(("vpcId", "DescribeVpcs", "available", "pending")),
        "CreateSubnet" => Some(("subnetId", "DescribeSubnets", "available", "pending")),
        _ => None,
    }
}

fn show_unready(unready: &mut HashMap<String, (String, usize)>, describe: &str, node: &mut Node) -> bool {
    if node.name != "item" {
        return false;
    }
    let of = unready.iter_mut().find_map(|(id, (operation, left))| {
        let (element, wanted, done, before) = unready_rule(operation)?;
        let named = node.child(element).is_some_and(|child| child.text == *id);
        (named && wanted == describe && *left > 0).then_some((left, done, before))
    });
    let Some((left, done, before)) = of else { return false };
    let Some(state) = node.children.iter_mut().find(|child| child.name == "state" && child.text == done) else {
        return false;
    };
    state.text = before.to_owned();
    *left -= 1;
    true
}

fn parameter<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.pairs.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
}

/// Remembers who is behind the credentials that an AssumeRole gave out.
fn learn(state: &mut State, asked: &Asked, root: &Node) {
    let (Some(key), Some(id), Some(role_arn)) =
        (root.find_text("AccessKeyId"), root.find_text("AssumedRoleId"), parameter(asked, "RoleArn"))
    else {
        return;
    };
    let (role_id, session) = id.split_once(':').unwrap_or((id, ""));
    let inherited = match state.identities.get(&asked.access_key) {
        Some(Identity::Role(caller)) => caller.source_identity.clone(),
        _ => None,
    };
    let identity = Identity::Role(RoleSession {
        account: role_arn.split(':').nth(4).unwrap_or_default().to_owned(),
        role_arn: role_arn.to_owned(),
        role_id: role_id.to_owned(),
        session: session.to_owned(),
        source_identity: parameter(asked, "SourceIdentity").map(str::to_owned).or(inherited),
        created: now(),
    });
    state.identities.insert(key.to_owned(), identity);
}

/// Makes the envelope of a call and sends or holds it.
fn report(inner: &Inner, asked: &Asked, status: StatusCode, root: &Node) {
    let Some(trail) = &inner.trail else { return };
    if asked.operation.is_empty() || !record::mutating(&asked.service, &asked.operation) {
        return;
    }
    let time = now().to_string();
    let identity = inner.state().identities.get(&asked.access_key).cloned();
    let identity = identity.unwrap_or_else(|| Identity::user(&trail.account, "setup"));
    let region = if asked.region.is_empty() { &trail.region } else { &asked.region };
    let request_id = root.find_text("requestId").or_else(|| root.find_text("RequestId")).unwrap_or_default();
    let request_id = if request_id.len() < 36 { uuid() } else { request_id.to_owned() };
    let assume = asked.operation.starts_with("AssumeRole");
    let mut detail = json!({
        "eventVersion": "1.11",
        "userIdentity": identity.element(&asked.access_key),
        "eventTime": time,
        "eventSource": format!("{}.amazonaws.com", asked.service),
        "eventName": asked.operation,
        "awsRegion": region,
        "sourceIPAddress": "198.51.100.7",
        "userAgent": asked.user_agent,
        "requestParameters": record::request(&asked.service, &asked.operation, &asked.pairs),
        "responseElements": null,
        "requestID": request_id,
        "eventID": uuid(),
        "readOnly": assume,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": trail.account,
        "eventCategory": "Management",
        "tlsDetails": {
            "tlsVersion": "TLSv1.3",
            "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": format!("{}.{region}.amazonaws.com", asked.service),
        },
    });
    if status.is_success() {
        let mut elements = record::response(&asked.service, &asked.operation, root);
        if assume {
            finish_assume(asked, &mut elements);
            let role = parameter(asked, "RoleArn").unwrap_or_default();
            let account = role.split(':').nth(4).unwrap_or_default();
            detail["resources"] = json!([{ "accountId": account, "type": "AWS::IAM::Role", "ARN": role }]);
        }
        detail["responseElements"] = elements;
    } else {
        let code = root.find_text("Code").unwrap_or("InternalError");
        let side = if status.is_server_error() && code != "RequestLimitExceeded" { "Server" } else { "Client" };
        let code = if asked.service == "ec2" { format!("{side}.{code}") } else { code.to_owned() };
        detail["errorCode"] = json!(code);
        detail["errorMessage"] = json!(root.find_text("Message").unwrap_or_default());
    }
    let envelope = json!({
        "version": "0",
        "id": uuid(),
        "detail-type": "AWS API Call via CloudTrail",
        "source": format!("aws.{}", asked.service),
        "account": trail.account,
        "time": time,
        "region": region,
        "resources": [],
        "detail": detail,
    });
    let mut state = inner.state();
    if state.holding {
        state.held.push(envelope);
    } else {
        drop(state);
        inner.post(envelope);
    }
}

/// CloudTrail writes the expiry of credentials as people do, and the source identity with the answer.
fn finish_assume(asked: &Asked, elements: &mut Value) {
    let written = elements["credentials"]["expiration"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    if let Some(expiry) = written {
        elements["credentials"]["expiration"] = json!(expiry.strftime("%b %-d, %Y, %-I:%M:%S %p").to_string());
    }
    if let Some(source) = parameter(asked, "SourceIdentity") {
        elements["sourceIdentity"] = json!(source);
    }
}

/// CloudTrail counts in whole seconds.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn stable(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn uuid() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let half = || {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(COUNT.fetch_add(1, Ordering::Relaxed));
        hasher.finish()
    };
    let (high, low) = (half(), half());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}
