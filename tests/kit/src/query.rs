//! Calls of EC2 written as a line: for tests that make one of everything, where typed calls would be most of the test.
//!
//! A line is `Action Name=value …`, in the names of EC2's query protocol; `var=element Action …` keeps the text of the first
//! element of that name in the answer, and `$var` stands for it in later lines. `@type` gives what is made the tags Name=one
//! and env=prod. Values hold no spaces. A call goes on over lines that begin with a `Name=value` or a tag.

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::emulator::Credentials;
use crate::xml::{self, Node};

/// Who calls, where, and what the lines so far have kept.
pub struct Script {
    address: String,
    credentials: Credentials,
    region: String,
    pub vars: BTreeMap<String, String>,
}

impl Script {
    pub fn new(credentials: &Credentials, region: &str, endpoint: &str) -> Script {
        let address = endpoint.trim_start_matches("http://").to_owned();
        Script { address, credentials: credentials.clone(), region: region.to_owned(), vars: BTreeMap::new() }
    }

    /// Runs each call. Panics, naming it, when AWS refuses it.
    pub async fn run(&mut self, lines: &str) {
        let mut calls: Vec<String> = Vec::new();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let first = line.split_whitespace().next().unwrap_or_default();
            let goes_on = first.starts_with('@') || (first.contains('=') && kept(line).is_none());
            match calls.last_mut().filter(|_| goes_on) {
                Some(call) => *call = format!("{call} {line}"),
                None => calls.push(line.to_owned()),
            }
        }
        for line in &calls {
            let (code, answer) = self.call(line).await;
            assert!(code.is_none(), "{line}: {}", code.unwrap_or_default());
            if let Some((var, element)) = kept(line) {
                let text = answer.find_text(element).unwrap_or_else(|| panic!("{line}: no {element} in the answer"));
                self.vars.insert(var.to_owned(), text.to_owned());
            }
        }
    }

    /// The error code that AWS answers a line with, if it is one.
    pub async fn refusal(&mut self, line: &str) -> Option<String> {
        self.call(line).await.0
    }

    async fn call(&self, line: &str) -> (Option<String>, Node) {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        let action = if kept(line).is_some() { words.next().unwrap_or_default() } else { first };
        let mut body = format!("Version=2016-11-15&Action={action}");
        for word in words {
            if let Some(kind) = word.strip_prefix('@') {
                let tags = "Tag.1.Key=Name&Tag.1.Value=one&Tag.2.Key=env&Tag.2.Value=prod";
                body.push_str(&format!("&TagSpecification.1.ResourceType={kind}"));
                tags.split('&').for_each(|tag| body.push_str(&format!("&TagSpecification.1.{tag}")));
                continue;
            }
            let (name, value) = word.split_once('=').unwrap_or_else(|| panic!("{line}: {word} has no value"));
            let value = match value.strip_prefix('$').filter(|var| !var.starts_with('{')) {
                Some(var) => self.vars.get(var).unwrap_or_else(|| panic!("{line}: nothing is kept as {var}")),
                None => value,
            };
            body.push_str(&format!("&{name}={}", escaped(value)));
        }
        let scope = format!("20260101/{}/ec2/aws4_request", self.region);
        let mut request = Request::post("/")
            .header(HOST, &self.address)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("x-amz-date", "20260101T000000Z")
            // The emulator reads who calls from this and checks no signature.
            .header(
                AUTHORIZATION,
                format!(
                    "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders=host;x-amz-date, Signature=kit",
                    self.credentials.access_key
                ),
            );
        if !self.credentials.session_token.is_empty() {
            request = request.header("x-amz-security-token", &self.credentials.session_token);
        }
        let request = request.body(Full::new(Bytes::from(body))).expect("a plain request");
        let stream = TcpStream::connect(&self.address).await.expect("the emulator answers");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("the emulator speaks HTTP");
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.unwrap_or_else(|problem| panic!("{line}: {problem}"));
        let good = answer.status().is_success();
        let text = answer.into_body().collect().await.expect("a whole answer").to_bytes();
        let text = String::from_utf8_lossy(&text);
        let root = xml::parse(&text).unwrap_or_else(|| panic!("{line}: no XML: {text}"));
        let said = |name| root.find_text(name).unwrap_or_default();
        ((!good).then(|| format!("{}: {}", said("Code"), said("Message"))), root)
    }
}

/// What a line keeps of its answer: the name, which begins with a small letter, and the element.
fn kept(line: &str) -> Option<(&str, &str)> {
    line.split_whitespace().next()?.split_once('=').filter(|(var, _)| var.starts_with(|c: char| c.is_ascii_lowercase()))
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
