//! `rollbackd restore` and `rollbackd resume`.
use super::{
    Global,
    backend::{Backend, call},
    exit_code,
    plan::Choice,
    render::{self, Format},
    show, stderr_look, talk,
};
use crate::{
    control::api::{Answer, Fault, Request},
    model::ResourceKey,
    plan::{DigestPrefix, Plan},
};
use clap::Args;
use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
};

/// Carry out a plan: show it, ask, restore, and end in a receipt
///
/// What is selected is planned first, as `rollbackd plan` does. Nothing is deleted. When what is live has changed since the
/// plan was made, nothing is done. Killed at any moment, `rollbackd resume` goes on.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(
    override_usage = "rollbackd restore <DIGEST | INCIDENT | RESOURCE... | --vpc ID | --tag KEY=VALUE | --account ID --region REGION> [OPTIONS]",
    after_help = "\
Examples:
  rollbackd restore 3f2a9c0d1e2f
  rollbackd restore inc-0a1b2c3d --reason 'approved by the duty officer'
  rollbackd restore vpc-0a12 --at 2h --yes --output json
  rollbackd restore --vpc vpc-0a12 --into-region eu-central-1 --into-account 222233334444

The receipt goes to stdout; the plan, the question and the progress to stderr. Exit code 3 when the receipt names
differences, losses or refusals."
)]
pub struct Restore {
    #[command(flatten)]
    pub choice: Choice,
    /// Do not ask; needed where there is no terminal to ask on [default: ask]
    #[arg(long, short)]
    pub yes: bool,
    /// Why, for the audit chain [default: none]
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}
impl Restore {
    pub(super) fn request(&self) -> Result<Request, Fault> {
        self.choice.request()
    }
}

/// Go on with a restore that stopped or was killed, and try again what failed
///
/// Finds what the earlier attempt made before it makes anything. Ends in the receipt.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Resume {
    /// The restore's id, from `rollbackd status` [default: the only one that is not done]
    #[arg(value_name = "RESTORE")]
    pub restore: Option<String>,
    /// Why, for the audit chain [default: none]
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}
impl Resume {
    pub(super) fn request(&self) -> Request {
        Request::Resume { restore: self.restore.clone(), reason: self.reason.clone() }
    }
}

/// Names of a plan's resources, for progress lines.
pub type Names = BTreeMap<ResourceKey, String>;

pub async fn run(args: &Restore, global: &Global, format: &Format) -> Result<u8, Fault> {
    let asked_first = args.request()?;
    let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !args.yes && !can_ask {
        return Err(Fault::usage(
            "there is no terminal to ask on; look at it with `rollbackd plan`, then restore with --yes",
        ));
    }
    let look = stderr_look();
    let mut backend = Backend::open(global).await?;
    let send = async |request: Request, names: &Names| {
        call(&mut backend, request, |p| {
            let name = names.get(&p.resource).map(String::as_str);
            if let Some(line) = render::progress(p, name, global.verbose, &look) {
                talk(&line);
            }
        })
        .await
    };
    let agree = |plan: &Plan| {
        talk(&render::plan(plan, &look));
        if args.yes {
            return Ok(true);
        }
        talk("\nRestore this? Only `yes` is taken as yes: ");
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(|e| Fault::failed(format!("could not read the answer: {e}")))?;
        Ok(line.trim() == "yes")
    };
    let answer = flow(asked_first, args.reason.clone(), send, agree).await?;
    show(&answer, format)?;
    Ok(exit_code(&answer))
}

/// Plan, question, restore. A plan without steps needs no question: its receipt says what is not as it was.
pub(super) async fn flow(
    asked_first: Request,
    reason: Option<String>,
    mut send: impl AsyncFnMut(Request, &Names) -> Result<Answer, Fault>,
    agree: impl FnOnce(&Plan) -> Result<bool, Fault>,
) -> Result<Answer, Fault> {
    let Answer::Plan(plan) = send(asked_first, &Names::new()).await? else {
        return Err(Fault::failed("the daemon answered with something that is no plan; is it of another version?"));
    };
    let digest: DigestPrefix = plan.digest.as_str().parse().map_err(Fault::failed)?;
    if !plan.is_empty() && !agree(&plan)? {
        return Err(Fault::failed(format!(
            "nothing was restored; the plan is kept: `rollbackd restore {}`",
            plan.digest.short()
        )));
    }
    let names = plan.steps.iter().filter_map(|s| Some((s.resource.clone(), s.name.clone()?))).collect();
    send(Request::Restore { digest, reason }, &names).await
}
