//! `rollbackd detect test` and `rollbackd replay`: what rules and policies make of records, before anybody relies on them.
use super::{
    Global, print,
    render::{self, Format},
};
use crate::{
    config::{Config, ConfigError},
    control::api::{Answer, Fault, Request},
    detect::explain,
    model::Timestamp,
    respond::replay,
    trail::{
        decode::{Decoded, Watched},
        file::decode_file,
    },
};
use clap::{Args, Subcommand};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Larger than any log file of CloudTrail's (50 MB), and small enough to hold in memory.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// How far back `replay` looks where nothing else is said.
const DAYS: u32 = 7;

/// Try the agent rules on records, without AWS and without a store
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Detect {
    /// Explain each record: who acted, whether that is an agent and by which rule, what was done to what, which incident
    ///
    /// Uses the rules of the configuration. Nothing is stored and nothing is done.
    Test {
        /// CloudTrail records as JSON: a log file, an answer of LookupEvents, messages of a queue, or one on each line;
        /// `-` is stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Run a policy over the past and say what it would have done
///
/// Reads the records that the store keeps, or those of files. Nothing is stored and nothing is done.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Replay {
    /// Look this far back [default: 7; with files: all that is in them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: Option<u32>,
    /// Take agent rules and policies from this configuration file [default: those that hold now]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Read records from these files as `detect test` does; `-` is stdin [default: the store's records]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

impl Replay {
    /// What to ask the service, which has the store.
    pub(super) fn request(&self) -> Result<Request, Fault> {
        let config = self.policy.as_deref().map(|path| Config::load(Some(path))).transpose().map_err(Fault::usage)?;
        Ok(Request::Replay { days: self.days.unwrap_or(DAYS), config: config.map(Box::new) })
    }
    /// The answer from files, which needs no service.
    pub(super) fn of_files(&self, global: &Global) -> Result<Answer, Fault> {
        let config = load(self.policy.as_deref().or(global.config.as_deref()))?;
        let mut state = config.detection(None).map_err(Fault::failed)?;
        let mut records = vec![];
        for file in &self.files {
            let decoded = decoded(file)?;
            for unreadable in &decoded.unreadable {
                tracing::warn!(record = unreadable.origin, why = unreadable.why, "not a record that can be read");
            }
            records.extend(decoded.records);
        }
        let now = Timestamp::now();
        let to = records.iter().map(|r| r.time).max().unwrap_or(now);
        let back = self.days.map(|days| to - jiff::SignedDuration::from_hours(24 * i64::from(days)));
        records.retain(|r| back.is_none_or(|back| r.time >= back));
        let from = records.iter().map(|r| r.time).min().unwrap_or(to);
        records.iter().for_each(|r| _ = state.feed(r));
        Ok(Answer::Replay(Box::new(replay::replay(&config, &state, records.len() as u64, from, to))))
    }
}

fn load(path: Option<&Path>) -> Result<Config, Fault> {
    Config::load(path).map_err(|e: ConfigError| Fault::failed(e))
}

/// The records of a file, and all in it that is none.
fn decoded(path: &Path) -> Result<Decoded, Fault> {
    let name = path.display();
    let not = |e: io::Error| Fault::failed(format!("{name} cannot be read: {e}"));
    let mut bytes = vec![];
    if path == Path::new("-") {
        io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(not)?;
    } else {
        File::open(path).map_err(not)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(not)?;
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Fault::failed(format!("{name} has more than {FILE_BYTES_MAX} bytes; give it in parts")));
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(Fault::usage(format!(
            "{name} is compressed; `gzip -dc {name} | rollbackd detect test -` reads it"
        )));
    }
    Ok(decode_file(&bytes, &name.to_string(), Timestamp::now(), &Watched::default()))
}

pub fn run(what: &Detect, global: &Global, format: &Format) -> Result<u8, Fault> {
    let Detect::Test { file } = what;
    let config = load(global.config.as_deref())?;
    let state = config.detection(None).map_err(Fault::failed)?;
    let decoded = decoded(file)?;
    let explained =
        explain::explain(state, &decoded.records, Timestamp::now(), &|scope| config.policy(scope).open_on_add);
    print(|out| render::explanation(&explained, &decoded.unreadable, &decoded.ignored, format, out))?;
    // Something that should have been a record was none: whoever pipes this must know.
    Ok(if decoded.unreadable.is_empty() { 0 } else { 3 })
}
