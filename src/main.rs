//! Wiring only: parse, log, run, exit code.
use clap::Parser;
use rollbackd::{
    cli::{self, Cli, Command},
    control::api::Fault,
};
use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};
use tracing_subscriber::{EnvFilter, fmt};

/// What to log; else as the command and --verbose say.
const LOG: &str = "ROLLBACKD_LOG";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = log(&cli).and_then(|()| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.map_err(|e| Fault::failed(format!("could not start the runtime: {e}")))
    });
    ExitCode::from(match done {
        Ok(runtime) => runtime.block_on(cli::run(&cli)),
        Err(fault) => cli::complain(&fault),
    })
}

/// Logs to stderr; stdout is for results.
fn log(cli: &Cli) -> Result<(), Fault> {
    let default = match (&cli.command, cli.global.verbose) {
        (Command::Run(_), false) => "warn,rollbackd=info",
        (Command::Run(_), true) => "warn,rollbackd=debug",
        (_, false) => "error,rollbackd=warn",
        (_, true) => "warn,rollbackd=info",
    };
    let filter = match std::env::var(LOG) {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(&text)
            .map_err(|e| Fault::usage(format!("{LOG}={text} is not a filter: {e}; try `info` or `rollbackd=debug`")))?,
        _ => EnvFilter::new(default),
    };
    let lines =
        fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(cli::colour(io::stderr().is_terminal()));
    // The journal has its own times.
    if std::env::var_os("JOURNAL_STREAM").is_some() && !io::stderr().is_terminal() {
        lines.without_time().init();
    } else {
        lines.init();
    }
    Ok(())
}
