//! What a process finds around it: the directories that systemd, the user's session and the host's layout give it.
use super::ConfigError;
use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The file's name in whatever directory it is found.
const FILE: &str = "rollbackd.toml";
/// The socket's name in whatever directory it is made.
const SOCKET: &str = "rollbackd.sock";
/// The name of the store's key, as a file beside the store and as a credential of systemd.
const STORE_KEY: &str = "store-key";
/// Where the packaged units keep state, as `StateDirectory=rollbackd` makes it.
const SERVICE_STATE: &str = "/var/lib/rollbackd";
/// Where the packaged unit has its socket, as `RuntimeDirectory=rollbackd` makes it.
const SERVICE_RUNTIME: &str = "/run/rollbackd";
const SYSTEM_CONFIGURATION: &str = "/etc/rollbackd";

/// Read once, so that a configuration is a function of a text and of this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `$STATE_DIRECTORY`: systemd's word for where state belongs.
    pub state_directory: Option<PathBuf>,
    /// `$RUNTIME_DIRECTORY`: set means that systemd runs this process as the service.
    pub runtime_directory: Option<PathBuf>,
    /// `$CONFIGURATION_DIRECTORY`.
    pub configuration_directory: Option<PathBuf>,
    /// `$CREDENTIALS_DIRECTORY`: what systemd hands to this unit alone.
    pub credentials_directory: Option<PathBuf>,
    pub xdg_state_home: Option<PathBuf>,
    pub home: Option<PathBuf>,
    /// The service's state directory, when it belongs to this process's user: `sudo -u rollbackd rollbackd …` must see
    /// what the service sees. Others, root among them, must not leave files there that the service cannot write.
    pub service_state: Option<PathBuf>,
    /// The service's socket, when it is there and this process may reach it.
    pub service_socket: Option<PathBuf>,
    /// `/etc/rollbackd`.
    pub system_configuration: Option<PathBuf>,
}

impl Environment {
    /// What this process finds.
    pub fn of_process() -> Self {
        let service_state = PathBuf::from(SERVICE_STATE);
        let service_socket = Path::new(SERVICE_RUNTIME).join(SOCKET);
        Self {
            state_directory: listed("STATE_DIRECTORY"),
            runtime_directory: listed("RUNTIME_DIRECTORY"),
            configuration_directory: listed("CONFIGURATION_DIRECTORY"),
            credentials_directory: listed("CREDENTIALS_DIRECTORY"),
            // The XDG base directory specification: a relative path is to be ignored.
            xdg_state_home: env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute()),
            home: env::home_dir().filter(|p| p.is_absolute()),
            service_state: is_ours(&service_state).then_some(service_state),
            service_socket: fs::metadata(&service_socket).is_ok().then_some(service_socket),
            system_configuration: Some(SYSTEM_CONFIGURATION.into()),
        }
    }

    /// The file that is read when none is named: the first that there is. One that is there and cannot be read counts,
    /// so that a wrong mode is an error and not a silent default.
    pub(super) fn file(&self) -> Option<PathBuf> {
        [&self.configuration_directory, &self.system_configuration]
            .into_iter()
            .flatten()
            .map(|directory| directory.join(FILE))
            .find(|file| fs::symlink_metadata(file).is_ok())
    }

    pub(super) fn state(&self) -> Result<PathBuf, ConfigError> {
        let user = || {
            let base = self.xdg_state_home.clone().or_else(|| Some(self.home.as_ref()?.join(".local/state")))?;
            Some(base.join("rollbackd"))
        };
        let found = self.state_directory.clone().or_else(|| self.service_state.clone()).or_else(user);
        found.ok_or(ConfigError::NoStateDirectory)
    }

    /// The key of the store in a state directory: the credential, when there is one.
    pub(super) fn key_file(&self, state: &Path) -> PathBuf {
        let credential = self.credentials_directory.as_ref().map(|directory| directory.join(STORE_KEY));
        credential.filter(|file| fs::symlink_metadata(file).is_ok()).unwrap_or_else(|| state.join(STORE_KEY))
    }

    /// The socket that belongs to a state directory. `chosen`: it was named in the file.
    pub(super) fn socket(&self, state: &Path, chosen: bool) -> PathBuf {
        if let Some(runtime) = &self.runtime_directory {
            return runtime.join(SOCKET);
        }
        if state == Path::new(SERVICE_STATE) {
            return Path::new(SERVICE_RUNTIME).join(SOCKET);
        }
        // An operator in the service's group, in a shell: the running service is what they mean.
        if let (Some(socket), false, None) = (&self.service_socket, chosen, &self.state_directory) {
            return socket.clone();
        }
        state.join(SOCKET)
    }
}

