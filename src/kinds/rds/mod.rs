//! Kinds of Amazon RDS, and what they share: names as ids, tags by ARN, the look for what an earlier attempt made.
//!
//! A resource of RDS is known by the name that it was given, so what is made again has its old id. No create call takes a
//! client token (H64); the name stands in for one: a create that is refused because the name is taken has succeeded before
//! if the one that has the name carries this step's tag.
use super::{
    Kind, Settled, Step, Which,
    ec2::tag_changes,
    mirror::{FromSdk, Members, Misfit, Named, Plain, Stamp, Tag as _, Tags, is_users_tag},
};
use crate::{
    aws::{Class, Cx, Failure},
    model::{Hash, KindName, Timestamp},
    plan::readiness::{Copy, Cost, DataSource, Ready},
};
use aws_sdk_rds::{primitives::DateTime, types as sdk};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use std::time::Duration;

pub use super::ec2::{READS_AT_ONCE, all, already, failed, found, gone_already, unbuildable};

pub mod db_cluster;
pub mod db_cluster_endpoint;
pub mod db_cluster_parameter_group;
pub mod db_cluster_snapshot;
pub mod db_instance;
pub mod db_parameter_group;
pub mod db_proxy;
pub mod db_proxy_endpoint;
pub mod db_snapshot;
pub mod db_subnet_group;
pub mod event_subscription;
pub mod global_cluster;
pub mod option_group;

crate::tag!(aws_sdk_rds::types::Tag);

/// Rows of one page of a describe call: the most that RDS allows (Amazon RDS API, "MaxRecords").
pub const PAGE_ROWS: i32 = 100;
/// Tags that one resource can have (Amazon RDS, "Tagging Amazon RDS resources").
const TAGS_MAX: usize = 50;
/// Parameters of one call that changes a parameter group (Amazon RDS API, ModifyDBParameterGroup).
pub const PARAMETERS_MAX: usize = 20;

/// The one that is asked for by its name, where that narrows the call. Most describe calls of RDS take no list of names, and
/// an account holds some pages of each kind at most: several are taken from the whole list.
pub fn one(which: Which<'_>) -> Option<String> {
    match which {
        Which::Ids([id]) => Some(id.clone()),
        _ => None,
    }
}
pub fn is_asked(which: Which<'_>, id: &str) -> bool {
    match which {
        Which::All => true,
        Which::Ids(ids) => ids.iter().any(|i| i == id),
    }
}

/// Completes each row by calls of its own, some at a time. A row that went meanwhile is left out.
pub async fn each<T, S, F>(rows: Vec<T>, complete: impl Fn(T) -> F) -> Result<Vec<S>, Failure>
where
    F: Future<Output = Result<S, Failure>> + Send,
    S: Send,
{
    let reads: Vec<F> = rows.into_iter().map(complete).collect();
    let all = stream::iter(reads).buffered(READS_AT_ONCE).map(found);
    Ok(all.try_collect::<Vec<Option<S>>>().await?.into_iter().flatten().collect())
}

/// The ARN of a resource by RDS's word for its type, such as `subgrp` (Amazon RDS, "Working with ARNs").
pub fn arn(cx: &Cx, word: &str, id: &str) -> String {
    let s = &cx.scope;
    format!("arn:{}:rds:{}:{}:{word}:{id}", s.partition, s.region, s.account)
}
/// RDS's word for a kind in ARNs; nothing for what its ARN names otherwise.
fn word(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "rds:db-cluster" => "cluster",
        "rds:db-cluster-endpoint" => "cluster-endpoint",
        "rds:db-cluster-parameter-group" => "cluster-pg",
        "rds:db-cluster-snapshot" => "cluster-snapshot",
        "rds:db-instance" => "db",
        "rds:db-parameter-group" => "pg",
        "rds:db-snapshot" => "snapshot",
        "rds:db-subnet-group" => "subgrp",
        "rds:event-subscription" => "es",
        "rds:option-group" => "og",
        _ => return None,
    })
}

