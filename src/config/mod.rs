//! The configuration: typed settings that all have defaults, so that no file is a valid file.
//!
//! A file is TOML, checked as a whole while it is read: an unknown key, a wrong form, a pattern that does not compile is an
//! error that points at its place, and nothing of the file is used. `config/rollbackd.toml` documents every setting.
//! What the defaults take from around the process (`Environment`) is resolved here, once: after `load` every setting has the
//! value that counts, and `show` prints that.
mod environment;
mod error;
mod sections;
mod values;

pub use environment::Environment;
pub use error::{ConfigError, Fault};
pub use sections::{Access, Aws, Capture, Control, Detect, EbsSnapshots, Mode, Policy, Queue, Restore, Store, Trail};
pub use values::{Globs, QueueUrl, RoleArn, TagText};

use crate::{
    detect::{
        actor::{BadRule, Rule, Rules, default_rules},
        incident::State as Detection,
        signs::Own,
    },
    model::Scope,
};
use error::{member_of, span_of};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

/// More than this is no configuration.
const FILE_BYTES_MAX: usize = 1 << 20;
/// `sun_path` of a Unix socket's address is 108 bytes on Linux, with the zero at its end (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// All settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Never empty after loading.
    #[serde(deserialize_with = "values::absolute")]
    pub state_directory: PathBuf,
    pub store: Store,
    pub aws: Aws,
    pub capture: Capture,
    pub ebs_snapshots: Vec<EbsSnapshots>,
    #[serde(rename = "queue")]
    pub queues: Vec<Queue>,
    pub trail: Trail,
    pub detect: Detect,
    #[serde(rename = "agent")]
    pub agents: Vec<Rule>,
    #[serde(rename = "policy")]
    pub policies: Vec<Policy>,
    pub restore: Restore,
    pub control: Control,
}

/// The defaults before anything is taken from around the process: state directory and socket are still open.
impl Default for Config {
    fn default() -> Self {
        Self {
            state_directory: PathBuf::new(),
            store: Store::default(),
            aws: Aws::default(),
            capture: Capture::default(),
            ebs_snapshots: vec![],
            queues: vec![],
            trail: Trail::default(),
            detect: Detect::default(),
            agents: default_rules(),
            policies: vec![],
            restore: Restore::default(),
            control: Control::default(),
        }
    }
}

