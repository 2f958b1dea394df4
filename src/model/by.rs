//! Who asked for something, and why: for the audit chain.
use serde::{Deserialize, Serialize};
use std::fmt;

/// A person at the command line or the socket, or a policy of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct By {
    /// `root (uid 0)`, `policy production`, …
    pub who: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
impl By {
    /// The rule of the configuration that decided.
    pub fn policy(name: &str) -> Self {
        Self { who: format!("policy {name}"), reason: None }
    }
    pub fn is_policy(&self) -> bool {
        self.who.starts_with("policy ")
    }
}
impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "{}: {reason}", self.who),
            None => f.pad(&self.who),
        }
    }
}
