//! The units of `systemd/`, judged by systemd itself.
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const SERVICES: [&str; 2] = ["rollbackd.service", "rollbackd-snapshot.service"];

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)
}
fn text(name: &str) -> String {
    fs::read_to_string(unit(name)).unwrap()
}

/// A tool of systemd's, unless this machine has none.
fn tool(name: &str) -> Option<Command> {
    match Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(_) => Some(Command::new(name)),
        Err(e) => {
            eprintln!("not checked: {name} does not run here ({e}); install the package systemd, as .ci/run does");
            None
        }
    }
}

/// Runs to success, or fails with what was said.
fn succeed(command: &mut Command) -> String {
    let out = command.output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {}\n{said}", out.status);
    said
}

#[test]
fn systemd_accepts_the_units() {
    let Some(mut analyze) = tool("systemd-analyze") else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut copies = vec![];
    for name in SERVICES.iter().chain(&["rollbackd-snapshot.timer"]) {
        let copy = dir.path().join(name);
        // `verify` wants the program to be there, and nothing is installed here.
        fs::write(&copy, text(name).replace("/usr/bin/rollbackd", "/bin/true")).unwrap();
        copies.push(copy);
    }
    let said = succeed(analyze.args(["verify", "--man=no"]).args(&copies));
    // It succeeds with warnings too, such as one for a key that it does not know.
    assert!(!said.contains("rollbackd"), "{said}");
}

#[test]
fn the_services_are_locked_down() {
    for name in SERVICES {
        let Some(mut analyze) = tool("systemd-analyze") else { return };
        succeed(analyze.args(["security", "--offline=true", "--no-pager", "--threshold=20"]).arg(unit(name)));
    }
}

#[test]
fn the_snapshot_runs_in_the_sandbox_of_the_daemon() {
    let settings = |name: &str, from: &str| -> Vec<String> {
        let text = text(name);
        let lines = text.lines().skip_while(|l| !l.starts_with(from)).take_while(|l| !l.starts_with("[Install]"));
        lines.filter(|l| l.contains('=') && !l.starts_with('#')).map(str::to_owned).collect()
    };
    let daemon = settings(SERVICES[0], "CapabilityBoundingSet=");
    assert!(daemon.len() > 20, "{daemon:?}");
    assert_eq!(daemon, settings(SERVICES[1], "CapabilityBoundingSet="));
    for key in ["User=", "Group=", "StateDirectory=", "StateDirectoryMode=", "UMask="] {
        let value = |name| text(name).lines().find(|l| l.starts_with(key)).map(str::to_owned);
        assert!(value(SERVICES[0]).is_some() && value(SERVICES[0]) == value(SERVICES[1]), "{key}");
    }
}

/// In a root folder of its own: the user is made, then the directories that belong to it.
#[test]
fn the_user_and_the_directories_are_made() {
    let (Some(mut sysusers), Some(mut tmpfiles)) = (tool("systemd-sysusers"), tool("systemd-tmpfiles")) else { return };
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    if root.path().metadata().unwrap().uid() != 0 {
        eprintln!("only read, not carried out: giving directories to another user takes root");
        succeed(sysusers.arg("--dry-run").arg("--root").arg(root.path()).arg(unit("rollbackd.sysusers")));
        return;
    }
    succeed(sysusers.arg("--root").arg(root.path()).arg(unit("rollbackd.sysusers")));
    let passwd = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    let fields: Vec<_> = passwd.lines().find(|l| l.starts_with("rollbackd:")).unwrap().split(':').collect();
    assert!(fields[5] == "/var/lib/rollbackd" && fields[6].ends_with("nologin"), "{passwd}");
    succeed(tmpfiles.args(["--create", "--root"]).arg(root.path()).arg(unit("rollbackd.tmpfiles")));
    let state = root.path().join("var/lib/rollbackd").metadata().unwrap();
    assert_eq!((state.uid().to_string().as_str(), state.mode() & 0o777), (fields[2], 0o700));
}
