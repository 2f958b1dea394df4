//! The documented file against the code, what is refused and in which words.
use super::*;
use std::collections::BTreeSet;

const DOCUMENTED: &str = include_str!("../../config/rollbackd.toml");

fn environment() -> Environment {
    Environment { home: Some("/home/op".into()), ..Environment::default() }
}
fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("r.toml"), &environment())
}
fn refused(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

/// The file with its examples switched on: `#key = …` and `#[[table]]`, while prose has a space after its `#`.
fn with_examples(text: &str) -> String {
    let line = |l: &str| match l.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => rest.to_owned(),
        _ => l.to_owned(),
    };
    text.lines().map(|l| line(l) + "\n").collect()
}

/// The paths of all settings, rows of a list taken together.
fn keys(value: &toml::Value, at: &str, out: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                keys(value, &format!("{at}.{key}"), out);
            }
        }
        toml::Value::Array(rows) if rows.iter().any(toml::Value::is_table) => {
            rows.iter().for_each(|row| keys(row, at, out));
        }
        _ => {
            out.insert(at.to_owned());
        }
    }
}
fn keys_of(text: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    keys(&toml::Value::Table(text.parse().unwrap()), "", &mut out);
    out
}

#[test]
fn the_documented_file_is_the_defaults() {
    assert_eq!(parse(DOCUMENTED).unwrap(), parse("").unwrap());
}

/// A command sends settings to the daemon, to try them on the past.
#[test]
fn settings_survive_the_socket() {
    let full = parse(&with_examples(DOCUMENTED)).unwrap();
    let text = serde_json::to_string(&full).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), full);
}

#[test]
fn what_rollbackd_sees_and_acts_with_is_known_by_name() {
    let config = parse(
        "[aws]\nrestore_role = \"arn:aws:iam::111122223333:role/ops/fixer\"\n\
         [[queue]]\nurl = \"https://sqs.eu-west-1.amazonaws.com/111122223333/trail\"\n[trail]\nown = [\"watch-*\"]",
    );
    assert_eq!(config.unwrap().own(), ["watch-*", "trail", "fixer"]);
}

#[test]
fn every_setting_is_documented_and_every_documented_one_exists() {
    let full = with_examples(DOCUMENTED);
    let config = parse(&full).unwrap();
    assert!(!config.queues.is_empty() && !config.policies.is_empty() && config.agents.len() == 3);
    assert!(!config.ebs_snapshots.is_empty());
    assert_eq!(keys_of(&full), keys_of(&config.show()));
}

#[test]
fn the_documented_policy_is_the_fallback() {
    let policy = parse(&with_examples(DOCUMENTED)).unwrap().policies.remove(0);
    let fallback = Policy::fallback();
    let examples = Policy { name: policy.name.clone(), accounts: policy.accounts.clone(), ..fallback };
    assert_eq!(policy, Policy { regions: policy.regions.clone(), ..examples });
}

#[test]
fn what_is_shown_gives_the_same_settings_again() {
    for text in ["", &with_examples(DOCUMENTED)] {
        let config = parse(text).unwrap();
        assert_eq!(parse(&config.show()).unwrap(), config);
    }
}

#[test]
fn nothing_configured_is_complete() {
    let config = Config::load_in(None, &environment()).unwrap();
    assert_eq!(config.state_directory, Path::new("/home/op/.local/state/rollbackd"));
    assert_eq!(config.control.socket, Path::new("/home/op/.local/state/rollbackd/rollbackd.sock"));
    assert_eq!(config.control.access(), Access::Nobody);
    assert!(config.capture.kinds.is_match("ec2:vpc"));
    let service = Environment {
        state_directory: Some("/var/lib/rollbackd".into()),
        runtime_directory: Some("/run/rollbackd".into()),
        ..Environment::default()
    };
    let config = Config::load_in(None, &service).unwrap();
    assert_eq!(config.control.socket, Path::new("/run/rollbackd/rollbackd.sock"));
    assert_eq!(config.control.access(), Access::OwnGroup);
}

#[test]
fn the_first_policy_that_fits_decides() {
    let config = parse(
        r#"
        policy = [
            { name = "watch", accounts = ["111122223333"], regions = ["eu-*"], mode = "observe" },
            { name = "sandbox", accounts = ["111122223333"], mode = "auto", grace = "0s" },
        ]
        "#,
    )
    .unwrap();
    let of = |scope: &str| config.policy(&scope.parse().unwrap()).into_owned();
    assert_eq!(of("aws/111122223333/eu-west-1").name, "watch");
    assert_eq!(of("aws/111122223333/us-east-1").name, "sandbox");
    let other = of("aws/444455556666/eu-west-1");
    assert_eq!((other.name.as_str(), other.mode), ("default", Mode::Approve));
}

