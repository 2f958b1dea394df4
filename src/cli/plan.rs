//! `rollbackd plan`, and how `plan` and `restore` are told what to restore.
use crate::{
    control::api::{Fault, Request, Selector},
    model::{AccountId, At, IncidentId, Region, Scope},
    plan::{DigestPrefix, elsewhere::Destination},
};
use clap::Args;

/// Show what a restore would do, without doing it
///
/// Steps in order, what changes on survivors, conflicts, what cannot come back, and the digest to restore or approve
/// it by. The plan is stored. With a plan's digest: shows that stored plan again.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(
    override_usage = "rollbackd plan <DIGEST | INCIDENT | RESOURCE... | --vpc ID | --tag KEY=VALUE | --account ID --region REGION> [OPTIONS]",
    after_help = "\
Examples:
  rollbackd plan inc-0a1b2c3d
  rollbackd plan vpc-0a12 --at 2h
  rollbackd plan --vpc vpc-0a12 --at friday-release
  rollbackd plan inc-0a1b2c3d --overwrite sg-0b34
  rollbackd plan --vpc vpc-0a12 --into-region eu-central-1

A word of 8 to 64 hexadecimal digits is a digest, `inc-` and 8 of them an incident, all else
resources; a resource whose name has such a form is given by its whole key."
)]
pub struct Plan {
    #[command(flatten)]
    pub choice: Choice,
}
impl Plan {
    pub(super) fn request(&self) -> Result<Request, Fault> {
        self.choice.request()
    }
}

/// What to restore.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct Choice {
    /// A plan's digest (8 digits of it are enough), an incident, or resources
    #[arg(value_name = "DIGEST|INCIDENT|RESOURCE")]
    pub what: Vec<String>,
    /// Everything in a VPC, missing or not
    #[arg(long, value_name = "ID")]
    pub vpc: Option<String>,
    /// Everything that has this tag
    #[arg(long, value_name = "KEY=VALUE")]
    pub tag: Option<String>,
    /// Everything in an account and region; needs --region
    #[arg(long, value_name = "ID", requires = "region")]
    pub account: Option<AccountId>,
    /// The region of --account
    #[arg(long, value_name = "REGION", requires = "account")]
    pub region: Option<Region>,
    /// The restore point [default: for an incident, each resource's last version before it; else the last version of
    /// each resource before it went; with --into-region or --into-account the newest one]
    #[arg(long, value_name = "AT")]
    pub at: Option<At>,
    /// Put back on this survivor also what others changed since; may be given more than once [default: none]
    #[arg(long, value_name = "RESOURCE")]
    pub overwrite: Vec<String>,
    /// Build it all in this region, beside what is there: a fire drill; nothing is changed where it was. Not for incidents
    /// [default: where it was]
    #[arg(long, value_name = "REGION")]
    pub into_region: Option<Region>,
    /// Build it all in this account, through a role of `into_roles` in the configuration; may be given with
    /// --into-region [default: where it was]
    #[arg(long, value_name = "ID")]
    pub into_account: Option<AccountId>,
}

const ALLOWED: &str =
    "give one of: a plan's digest, an incident, resources, --vpc ID, --tag KEY=VALUE, --account ID --region REGION";

impl Choice {
    /// The plan that is stored under a digest, or a new one.
    pub(super) fn request(&self) -> Result<Request, Fault> {
        let mut given = self.selectors()?;
        let (Some(one), None) = (given.pop(), given.pop()) else {
            let what =
                if given.is_empty() && self.is_empty() { "nothing is selected" } else { "these do not go together" };
            return Err(Fault::usage(format!("{what}; {ALLOWED}")));
        };
        match one {
            Target::New(Selector::Incident(id)) if self.into().is_some() => Err(Fault::usage(format!(
                "incident {id} is restored where it happened, since what survived must be rewired there; to build elsewhere what it destroyed, name resources, --vpc, --tag or --account, and --at before-incident:{id}"
            ))),
            Target::Stored(digest) if self.into().is_some() => Err(Fault::usage(format!(
                "plan {digest} is made already, and says where it builds; --into-region and --into-account are for a new one"
            ))),
            Target::Stored(digest) if self.at.is_some() || !self.overwrite.is_empty() => Err(Fault::usage(format!(
                "plan {digest} is made already; --at and --overwrite are for a new one: name the incident or the resources"
            ))),
            Target::Stored(digest) => Ok(Request::StoredPlan { digest }),
            Target::New(selector) => {
                let (at, overwrite) = (self.at.clone(), self.overwrite.clone());
                Ok(Request::Plan { selector, at, overwrite, into: self.into() })
            }
        }
    }
    fn into(&self) -> Option<Destination> {
        let into = Destination { region: self.into_region.clone(), account: self.into_account.clone() };
        (into != Destination::default()).then_some(into)
    }
    fn is_empty(&self) -> bool {
        self.what.is_empty() && self.vpc.is_none() && self.tag.is_none() && self.account.is_none()
    }
    /// All that were given: one is right.
    fn selectors(&self) -> Result<Vec<Target>, Fault> {
        let mut out = vec![];
        let mut resources = vec![];
        for word in &self.what {
            match target(word) {
                Some(target) => out.push(target),
                None => resources.push(word.clone()),
            }
        }
        if !resources.is_empty() {
            out.push(Target::New(Selector::Resources(resources)));
        }
        if let Some(vpc) = &self.vpc {
            out.push(Target::New(Selector::Vpc(vpc.clone())));
        }
        if let Some(tag) = &self.tag {
            let Some((key, value)) = tag.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                return Err(Fault::usage(format!("`{tag}` is not a tag; expected KEY=VALUE, such as env=production")));
            };
            out.push(Target::New(Selector::Tag { key: key.to_owned(), value: value.to_owned() }));
        }
        if let (Some(account), Some(region)) = (&self.account, &self.region) {
            out.push(Target::New(Selector::Scope(Scope::new(account.clone(), region.clone()))));
        }
        Ok(out)
    }
}

#[derive(Debug)]
enum Target {
    Stored(DigestPrefix),
    New(Selector),
}
/// What a word that is no resource selects.
fn target(word: &str) -> Option<Target> {
    let incident = || Some(Target::New(Selector::Incident(word.parse::<IncidentId>().ok()?)));
    word.parse().ok().map(Target::Stored).or_else(incident)
}
