//! The command line: one file a command, or a pair that belongs together. `render` is the only printer.
//!
//! A command that needs the service is turned into a [`Request`] by a pure function and sent in one place,
//! [`backend::call`]; so commands never know whether a daemon or this very process answers. The doc comments of the
//! arguments are the help texts, and those are the reference.
mod approve;
mod audit;
pub mod backend;
mod config;
mod detect;
mod diff;
mod halt;
mod history;
mod iam_policy;
mod incidents;
mod kinds;
mod plan;
mod readiness;
mod receipt;
pub mod render;
mod restore;
mod run;
mod snapshot;
mod status;
mod store;
#[cfg(test)]
mod tests;

use crate::{
    control::api::{Answer, Fault, FaultKind, Request},
    model::Timestamp,
};
use backend::{Backend, call};
use clap::{Args, Parser, Subcommand, ValueEnum};
use render::{Format, Look};
use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

const EXIT_CODES: &str = "\
Exit codes:
  0  all restored, or fine
  1  error
  2  usage: what was asked for does not fit
  3  done, but with differences, losses or refusals: the receipt names each

Words:
  AT, A, B  an RFC 3339 time, a time ago (2h, 7d), before-incident:ID, before-session:ID, or a
            label that `rollbackd snapshot --label` set
  RESOURCE  an id, alias or name that only one resource has, or a whole key, such as
            aws/111122223333/eu-west-1/ec2:vpc/vpc-0a12

With a daemon running, commands go over its socket; without one, they open the store themselves.";

/// Keep every version of an AWS environment's configuration, see what agents destroy, and put it back
#[derive(Debug, Clone, PartialEq, Parser)]
#[command(name = "rollbackd", version, after_help = EXIT_CODES, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Read the settings from FILE [default: $CONFIGURATION_DIRECTORY/rollbackd.toml, then
    /// /etc/rollbackd/rollbackd.toml, whichever is there; none is fine]
    #[arg(long, global = true, value_name = "FILE", env = "ROLLBACKD_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// Print for people or for programs; what is not the result goes to stderr in both
    #[arg(long, short, global = true, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    pub output: Output,
    /// Log more, and tell every change of a step while a restore runs [default: how each step ended]
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

/// `table` or `json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

#[derive(Debug, Clone, PartialEq, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, and it is read once")]
pub enum Command {
    Run(run::Run),
    #[command(flatten)]
    Asked(Asked),
    Kinds(kinds::Kinds),
    #[command(subcommand)]
    Detect(detect::Detect),
    #[command(subcommand)]
    Config(config::Config),
    IamPolicy(iam_policy::IamPolicy),
    #[command(subcommand)]
    Store(store::Store),
}

/// Commands that the service answers.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Asked {
    Status(status::Status),
    Snapshot(snapshot::Snapshot),
    Snapshots(snapshot::Snapshots),
    History(history::History),
    Show(history::Show),
    Diff(diff::Diff),
    Readiness(readiness::Readiness),
    Incidents(incidents::Incidents),
    Replay(detect::Replay),
    Plan(plan::Plan),
    Restore(restore::Restore),
    Resume(restore::Resume),
    Receipt(receipt::Receipt),
    Approve(approve::Approve),
    Reject(approve::Reject),
    Halt(halt::Halt),
    Unhalt(halt::Unhalt),
    Audit(audit::Audit),
}

/// What is asked of the service first. Only `restore` asks twice: for the plan, then for its restore.
pub fn request(asked: &Asked) -> Result<Request, Fault> {
    match asked {
        Asked::Status(_) => Ok(Request::Status),
        Asked::Snapshot(args) => args.request(),
        Asked::Snapshots(args) => Ok(args.request()),
        Asked::History(args) => Ok(args.request()),
        Asked::Show(args) => args.request(),
        Asked::Diff(args) => args.request(),
        Asked::Readiness(args) => Ok(args.request()),
        Asked::Incidents(args) => Ok(args.request()),
        Asked::Replay(args) => args.request(),
        Asked::Plan(args) => args.request(),
        Asked::Restore(args) => args.request(),
        Asked::Resume(args) => Ok(args.request()),
        Asked::Receipt(args) => Ok(args.request()),
        Asked::Approve(args) => Ok(args.request()),
        Asked::Reject(args) => Ok(args.request()),
        Asked::Halt(args) => Ok(args.request()),
        Asked::Unhalt(args) => Ok(args.request()),
        Asked::Audit(args) => Ok(args.request()),
    }
}