#[test]
fn a_queue_knows_its_region() {
    let of = |url: &str, region: &str| {
        let config = parse(&format!("[[queue]]\nurl = \"{url}\"\nregion = \"{region}\"")).unwrap();
        config.queues[0].region().map(|r| r.to_string())
    };
    assert_eq!(of("https://sqs.eu-west-1.amazonaws.com/111122223333/q", ""), Some("eu-west-1".into()));
    assert_eq!(of("https://sqs.cn-north-1.amazonaws.com.cn/111122223333/q", ""), Some("cn-north-1".into()));
    assert_eq!(of("https://vpce-0a-b.sqs.us-east-2.vpce.amazonaws.com/111122223333/q", ""), Some("us-east-2".into()));
    assert_eq!(of("https://queue.amazonaws.com/111122223333/q", ""), None);
    assert_eq!(of("https://sqs.amazonaws.com/111122223333/q", ""), None);
    assert_eq!(of("http://127.0.0.1:5000/111122223333/q", ""), None);
    assert_eq!(of("http://127.0.0.1:5000/111122223333/q", "eu-west-1"), Some("eu-west-1".into()));
}

#[test]
fn an_unknown_key_points_at_itself_and_names_the_nearest() {
    assert_eq!(
        refused("[capture]\n  evry = \"15m\"\n"),
        "r.toml:2:3: `capture.evry`: unknown key; did you mean `every`?\n  \
         |\n2 |   evry = \"15m\"\n  |   ^^^^\nallowed here: `every`, `jitter`, `on_start`, `kinds`, `parallel`"
    );
    let far = refused("frobnicate = 1");
    assert!(far.starts_with("r.toml:1:1: `frobnicate`: unknown key\n"), "{far}");
    assert!(far.contains("`state_directory`, `store`, `aws`, `capture`, `ebs_snapshots`, `queue`"), "{far}");
    let nested = refused("[[policy]]\nname = \"a\"\n[[policy]]\nname = \"b\"\nresource_max = 3");
    assert!(
        nested.starts_with("r.toml:5:1: `policy[1].resource_max`: unknown key; did you mean `resources_max`?"),
        "{nested}"
    );
    let section = refused("[polcy]\nname = \"a\"");
    assert!(section.starts_with("r.toml:1:2: `polcy`: unknown key; did you mean `policy`?"), "{section}");
    let agent = refused("[[agent]]\nname = \"a\"\nuser-agent = [\"x\"]");
    assert!(agent.starts_with("r.toml:3:1: `agent[0].user-agent`: unknown key; did you mean `user_agent`?"), "{agent}");
}