/// systemd separates several directories by colons; ours is the first.
fn listed(name: &str) -> Option<PathBuf> {
    let first = env::split_paths(&env::var_os(name)?).next()?;
    if first.as_os_str().is_empty() { None } else { std::path::absolute(first).ok() }
}

/// The directory belongs to this process's user. `/proc/self` does, too, which tells the user without a system call of
/// our own.
fn is_ours(directory: &Path) -> bool {
    let owner = |path: &Path| fs::metadata(path).map(|m| m.uid()).ok();
    owner(directory).is_some_and(|uid| owner(Path::new("/proc/self")) == Some(uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Option<PathBuf> {
        Some(text.into())
    }

    #[test]
    fn the_state_belongs_to_the_service_or_to_the_user() {
        let mut env = Environment { home: path("/home/op"), ..Environment::default() };
        assert_eq!(env.state().unwrap(), Path::new("/home/op/.local/state/rollbackd"));
        env.xdg_state_home = path("/data/state");
        assert_eq!(env.state().unwrap(), Path::new("/data/state/rollbackd"));
        env.service_state = path(SERVICE_STATE);
        assert_eq!(env.state().unwrap(), Path::new("/var/lib/rollbackd"));
        env.state_directory = path("/srv/rollbackd");
        assert_eq!(env.state().unwrap(), Path::new("/srv/rollbackd"));
        let why = Environment::default().state().unwrap_err().to_string();
        assert!(why.contains("state_directory") && why.contains("HOME"), "{why}");
    }

    #[test]
    fn the_socket_is_the_services_unless_another_state_was_chosen() {
        let own = Path::new("/home/op/.local/state/rollbackd");
        let mut env = Environment::default();
        assert_eq!(env.socket(own, false), own.join(SOCKET));
        assert_eq!(env.socket(Path::new(SERVICE_STATE), false), Path::new("/run/rollbackd/rollbackd.sock"));
        env.service_socket = path("/run/rollbackd/rollbackd.sock");
        assert_eq!(env.socket(own, false), Path::new("/run/rollbackd/rollbackd.sock"));
        assert_eq!(env.socket(Path::new("/srv/other"), true), Path::new("/srv/other/rollbackd.sock"));
        env.state_directory = path("/srv/third");
        assert_eq!(env.socket(Path::new("/srv/third"), false), Path::new("/srv/third/rollbackd.sock"));
        env.runtime_directory = path("/run/x");
        assert_eq!(env.socket(own, true), Path::new("/run/x/rollbackd.sock"));
    }

    #[test]
    fn the_first_file_that_is_there_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::create_dir_all(&a).unwrap();
        fs::create_dir_all(&b).unwrap();
        let env = Environment {
            configuration_directory: Some(a.clone()),
            system_configuration: Some(b.clone()),
            ..Environment::default()
        };
        assert_eq!(env.file(), None);
        fs::write(b.join(FILE), "").unwrap();
        assert_eq!(env.file(), Some(b.join(FILE)));
        fs::write(a.join(FILE), "").unwrap();
        assert_eq!(env.file(), Some(a.join(FILE)));
    }
}