async fn all_tags(cx: &Cx, arn: &str) -> Result<Vec<sdk::Tag>, Failure> {
    let answer = cx.rds.list_tags_for_resource().resource_name(arn).send().await;
    Ok(answer.map_err(failed("rds:ListTagsForResource"))?.tag_list.unwrap_or_default())
}
/// The user's tags of a kind whose describe call tells none.
pub async fn tags<K: Kind>(cx: &Cx, id: &str) -> Result<Tags, Failure> {
    let Some(word) = word(K::Name::NAME) else { return Ok(Tags::default()) };
    Ok(Tags::from_sdk(&all_tags(cx, &arn(cx, word, id)).await?))
}

/// Tags to set as the resource is made: the spec's and the step's (H1, H64). With all 50 taken by the spec, one of them is
/// left for `converge_tags`, which takes the step's place.
pub fn tags_on_create(tags: &Tags, step: &Step) -> Vec<sdk::Tag> {
    let users = tags.0.iter().filter(|(k, _)| is_users_tag(k)).take(TAGS_MAX - 1);
    let own = (Step::TAG.to_owned(), step.tag());
    users.chain([(&own.0, &own.1)]).filter_map(|(k, v)| sdk::Tag::make(k, v).ok()).collect()
}

/// What came of a create call: also made where the name is taken by what an earlier attempt of this step made (H64).
pub async fn made<K: Kind, T>(cx: &Cx, id: &str, step: &Step, answer: Result<T, Failure>) -> Result<String, Failure> {
    let arn = async { Ok(word(K::Name::NAME).map(|word| arn(cx, word, id))) };
    made_at(cx, arn, id, step, answer).await
}
/// The same where the ARN does not hold the name: `arn` looks for it.
pub async fn made_at<T>(
    cx: &Cx,
    arn: impl Future<Output = Result<Option<String>, Failure>>,
    id: &str,
    step: &Step,
    answer: Result<T, Failure>,
) -> Result<String, Failure> {
    let failure = match answer {
        Ok(_) => return Ok(id.to_owned()),
        Err(f) if f.class == Class::Exists => f,
        Err(f) => return Err(f),
    };
    let Some(arn) = arn.await? else { return Err(failure) };
    let there = found(all_tags(cx, &arn).await)?.unwrap_or_default();
    if there.iter().any(|t| t.key() == Some(Step::TAG) && t.value() == Some(step.tag().as_str())) {
        return Ok(id.to_owned());
    }
    Err(failure)
}

/// Brings the user's tags from `now` to `want`: at most one call that removes and one that adds.
pub async fn converge_tags<K: Kind>(cx: &Cx, id: &str, now: &Tags, want: &Tags) -> Result<(), Failure> {
    match word(K::Name::NAME) {
        Some(word) => converge_tags_at(cx, arn(cx, word, id), now, want).await,
        None => Ok(()),
    }
}
pub async fn converge_tags_at(cx: &Cx, arn: String, now: &Tags, want: &Tags) -> Result<(), Failure> {
    let (set, unset) = tag_changes(now, want);
    if !unset.is_empty() {
        let keys = unset.into_iter().map(str::to_owned).collect();
        let call = cx.rds.remove_tags_from_resource().resource_name(&arn).set_tag_keys(Some(keys));
        call.send().await.map_err(failed("rds:RemoveTagsFromResource"))?;
    }
    if !set.is_empty() {
        let tags = set.into_iter().filter_map(|(k, v)| sdk::Tag::make(k, v).ok()).collect();
        let call = cx.rds.add_tags_to_resource().resource_name(&arn).set_tags(Some(tags));
        call.send().await.map_err(failed("rds:AddTagsToResource"))?;
    }
    Ok(())
}
/// The calls of `converge_tags`, for `Kind::calls`.
pub fn tag_calls(now: &Tags, want: &Tags) -> Vec<&'static str> {
    let (set, unset) = tag_changes(now, want);
    let calls = [(!unset.is_empty(), "rds:RemoveTagsFromResource"), (!set.is_empty(), "rds:AddTagsToResource")];
    calls.into_iter().filter(|(sent, _)| *sent).map(|(_, call)| call).collect()
}