#[test]
fn a_wrong_value_points_at_itself_and_says_what_is_allowed() {
    for (text, start) in [
        (
            "[capture]\nevery = \"15\"",
            "r.toml:2:9: `capture.every`: `15` is not a duration; write a number and a unit, such as",
        ),
        (
            "[capture]\nevery = 15",
            "r.toml:2:9: `capture.every`: invalid type: integer `15`, expected a duration: a number and",
        ),
        ("[capture]\nevery = \"0s\"", "r.toml:2:9: `capture.every`: `0s` is not longer than zero"),
        ("[detect]\nquiet = \"-1m\"", "r.toml:2:9: `detect.quiet`: `-1m` is not longer than zero"),
        ("[capture]\nparallel = 0", "r.toml:2:12: `capture.parallel`: 0 is not a whole number from 1 to 256"),
        (
            "[capture]\nkinds = [\"ec2:[\"]",
            "r.toml:2:10: `capture.kinds[0]`: `ec2:[` is not a pattern: unclosed character",
        ),
        ("[capture]\nkinds = []", "r.toml:2:9: `capture.kinds`: an empty list matches nothing"),
        ("[aws]\nregions = [\"eu-west-1\", \"Ireland\"]", "r.toml:2:25: `aws.regions[1]`: `Ireland` is not a region"),
        ("[aws]\nrestore_role = \"admin\"", "r.toml:2:16: `aws.restore_role`: `admin` is not the ARN of a role; write"),
        (
            "[aws]\ninto_roles = [\"arn:aws:iam::222233334444:role/a\", \"arn:aws:iam::222233334444:role/b\"]",
            "r.toml:2:14: `aws.into_roles`: account 222233334444 has two roles; give one of them",
        ),
        ("[aws]\nexternal_id = \"x\"", "r.toml:2:15: `aws.external_id`: an external id is for assuming a role, and no"),
        (
            "[trail]\naccounts = [111122223333]",
            "r.toml:2:13: `trail.accounts[0]`: invalid type: integer `111122223333`",
        ),
        ("[[queue]]\nregion = \"eu-west-1\"", "r.toml:1:1: `queue[0]`: missing field `url`"),
        ("[[queue]]\nurl = \"rollbackd\"", "r.toml:2:7: `queue[0].url`: `rollbackd` is not the URL of a queue; write"),
        (
            "[[ebs_snapshots]]\ntag = \"backup\"\nevery = \"24h\"\nkeep = 7",
            "r.toml:2:7: `ebs_snapshots[0].tag`: `backup` is not a tag; write `key=value`",
        ),
        (
            "[[ebs_snapshots]]\ntag = \"backup=daily\"\nevery = \"24h\"\nkeep = 0",
            "r.toml:4:8: `ebs_snapshots[0].keep`: 0 is not a whole number from 1 to 1000",
        ),
        (
            "[[ebs_snapshots]]\ntag = \"a=b\"\nevery = \"1d\"\nkeep = 1\n[[ebs_snapshots]]\ntag = \"a=b\"\nevery = \"2d\"\nkeep = 2",
            "r.toml:6:7: `ebs_snapshots[1].tag`: `a=b` is there twice; copies are told apart by it",
        ),
        ("[[policy]]\nmode = \"auto\"", "r.toml:1:1: `policy[0].name`: a policy needs a name"),
        (
            "[[policy]]\nname = \"default\"",
            "r.toml:2:8: `policy[0].name`: `default` is the name of the policy that holds",
        ),
        (
            "[[policy]]\nname = \"a\"\n[[policy]]\nname = \"a\"",
            "r.toml:4:8: `policy[1].name`: two policies are named `a`",
        ),
        (
            "[[agent]]\nname = \"a\"\nrole = [\"y\", \"x[\"]",
            "r.toml:3:14: `agent[0].role`: agent rule `a`, field `role`: `x[` is not a",
        ),
        ("[[agent]]\nrole = [\"x\"]", "r.toml:1:1: `agent[0].name`: agent rule number 1 has no name"),
        ("state_directory = \"~/x\"", "r.toml:1:19: `state_directory`: `~/x` is a relative path; write it in full"),
        ("a = 1\na = 2", "r.toml:2:1: duplicate key"),
        ("capture = 3", "r.toml:1:11: `capture`: invalid type: integer `3`, expected a section, `[capture]`\n"),
        (
            "[aws]\nregions = \"x\"",
            "r.toml:2:11: `aws.regions`: invalid type: string \"x\", expected a list in `[` and `]`\n",
        ),
        ("[capture\nevery = 1", "r.toml:1:9: "),
    ] {
        let error = refused(text);
        assert!(error.starts_with(start), "for {text:?}\n{error}\nexpected {start}");
        assert!(error.contains(" |\n"), "the line is shown: {error}");
    }
    let mode = refused("[[policy]]\nname = \"a\"\nmode = \"automatic\"");
    assert!(mode.starts_with("r.toml:3:8: `policy[0].mode`: `automatic` is not known here"), "{mode}");
    assert!(mode.ends_with("allowed here: `observe`, `approve`, `auto`"), "{mode}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.toml");
    let error = Config::load_in(Some(&path), &environment()).unwrap_err().to_string();
    assert!(error.contains(&path.display().to_string()) && error.contains("--config"), "{error}");
    std::fs::write(&path, vec![b'#'; FILE_BYTES_MAX + 1]).unwrap();
    let error = Config::load_in(Some(&path), &environment()).unwrap_err().to_string();
    assert!(error.contains("larger than 1048576 bytes"), "{error}");
    std::fs::write(&path, b"\xff\xfe").unwrap();
    assert!(matches!(Config::load_in(Some(&path), &environment()), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn a_socket_path_that_unix_refuses_is_refused_here() {
    let error = refused(&format!("state_directory = \"/{}\"", "x".repeat(100)));
    assert!(error.contains("Unix allows 107"), "{error}");
}

#[test]
fn what_a_reload_cannot_change_is_named() {
    let old = parse("").unwrap();
    assert_eq!(old.needs_restart(&parse("[capture]\nevery = \"1h\"").unwrap()), Vec::<&str>::new());
    assert_eq!(old.needs_restart(&parse("state_directory = \"/x\"").unwrap()), ["state_directory", "control"]);
    assert_eq!(old.needs_restart(&parse("[store]\nkey_file = \"/x\"").unwrap()), ["store"]);
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_configuration_or_an_error_that_points_into_it(text in "([a-z_]{1,8}|\\[|\\]|=|\"|\n|é|\t| |1m|\\[aws\\]|regions){0,30}") {
        if let Err(ConfigError::Invalid(fault)) = parse(&text) {
            proptest::prop_assert!(fault.line >= 1 && fault.line <= text.matches('\n').count() + 1);
            proptest::prop_assert!(fault.column <= fault.source_line.chars().count() + 1);
            proptest::prop_assert!(!fault.to_string().is_empty());
        }
    }
}
