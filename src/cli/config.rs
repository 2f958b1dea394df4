//! `rollbackd config`: the settings, checked and shown. Needs no daemon.
use super::{
    Global, print,
    render::{self, Format},
};
use crate::{
    config::{self as settings, Environment},
    control::api::Fault,
};
use clap::Subcommand;
use serde_json::json;

/// Check the configuration, or show the settings that count
///
/// Reads the file of --config, else $CONFIGURATION_DIRECTORY/rollbackd.toml, else /etc/rollbackd/rollbackd.toml; without
/// one, the defaults hold. A running daemon takes up a changed file on SIGHUP.
#[derive(Debug, Clone, Copy, PartialEq, Subcommand)]
pub enum Config {
    /// Read the configuration and say what is wrong with it and where; exit code 1 when something is
    Check,
    /// Print every setting with the value that counts, defaults included, as a file that can be used
    Show,
}

pub fn run(what: Config, global: &Global, format: &Format) -> Result<u8, Fault> {
    let loaded = settings::Config::load(global.config.as_deref()).map_err(Fault::failed)?;
    let value = match what {
        Config::Check => {
            let file = settings::Config::locate(global.config.as_deref(), &Environment::of_process());
            let says = match &file {
                Some(file) => format!("{} is fine", file.display()),
                None => "There is no file; the defaults hold, and they are fine".to_owned(),
            };
            (says, json!({ "file": file, "fine": true }))
        }
        Config::Show => (loaded.show(), serde_json::to_value(&loaded).map_err(Fault::failed)?),
    };
    print(|out| render::text(&value.0, &value.1, format, out))?;
    Ok(0)
}