/// Takes the step's tag off what a restore made. What is gone meanwhile is passed over.
pub async fn untag_step(cx: &Cx, kind: &KindName, id: &str) -> Result<(), Failure> {
    let arn = match (word(kind.as_str()), kind.as_str()) {
        (Some(word), _) => Some(arn(cx, word, id)),
        (None, "rds:db-proxy") => db_proxy::arn(cx, id).await?,
        (None, "rds:db-proxy-endpoint") => db_proxy_endpoint::arn(cx, id).await?,
        (None, "rds:global-cluster") => Some(global_cluster::arn(cx, id)),
        (None, _) => None,
    };
    let Some(arn) = arn else { return Ok(()) };
    let call = cx.rds.remove_tags_from_resource().resource_name(arn).tag_keys(Step::TAG);
    gone_already(call.send().await.map_err(failed("rds:RemoveTagsFromResource")))
}

/// The attribute of a snapshot that says which accounts may restore it, or `all`.
pub const SHARED_TO_RESTORE: &str = "restore";
/// What is there and not wanted, and what is wanted and not there.
pub fn apart<'a, T: PartialEq>(now: &'a [T], want: &'a [T]) -> (Vec<&'a T>, Vec<&'a T>) {
    let without = |a: &'a [T], b: &[T]| a.iter().filter(|v| !b.contains(v)).collect();
    (without(now, want), without(want, now))
}
fn some(values: Vec<&String>) -> Option<Vec<String>> {
    (!values.is_empty()).then(|| values.into_iter().cloned().collect())
}
/// The values of the attribute to add and to remove.
pub fn sharing(now: &[String], want: &[String]) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let (remove, add) = apart(now, want);
    (some(add), some(remove))
}
/// The logs to send to CloudWatch from now on, and those to send no more.
pub fn log_exports(now: &[String], want: &[String]) -> Option<sdk::CloudwatchLogsExportConfiguration> {
    let (disable, enable) = apart(now, want);
    let said = !disable.is_empty() || !enable.is_empty();
    let exports = sdk::CloudwatchLogsExportConfiguration::builder();
    said.then(|| exports.set_enable_log_types(some(enable)).set_disable_log_types(some(disable)).build())
}
/// Why a password that RDS manages is not given back to its owner. `noun` is `instance` or `cluster`.
pub fn takes_a_password(action: &'static str, noun: &str, id: &str) -> Failure {
    let why = format!(
        "RDS manages the password of {id} in a secret, and did not before: to have one of your own again, `aws rds modify-db-{noun} --db-{noun}-identifier {id} --no-manage-master-user-password --master-user-password …`"
    );
    Failure::unbuildable(action, why)
}
/// Why a deleted snapshot is not made again.
pub fn gone_for_good(action: &'static str, id: Option<&str>) -> Failure {
    let id = id.unwrap_or_default();
    Failure::unbuildable(action, format!("{id} was deleted, and RDS keeps nothing of a deleted snapshot"))
}
/// What deleting a snapshot costs.
pub fn lost_with_the_snapshot(copy: String) -> Ready {
    Ready { cost: Cost::Data, lost: "all of it: RDS keeps nothing of a deleted snapshot".into(), remedy: Some(copy) }
}

/// One on its way out counts as gone.
pub fn is_alive(status: Option<&str>) -> bool {
    !matches!(status, Some("deleting" | "deleted"))
}
/// RDS's word for the state of an instance, a cluster or a snapshot. Most states pass: those that do not are named.
pub fn is_available(status: Option<&str>) -> Settled {
    match status {
        Some("available" | "stopped" | "storage-optimization") => Settled::Ready,
        Some(
            word @ ("failed"
            | "incompatible-restore"
            | "incompatible-network"
            | "incompatible-parameters"
            | "incompatible-option-group"
            | "incompatible-credentials"
            | "inaccessible-encryption-credentials"
            | "restore-error"
            | "insufficient-capacity"
            | "storage-full"
            | "deleting"),
        ) => Settled::Failed(word.to_owned()),
        Some(word) => Settled::Waiting(word.to_owned()),
        None => Settled::Waiting("not listed yet".into()),
    }
}

