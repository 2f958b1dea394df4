//! The sections of the file, one type each, with their defaults. What a setting means is said once more, for people, in
//! `config/rollbackd.toml`; a test keeps the two equal.
use super::values::{self, Globs, QueueUrl, RoleArn, TagText, above_zero, between, unset, zero_or_more};
use crate::model::{AccountId, Region, Scope, limits};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[store]`: how what is known is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// What values are encrypted with. Never empty after loading.
    #[serde(deserialize_with = "values::absolute")]
    pub key_file: PathBuf,
}

/// `[aws]`: where, and as whom.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Aws {
    /// Empty: the one region that the SDK finds (AWS_REGION, profile, instance).
    pub regions: Vec<Region>,
    /// Assumed for one restore and left again. `None`: the credentials of the daemon do it.
    #[serde(with = "unset")]
    pub restore_role: Option<RoleArn>,
    /// Assumed for one round of copies and left again. `None`: the credentials of the daemon make them.
    #[serde(with = "unset")]
    pub copies_role: Option<RoleArn>,
    #[serde(with = "unset")]
    pub external_id: Option<String>,
    /// Of other accounts, one each, to build there what `--into-account` names.
    pub into_roles: Vec<RoleArn>,
}

/// `[capture]`: sweeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capture {
    #[serde(with = "above_zero")]
    pub every: SignedDuration,
    /// Each sweep begins up to this much later.
    #[serde(with = "zero_or_more")]
    pub jitter: SignedDuration,
    pub on_start: bool,
    /// Over the names of kinds; never empty.
    #[serde(deserialize_with = "values::some_globs")]
    pub kinds: Globs,
    #[serde(deserialize_with = "between::<_, 1, 256>")]
    pub parallel: usize,
}
impl Default for Capture {
    fn default() -> Self {
        Self {
            every: SignedDuration::from_mins(15),
            jitter: SignedDuration::from_mins(1),
            on_start: true,
            kinds: Globs::everything(),
            parallel: 8,
        }
    }
}

/// `[[ebs_snapshots]]`: snapshots of tagged volumes on a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EbsSnapshots {
    /// Unique: copies are told apart by it.
    pub tag: TagText,
    #[serde(with = "above_zero")]
    pub every: SignedDuration,
    /// Whole copies of each volume; older ones that rollbackd made are deleted.
    #[serde(deserialize_with = "between::<_, 1, 1000>")]
    pub keep: usize,
}

/// `[[queue]]`: an SQS queue that EventBridge fills.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    pub url: QueueUrl,
    /// `None`: the one in the URL, see `Queue::region`.
    #[serde(default, with = "unset", rename = "region")]
    pub chosen_region: Option<Region>,
}
impl Queue {
    /// The region to sign for: the chosen one, else the one that the URL names (`sqs.eu-west-1.amazonaws.com`; VPC endpoints
    /// have a label before, old addresses none). `None`: the SDK's.
    pub fn region(&self) -> Option<Region> {
        if self.chosen_region.is_some() {
            return self.chosen_region.clone();
        }
        let mut labels = self.url.host().split('.').skip_while(|label| *label != "sqs");
        labels.next()?;
        // A region has a number at its end; `amazonaws` has none.
        labels.next().filter(|label| label.ends_with(|c: char| c.is_ascii_digit()))?.parse().ok()
    }
}

/// `[trail]`: which records are believed, and for how long they are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trail {
    /// Empty: only the account of the credentials.
    pub accounts: Vec<AccountId>,
    #[serde(with = "above_zero")]
    pub records_kept: SignedDuration,
    /// No record for this long is an alarm.
    #[serde(with = "above_zero")]
    pub silence: SignedDuration,
    /// Over names of what rollbackd sees and acts with.
    pub own: Globs,
}
impl Default for Trail {
    fn default() -> Self {
        Self {
            accounts: vec![],
            records_kept: SignedDuration::from_hours(90 * 24),
            silence: SignedDuration::from_hours(6),
            own: Globs::new(vec!["rollbackd*".into()]).expect("it is a pattern"),
        }
    }
}

/// `[detect]`: what makes one incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Detect {
    /// An incident closes when its sessions destroyed nothing for this long.
    #[serde(with = "above_zero")]
    pub quiet: SignedDuration,
}
impl Default for Detect {
    fn default() -> Self {
        Self { quiet: SignedDuration::from_mins(30) }
    }
}

/// What happens once a plan is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Report only.
    Observe,
    /// Wait for `rollbackd approve`.
    Approve,
    /// Begin after the grace period, unless somebody says `rollbackd halt`.
    Auto,
}

/// `[[policy]]`: what may be done in an environment. Ordered; the first that fits decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Unique; decisions refer to it.
    pub name: String,
    /// Empty: every account.
    pub accounts: Vec<AccountId>,
    /// Empty: every region.
    pub regions: Globs,
    pub mode: Mode,
    /// Between the plan and an automatic restore.
    #[serde(with = "zero_or_more")]
    pub grace: SignedDuration,
    /// An automatic restore of more resources than this waits for approval instead.
    #[serde(deserialize_with = "between::<_, 1, { limits::PLAN_STEPS_MAX }>")]
    pub resources_max: usize,
    /// What an agent adds to things that exist opens an incident by itself.
    pub open_on_add: bool,
    /// An automatic restore may bring content back from copies that were at most this old when the incident began, and
    /// give up memory. Zero: whatever loses anything waits for approval.
    #[serde(with = "zero_or_more")]
    pub data_age_max: SignedDuration,
    #[serde(with = "above_zero")]
    pub approval_expires: SignedDuration,
}
impl Policy {
    /// The name of the policy that decides where no other fits.
    pub const FALLBACK: &'static str = "default";
    /// The policy where no other fits: wait for approval.
    pub fn fallback() -> Self {
        Self { name: Self::FALLBACK.into(), ..Self::default() }
    }
    /// It decides for this account and region.
    pub fn fits(&self, scope: &Scope) -> bool {
        (self.accounts.is_empty() || self.accounts.contains(&scope.account))
            && (self.regions.is_empty() || self.regions.is_match(scope.region.as_str()))
    }
}
impl Default for Policy {
    /// Without a name: a name must be given.
    fn default() -> Self {
        Self {
            name: String::new(),
            accounts: vec![],
            regions: Globs::default(),
            mode: Mode::Approve,
            grace: SignedDuration::from_mins(5),
            resources_max: 200,
            open_on_add: false,
            data_age_max: SignedDuration::ZERO,
            approval_expires: SignedDuration::from_hours(24),
        }
    }
}

/// `[restore]`: how a plan is carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Restore {
    /// A restore point takes versions whose read ended this long before it (record times are whole seconds, of other
    /// clocks).
    #[serde(with = "zero_or_more")]
    pub margin: SignedDuration,
    #[serde(deserialize_with = "between::<_, 1, 256>")]
    pub parallel: usize,
    #[serde(with = "above_zero")]
    pub step_deadline: SignedDuration,
    /// Try the writing calls with `DryRun` before the first real one.
    pub check_permissions: bool,
}
impl Default for Restore {
    fn default() -> Self {
        Self {
            margin: SignedDuration::from_secs(2),
            parallel: 16,
            step_deadline: SignedDuration::from_mins(15),
            check_permissions: true,
        }
    }
}

/// `[control]`: the socket over which commands reach the daemon.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    /// Never empty after loading.
    #[serde(deserialize_with = "values::absolute")]
    pub socket: PathBuf,
    #[serde(with = "unset")]
    pub group: Option<String>,
    /// systemd runs this process as the service.
    #[serde(skip)]
    pub(super) service: bool,
}

/// Who may open the socket, beside its owner and root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    Nobody,
    /// The group that the process runs as.
    OwnGroup,
    Group(String),
}
impl Control {
    /// The group that is configured; as a service the unit's own group, which exists for this; else nobody, because the
    /// primary group of a person is often everybody's.
    pub fn access(&self) -> Access {
        match &self.group {
            Some(group) => Access::Group(group.clone()),
            None if self.service => Access::OwnGroup,
            None => Access::Nobody,
        }
    }
}
