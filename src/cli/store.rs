//! `rollbackd store`: care for the store itself. No daemon may run: the store is opened here, alone.
use super::{
    Global, print,
    render::{self, Format},
};
use crate::{config::Config, control::api::Fault, store};
use clap::Subcommand;
use serde_json::json;
use std::path::PathBuf;

/// Check the store, or change its key; stop the daemon first
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Store {
    /// Read every value, and say which are not what was written; exit code 1 when any is
    Verify,
    /// Encrypt the whole store anew with the key of another file
    ///
    /// The store is written once more beside the old one, which goes when the new one is whole. Afterwards name the file with
    /// `key_file` under [store], or as the systemd credential `store-key`.
    Rekey {
        /// The new key: any 16 to 4096 bytes, such as `head -c 32 /dev/urandom` gives
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

pub fn run(what: &Store, global: &Global, format: &Format) -> Result<u8, Fault> {
    let config = Config::load(global.config.as_deref()).map_err(Fault::failed)?;
    let (dir, key_file) = (&config.state_directory, &config.store.key_file);
    let (says, value, code) = match what {
        Store::Verify => {
            let report = store::Store::open_with(dir, key_file)?.verify()?;
            let mut says = format!("{} values of {} bytes read: ", report.values, report.bytes);
            match report.problems.len() {
                0 => says.push_str("all are what was written"),
                n => says.push_str(&format!("{n} are not what was written\n")),
            }
            let lines: Vec<String> =
                report.problems.iter().map(|p| format!("{} {}: {}", p.tree, p.key, p.why)).collect();
            says.push_str(&lines.join("\n"));
            let code = u8::from(!report.is_sound());
            (says, serde_json::to_value(&report).map_err(Fault::failed)?, code)
        }
        Store::Rekey { to } => {
            let to = std::path::absolute(to).map_err(Fault::failed)?;
            let values = store::Store::rekey(dir, key_file, &to)?;
            let says = format!(
                "{values} values are encrypted with the key of {}. Name it with `key_file` under [store] now: {} opens the \
                 store no more",
                to.display(),
                key_file.display()
            );
            (says, json!({ "values": values, "key_file": to }), 0)
        }
    };
    print(|out| render::text(&says, &value, format, out))?;
    Ok(code)
}