// ---- content ------------------------------------------------------------------------------------------------------

/// How long a database may take to be made, renamed or to get rid of its name: a restore of hours is no failure.
pub const TAKES: Duration = Duration::from_secs(4 * 3600);

/// Where the content of what is made comes from: given by the plan, never captured.
#[derive(Debug, Clone, PartialEq)]
pub enum RestoreFrom {
    /// The retained automated backup of the resource with this id.
    Backup(String),
    Snapshot(String),
    /// Nowhere: somebody asked for an empty one.
    Empty,
}
impl Plain for RestoreFrom {
    fn to_json(&self) -> Value {
        match self {
            Self::Backup(resource) => json!({ "backup": resource }),
            Self::Snapshot(id) => json!({ "snapshot": id }),
            Self::Empty => json!({ "empty": true }),
        }
    }
    fn from_json(v: &Value) -> Result<Self, Misfit> {
        let mut m = Members::of(v)?;
        let (backup, snapshot, empty) = (m.take("backup")?, m.take("snapshot")?, m.take::<Option<bool>>("empty")?);
        m.done()?;
        match (backup, snapshot, empty) {
            (Some(resource), None, None) => Ok(Self::Backup(resource)),
            (None, Some(id), None) => Ok(Self::Snapshot(id)),
            (None, None, Some(true)) => Ok(Self::Empty),
            _ => Err(Misfit::new(format!("expected one of backup, snapshot, empty, found {v}"))),
        }
    }
}
#[cfg(test)]
impl super::mirror::Sample for RestoreFrom {
    fn sample(s: &mut super::mirror::Seed) -> Self {
        Self::Snapshot(String::sample(s))
    }
}

pub fn no_source(action: &'static str, id: &str) -> Failure {
    let why =
        format!("no copy of the content of {id} was chosen, and an empty database is not made silently in its place");
    Failure::unbuildable(action, why)
}
fn instant(at: &DateTime) -> Option<Timestamp> {
    Stamp::from_sdk(at).0.parse().ok()
}
/// A retained backup as a source.
pub fn backup(resource: &str, latest: &DateTime) -> Option<DataSource> {
    Some(DataSource {
        what: "its retained automated backup".into(),
        until: instant(latest)?,
        from: RestoreFrom::Backup(resource.to_owned()).to_json(),
    })
}
/// A snapshot as a source. `by` is RDS's word for who took it.
pub fn snapshot(id: String, by: Option<&str>, taken: &DateTime) -> Option<DataSource> {
    Some(DataSource {
        what: format!("{} snapshot {id}", by.unwrap_or("its")),
        until: instant(taken)?,
        from: RestoreFrom::Snapshot(id).to_json(),
    })
}

/// At most 63 characters, no hyphen at the end nor two in a row (Amazon RDS, "Naming constraints"); the same for the same
/// resource, so that a retry finds what an earlier attempt renamed.
pub fn aside_name(id: &str, resource: &str) -> String {
    let own = Hash::of_bytes(resource.as_bytes()).short().chars().take(8).collect::<String>();
    let begin: String = id.chars().take(63 - "-aside-".len() - own.len()).collect();
    format!("{}-aside-{own}", begin.trim_end_matches('-'))
}

/// What deleting a database costs: with it go its automated backups, unless the caller says otherwise (H28).
pub fn readiness_of_data(protected: Option<bool>, newest: Option<&Copy>, remedy: String) -> Ready {
    if protected == Some(true) {
        return Ready { cost: Cost::Nothing, lost: "nothing: RDS refuses to delete it".into(), remedy: None };
    }
    let since = newest.map_or_else(
        || "all of its content: its automated backups go with it, and there is no snapshot of anybody's".to_owned(),
        |c| format!("what was written since snapshot {} of {}: its automated backups go with it", c.id, c.taken),
    );
    Ready { cost: Cost::Data, lost: since, remedy: Some(remedy) }
}
