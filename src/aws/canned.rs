//! AWS for unit tests: a connector behind the real SDK client that answers from a closure and keeps what was asked.
use super::{Cx, tap::Tap};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

/// One call: its operation and the parameters of its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub action: String,
    pub params: BTreeMap<String, String>,
}
impl Call {
    pub fn get(&self, name: &str) -> &str {
        self.params.get(name).map(String::as_str).unwrap_or_default()
    }
    /// The call without what every call has, for comparing shapes: `ModifyVpcAttribute VpcId=vpc-1 …`.
    pub fn text(&self) -> String {
        let params = self.params.iter().filter(|(k, _)| !["Action", "Version"].contains(&k.as_str()));
        let params: Vec<_> = params.map(|(k, v)| format!("{k}={v}")).collect();
        format!("{} {}", self.action, params.join(" ")).trim_end().to_owned()
    }
}

/// What comes back.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The body of an EC2 answer, without its envelope.
    Ok(String),
    /// An EC2 error: status, code, message.
    Error(u16, &'static str, &'static str),
    /// Any body with any status.
    Raw(u16, String),
    Timeout,
    /// Nothing listens there.
    Refused,
}
impl From<&str> for Answer {
    fn from(body: &str) -> Self {
        Self::Ok(body.to_owned())
    }
}

type Say = dyn Fn(&Call) -> Answer + Send + Sync;
#[derive(Clone)]
pub struct Canned {
    say: Arc<Say>,
    asked: Arc<Mutex<Vec<Call>>>,
}
impl fmt::Debug for Canned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Canned")
    }
}
impl Canned {
    pub fn new(say: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        Self { say: Arc::new(say), asked: Arc::default() }
    }
    /// Every call so far, and forgets them.
    pub fn asked(&self) -> Vec<Call> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
    /// The writing calls so far, as text.
    pub fn wrote(&self) -> Vec<String> {
        let reads = |c: &Call| ["Describe", "Get", "List", "Search"].iter().any(|r| c.action.starts_with(r));
        self.asked().iter().filter(|c| !reads(c)).map(Call::text).collect()
    }
    pub fn http(&self) -> SharedHttpClient {
        let this = self.clone();
        http_client_fn(move |_, _| SharedHttpConnector::new(this.clone()))
    }
    /// A context whose clients all speak to this. No retries: what fails is seen at once.
    pub fn cx(&self) -> Cx {
        let client = aws_sdk_ec2::Client::from_conf(self.config().build());
        let quotas = super::quotas::client(
            &aws_config::SdkConfig::builder()
                .behavior_version(aws_config::BehaviorVersion::latest())
                .region(aws_config::Region::new("eu-west-1"))
                .credentials_provider(aws_sdk_ec2::config::SharedCredentialsProvider::new(credentials()))
                .http_client(self.http())
                .build(),
        );
        Cx { scope: "aws/111122223333/eu-west-1".parse().unwrap(), ec2: client.clone(), ec2_once: client, quotas }
    }
    pub fn config(&self) -> aws_sdk_ec2::config::Builder {
        use aws_sdk_ec2::config::{BehaviorVersion, Region, retry::RetryConfig};
        aws_sdk_ec2::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(credentials())
            .retry_config(RetryConfig::disabled())
            .interceptor(Tap)
            .http_client(self.http())
    }
}
fn credentials() -> aws_sdk_ec2::config::Credentials {
    aws_sdk_ec2::config::Credentials::new("AKIDEXAMPLE", "secret", None, None, "test")
}
impl HttpConnector for Canned {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let form = std::str::from_utf8(request.body().bytes().unwrap_or_default()).unwrap_or_default().to_owned();
        let params: BTreeMap<_, _> =
            form.split('&').filter_map(|p| p.split_once('=')).map(|(k, v)| (decoded(k), decoded(v))).collect();
        // The JSON protocols say the operation in a header.
        let target = request.headers().get("x-amz-target").and_then(|t| t.rsplit('.').next());
        let action = params.get("Action").map(String::as_str).or(target).unwrap_or_default().to_owned();
        let call = Call { action, params };
        let answer = (self.say)(&call);
        let action = call.action.clone();
        self.asked.lock().unwrap().push(call);
        let response = |status: u16, body: String| {
            HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))))
        };
        match answer {
            Answer::Ok(body) => response(
                200,
                format!(
                    "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>req-1</requestId>{body}</{action}Response>"
                ),
            ),
            Answer::Error(status, code, message) => response(
                status,
                format!(
                    "<?xml version=\"1.0\"?><Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>req-1</RequestID></Response>"
                ),
            ),
            Answer::Raw(status, body) => response(status, body),
            Answer::Timeout => HttpConnectorFuture::ready(Err(ConnectorError::timeout("timed out".into()))),
            Answer::Refused => HttpConnectorFuture::ready(Err(ConnectorError::io("connection refused".into()))),
        }
    }
}

fn decoded(text: &str) -> String {
    let mut out = vec![];
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        match b {
            b'+' => out.push(b' '),
            b'%' => {
                let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                out.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
            }
            b => out.push(b),
        }
    }
    String::from_utf8(out).unwrap()
}