impl Config {
    /// The settings of the file that is named, else of the one that `locate` finds, else the defaults.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        Self::load_in(path, &Environment::of_process())
    }

    /// The same in an environment of the caller's.
    pub fn load_in(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        match Self::locate(path, environment) {
            Some(path) => Self::parse(&read(&path)?, &path, environment),
            None => Self::default().resolved(environment),
        }
    }

    /// The file that `load_in` reads: the one that is named, else `$CONFIGURATION_DIRECTORY/rollbackd.toml`, else
    /// `/etc/rollbackd/rollbackd.toml`, whichever is there. `None`: the defaults hold.
    pub fn locate(path: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
        path.map(Path::to_owned).or_else(|| environment.file())
    }

    /// The settings of a text. `file` is only named in errors.
    pub fn parse(text: &str, file: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)
            .map_err(|e| ConfigError::Invalid(Box::new(Fault::from_toml(file.to_owned(), text, &e))))?;
        if let Some((place, what)) = config.contradiction() {
            let span = span_of(text, place.table, place.index, place.key);
            let span = place.member.map_or(span.clone(), |member| member_of(text, span, &member));
            let key = match place.index {
                Some(index) => format!("{}[{index}].{}", place.table, place.key),
                None => format!("{}.{}", place.table, place.key),
            };
            return Err(ConfigError::Invalid(Box::new(Fault::at(file.to_owned(), text, span, key, what))));
        }
        config.resolved(environment)
    }

    /// What each setting's own form cannot tell: the first thing that does not fit with the rest.
    fn contradiction(&self) -> Option<(Place, String)> {
        let any_role = self.aws.restore_role.is_some() || self.aws.copies_role.is_some();
        if self.aws.external_id.is_some() && !any_role && self.aws.into_roles.is_empty() {
            let what =
                "an external id is for assuming a role, and no `restore_role` nor `into_roles` is set".to_owned();
            return Some((Place::new("aws", None, "external_id"), what));
        }
        for (i, role) in self.aws.into_roles.iter().enumerate() {
            if self.aws.into_roles.iter().take(i).any(|r| r.account() == role.account()) {
                let what = format!("account {} has two roles; give one of them", role.account());
                return Some((Place::new("aws", None, "into_roles"), what));
            }
        }
        for (i, queue) in self.queues.iter().enumerate() {
            if self.queues.iter().take(i).any(|q| q.url == queue.url) {
                let what = format!("`{}` is there twice", queue.url);
                return Some((Place::new("queue", Some(i), "url"), what));
            }
        }
        for (i, rule) in self.ebs_snapshots.iter().enumerate() {
            if self.ebs_snapshots.iter().take(i).any(|r| r.tag == rule.tag) {
                let what = format!("`{}` is there twice; copies are told apart by it", rule.tag);
                return Some((Place::new("ebs_snapshots", Some(i), "tag"), what));
            }
        }
        if let Err(bad) = Rules::new(&self.agents, &[]) {
            return Some((self.place_of(&bad), bad.to_string()));
        }
        for (i, policy) in self.policies.iter().enumerate() {
            let what = if policy.name.is_empty() {
                "a policy needs a name; decisions refer to it".to_owned()
            } else if policy.name == Policy::FALLBACK {
                format!("`{}` is the name of the policy that holds where no other fits; choose another", policy.name)
            } else if self.policies.iter().take(i).any(|p| p.name == policy.name) {
                format!("two policies are named `{}`; decisions refer to them by name", policy.name)
            } else {
                continue;
            };
            return Some((Place::new("policy", Some(i), "name"), what));
        }
        None
    }

    fn place_of(&self, bad: &BadRule) -> Place {
        let first = |name: &String| self.agents.iter().position(|r| r.name == *name);
        let last = |name: &String| self.agents.iter().rposition(|r| r.name == *name);
        let (index, key) = match bad {
            BadRule::Pattern { rule, field, .. } => (first(rule), *field),
            BadRule::Empty { rule } => (first(rule), "name"),
            BadRule::Unnamed { number } => (number.checked_sub(1), "name"),
            BadRule::Twice { rule } => (last(rule), "name"),
        };
        let member = match bad {
            BadRule::Pattern { pattern, .. } => Some(pattern.clone()),
            _ => None,
        };
        Place { member, ..Place::new("agent", index.or(Some(0)), key) }
    }

    /// With all that was left open taken from the environment.
    fn resolved(mut self, environment: &Environment) -> Result<Self, ConfigError> {
        let chosen = !self.state_directory.as_os_str().is_empty();
        if !chosen {
            self.state_directory = environment.state()?;
        }
        if self.store.key_file.as_os_str().is_empty() {
            self.store.key_file = environment.key_file(&self.state_directory);
        }
        if self.control.socket.as_os_str().is_empty() {
            self.control.socket = environment.socket(&self.state_directory, chosen);
        }
        if self.control.socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            return Err(ConfigError::SocketPathTooLong { path: self.control.socket, bytes_max: SOCKET_PATH_BYTES_MAX });
        }
        self.control.service = environment.runtime_directory.is_some();
        Ok(self)
    }

    /// The effective settings as a file that gives them again. No setting is a secret.
    pub fn show(&self) -> String {
        toml::to_string_pretty(self)
            .expect("settings are text, numbers, flags, lists and tables, all of which TOML has")
    }

    /// The policy that decides for an account and region: the first that fits, else the fallback.
    pub fn policy(&self, scope: &Scope) -> Cow<'_, Policy> {
        match self.policies.iter().find(|p| p.fits(scope)) {
            Some(policy) => Cow::Borrowed(policy),
            None => Cow::Owned(Policy::fallback()),
        }
    }

    /// Patterns over what rollbackd sees and acts with: what is configured, its queues, the roles that it
    /// assumes.
    pub fn own(&self) -> Vec<String> {
        let mut own = self.trail.own.as_texts().to_vec();
        own.extend(self.queues.iter().filter_map(|q| q.url.as_str().rsplit('/').next()).map(str::to_owned));
        own.extend(self.roles().filter_map(|arn| arn.rsplit('/').next()).map(str::to_owned));
        own
    }
    /// The roles that rollbackd assumes.
    fn roles(&self) -> impl Iterator<Item = &str> {
        let one_each = [&self.aws.restore_role, &self.aws.copies_role].into_iter().flatten();
        one_each.chain(&self.aws.into_roles).map(RoleArn::as_str)
    }

    /// Detection by these settings. `us`: the ARN of the session that this process runs in, once it is known. rollbackd
    /// itself is never an agent: the roles that it assumes, and the very session that it runs in, not others of the same
    /// role, which an agent may have too.
    pub fn detection(&self, us: Option<&str>) -> Result<Detection, BadRule> {
        let mut own: Vec<String> = self.roles().map(str::to_owned).collect();
        own.extend(us.map(str::to_owned));
        let mut things = self.own();
        // `…:assumed-role/NAME/SESSION`, `…:user/PATH/NAME`
        let name = |arn: &str| match arn.contains(":assumed-role/") {
            true => arn.split('/').nth(1).map(str::to_owned),
            false => arn.rsplit_once('/').map(|(_, name)| name.to_owned()),
        };
        things.extend(us.and_then(name));
        Ok(Detection::new(Rules::new(&self.agents, &own)?, self.detect.quiet).watching(Own::new(&things)?))
    }

    /// Settings that differ and that a running daemon cannot take up: a restart is needed for them.
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let mut names = vec![];
        if self.state_directory != new.state_directory {
            names.push("state_directory");
        }
        // The key that lies beside the store moves with it.
        if self.store != new.store && self.state_directory == new.state_directory {
            names.push("store");
        }
        if self.control != new.control {
            names.push("control");
        }
        names
    }
}

/// Where in a file something stands.
struct Place {
    table: &'static str,
    index: Option<usize>,
    key: &'static str,
    /// The member, where the value is a list.
    member: Option<String>,
}
impl Place {
    fn new(table: &'static str, index: Option<usize>, key: &'static str) -> Self {
        Self { table, index, key, member: None }
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let mut text = String::new();
    let mut bytes = File::open(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?
        .take(FILE_BYTES_MAX as u64 + 1);
    bytes.read_to_string(&mut text).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    if text.len() > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned(), bytes_max: FILE_BYTES_MAX });
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