/// Does what the command line says, prints what came of it, and gives the exit code.
pub async fn run(cli: &Cli) -> u8 {
    match execute(cli).await {
        Ok(code) => code,
        Err(fault) => complain(&fault),
    }
}

/// Tells a fault on stderr; the exit code is its kind's.
pub fn complain(fault: &Fault) -> u8 {
    talk(&render::fault(fault, &stderr_look()));
    match fault.kind {
        FaultKind::Usage => 2,
        FaultKind::Failed => 1,
    }
}

async fn execute(cli: &Cli) -> Result<u8, Fault> {
    let global = &cli.global;
    let format = format(global.output);
    match &cli.command {
        Command::Run(_) => run::run(global).await,
        Command::Asked(Asked::Replay(args)) if !args.files.is_empty() => {
            show(&args.of_files(global)?, &format)?;
            Ok(0)
        }
        Command::Asked(Asked::Restore(args)) => restore::run(args, global, &format).await,
        Command::Asked(asked) => {
            let request = request(asked)?;
            let mut backend = Backend::open(global).await?;
            let look = stderr_look();
            let answer = call(&mut backend, request, |p| {
                if let Some(line) = render::progress(p, None, global.verbose, &look) {
                    talk(&line);
                }
            })
            .await?;
            if let Asked::Receipt(args) = asked {
                return args.show(&answer, &format);
            }
            show(&answer, &format)?;
            Ok(exit_code(&answer))
        }
        Command::Kinds(args) => kinds::run(args, &format),
        Command::Detect(what) => detect::run(what, global, &format),
        Command::Config(what) => config::run(*what, global, &format),
        Command::IamPolicy(args) => args.run(),
        Command::Store(what) => store::run(what, global, &format),
    }
}

/// 3 when something was done but is not whole, 1 when what was checked is broken.
pub fn exit_code(answer: &Answer) -> u8 {
    match answer {
        Answer::Receipt(receipt) if !receipt.is_whole() => 3,
        Answer::Sweep(sweep) if sweep.ended.is_none() || !sweep.errors.is_empty() => 3,
        Answer::AuditVerified(verified) if verified.broken.is_some() => 1,
        _ => 0,
    }
}

fn format(output: Output) -> Format {
    match output {
        Output::Json => Format::Json,
        Output::Table => Format::Table(Look {
            width: comfy_table::Table::new().width(),
            colour: colour(io::stdout().is_terminal()),
            now: Timestamp::now(),
        }),
    }
}
fn stderr_look() -> Look {
    Look {
        width: comfy_table::Table::new().use_stderr().width(),
        colour: colour(io::stderr().is_terminal()),
        now: Timestamp::now(),
    }
}
/// No colours for files and pipes, nor where people switched them off (<https://no-color.org>).
pub fn colour(terminal: bool) -> bool {
    let off = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    terminal && !off && std::env::var_os("TERM").is_none_or(|t| t.as_os_str() != "dumb")
}

/// The result, on stdout.
fn show(answer: &Answer, format: &Format) -> Result<(), Fault> {
    print(|out| render::render(answer, format, out))
}
fn print(write: impl FnOnce(&mut io::StdoutLock<'_>) -> io::Result<()>) -> Result<(), Fault> {
    let mut out = io::stdout().lock();
    match write(&mut out).and_then(|()| out.flush()) {
        // Whoever read has read enough; the exit code still says what came of the command.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(Fault::failed(format!("could not write the answer to stdout: {e}"))),
        Ok(()) => Ok(()),
    }
}
/// Talk, on stderr. When nobody can hear it, the work goes on.
fn talk(text: &str) {
    let mut err = io::stderr().lock();
    let _unheard = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}
