//! Who acted: the identity behind a record, the session of its credentials, and whether rules call it an agent.
use super::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// One actor's use of one set of credentials: the access key where the record has one; else the principal and the
/// time its session was made (console and managed MCP calls change keys with every request).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub String);
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The identity of a record, as far as rules and people need it. All text is as CloudTrail wrote it: untrusted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `AssumedRole`, `IAMUser`, `Root`, `AWSService`, …; empty where the record has none.
    #[serde(rename = "type")]
    pub kind: String,
    /// The session's ARN, or the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// `AROA…:session` or `AIDA…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The role behind an assumed-role session, with its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<String>,
    /// The Identity Center user on whose behalf the session acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// A service that made the call for the actor. Never clears an agent (cloudtrail-facts §3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoked_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The key that signed the call, where the record has a whole one. An identifier, not a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<String>,
    /// When the session's credentials were issued (`sessionContext.attributes.creationDate`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,
    /// The sign-in that credentials of `aws login` and of OAuth clients come from: it stays while their keys change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<String>,
    /// The console signed the request, with a key of its own.
    #[serde(default, skip_serializing_if = "is_false")]
    pub from_console: bool,
    /// Only the record that assumed the role has them; `detect::lineage` carries them to the session.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub session_tags: BTreeMap<String, String>,
}
fn is_false(b: &bool) -> bool {
    !b
}
impl Actor {
    /// `AROA…` or `AIDA…` without the session name: survives a role that was made again under the same name.
    pub fn unique_id(&self) -> Option<&str> {
        self.principal_id.as_deref().map(|p| p.split_once(':').map_or(p, |(id, _)| id))
    }
    /// The session name of an assumed role.
    pub fn session_name(&self) -> Option<&str> {
        let (_, name) = self.principal_id.as_deref()?.split_once(':')?;
        Some(name)
    }
}
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who =
            self.arn.as_deref().or(self.principal_id.as_deref()).or(self.invoked_by.as_deref()).unwrap_or("unknown");
        f.pad(who)
    }
}

/// Which rule called an actor an agent, and by which field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The rule's name in the configuration.
    pub rule: String,
    /// The field that matched, such as `role`.
    pub field: String,
    /// What the field held.
    pub value: String,
    /// The session of the lineage to which the rule applied, when it was an ancestor's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited_from: Option<SessionId>,
}
impl Verdict {
    /// Only the user agent spoke, which any client may set: reason to look, not to act alone.
    pub fn is_suspicion(&self) -> bool {
        self.field == "user_agent"
    }
}

/// One session, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub id: SessionId,
    pub actor: Actor,
    /// The session that assumed this one's role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SessionId>,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Verdict>,
}
