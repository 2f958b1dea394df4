//! What is typed becomes the right request or a fault that helps; what comes back is printed as people and programs
//! expect. Samples are made from JSON, which is the contract.
use super::*;
use crate::{
    control::api::{Selector, Side},
    model::At,
    plan::Plan,
    restore::Progress,
};
use clap::{CommandFactory, error::ErrorKind};
use serde_json::{Value, json};

const DIGEST: &str = "3f2a9c0d1e2f3f2a9c0d1e2f3f2a9c0d1e2f3f2a9c0d1e2f3f2a9c0d1e2f3f2a";

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("rollbackd").chain(line.split_whitespace()))
}
fn asked(line: &str) -> Result<Request, Fault> {
    match parse(line).unwrap_or_else(|e| panic!("{line}: {e}")).command {
        Command::Asked(asked) => request(&asked),
        other => panic!("{line} asks nothing: {other:?}"),
    }
}
/// The fault's text; it must be one of usage.
fn refused(line: &str) -> String {
    let fault = asked(line).expect_err(line);
    assert_eq!(fault.kind, FaultKind::Usage, "{line}");
    fault.message
}
fn at(text: &str) -> At {
    text.parse().unwrap()
}

#[test]
fn the_definitions_are_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_says_what_it_does_in_the_imperative_and_every_option_its_default() {
    fn walk(command: &clap::Command, path: &str) {
        let about = command.get_about().unwrap_or_else(|| panic!("{path} says nothing")).to_string();
        assert!(about.starts_with(char::is_uppercase) && !about.ends_with('.'), "{path}: {about}");
        for arg in command.get_arguments().filter(|a| !a.is_global_set() && !a.is_required_set()) {
            let (id, help) = (arg.get_id().as_str(), arg.get_help().map(ToString::to_string).unwrap_or_default());
            // What selects has no default; neither do clap's own.
            if ["help", "version", "what", "vpc", "tag", "account", "region"].contains(&id) {
                continue;
            }
            assert!(help.contains("[default") || !arg.get_default_values().is_empty(), "{path} {id}: {help}");
        }
        for sub in command.get_subcommands().filter(|c| c.get_name() != "help") {
            walk(sub, &format!("{path} {}", sub.get_name()));
        }
    }
    walk(&Cli::command(), "rollbackd");
    let help = Cli::command().render_long_help().to_string();
    for words in ["0  all restored", "1  error", "2  usage", "3  done, but with differences"] {
        assert!(help.contains(words), "{words}");
    }
}

#[test]
fn global_options_stand_anywhere() {
    let cli = parse("status -o json --config /etc/x.toml -v").unwrap();
    assert_eq!((cli.global.output, cli.global.verbose), (Output::Json, true));
    assert_eq!(cli.global.config.as_deref(), Some(std::path::Path::new("/etc/x.toml")));
    assert_eq!(parse("--output table kinds").unwrap().global.output, Output::Table);
    for wrong in
        ["status -o yaml", "nonsense", "approve", "approve xyz", "incidents inc-1", "plan --account 111122223333"]
    {
        let e = parse(wrong).expect_err(wrong);
        assert_eq!(e.exit_code(), 2, "{wrong}");
    }
    assert_eq!(parse("--help").unwrap_err().kind(), ErrorKind::DisplayHelp);
}

#[test]
fn commands_become_requests() {
    let incident = || "inc-0a1b2c3d".parse().unwrap();
    let digest = || "3f2a9c0d".parse().unwrap();
    let cases = [
        ("status", Request::Status),
        ("snapshot", Request::Snapshot { label: None }),
        ("snapshot --label friday-1.2", Request::Snapshot { label: Some("friday-1.2".into()) }),
        ("snapshots", Request::Snapshots { limit: 20 }),
        ("history vpc-1", Request::History { resource: "vpc-1".into() }),
        ("show vpc-1", Request::Show { resource: "vpc-1".into(), at: None }),
        ("show vpc-1@2h", Request::Show { resource: "vpc-1".into(), at: Some(at("2h")) }),
        (
            "show a@b@2026-03-01T10:00:00Z",
            Request::Show { resource: "a@b".into(), at: Some(at("2026-03-01T10:00:00Z")) },
        ),
        ("show a@b --at friday", Request::Show { resource: "a@b".into(), at: Some(at("friday")) }),
        ("diff 2h", Request::Diff { a: Side::At(at("2h")), b: Side::Live, resources: vec![] }),
        ("diff friday 1h", Request::Diff { a: Side::At(at("friday")), b: Side::At(at("1h")), resources: vec![] }),
        ("diff live 2h", Request::Diff { a: Side::Live, b: Side::At(at("2h")), resources: vec![] }),
        (
            "diff 2h live app sg-1",
            Request::Diff { a: Side::At(at("2h")), b: Side::Live, resources: vec!["app".into(), "sg-1".into()] },
        ),
        (
            "diff 2h vpc-0a1b2c3d sg-1",
            Request::Diff {
                a: Side::At(at("2h")),
                b: Side::Live,
                resources: vec!["vpc-0a1b2c3d".into(), "sg-1".into()],
            },
        ),
        ("incidents", Request::Incidents),
        ("incidents inc-0a1b2c3d", Request::Incident { id: incident() }),
        ("replay", Request::Replay { days: 7, config: None }),
        ("replay --days 30", Request::Replay { days: 30, config: None }),
        ("resume", Request::Resume { restore: None, reason: None }),
        ("resume abc --reason why", Request::Resume { restore: Some("abc".into()), reason: Some("why".into()) }),
        ("receipt abc --terraform", Request::Receipt { restore: "abc".into() }),
        ("approve 3f2a9c0d --reason ok", Request::Approve { digest: digest(), reason: Some("ok".into()) }),
        ("reject 3f2a9c0d", Request::Reject { digest: digest(), reason: None }),
        ("halt --reason fire", Request::Halt { reason: Some("fire".into()) }),
        ("unhalt", Request::Unhalt { reason: None }),
        ("audit", Request::Audit { limit: 50 }),
        ("audit --limit 3", Request::Audit { limit: 3 }),
        ("audit verify", Request::AuditVerify),
    ];
    for (line, want) in cases {
        assert_eq!(asked(line), Ok(want), "{line}");
    }
}

#[test]
fn the_form_of_a_word_decides_what_is_restored() {
    let plan = |selector, at, overwrite: &[&str]| Request::Plan {
        selector,
        at,
        overwrite: overwrite.iter().map(ToString::to_string).collect(),
        into: None,
    };
    let resources = |r: &[&str]| Selector::Resources(r.iter().map(ToString::to_string).collect());
    let cases = [
        ("inc-0a1b2c3d", plan(Selector::Incident("inc-0a1b2c3d".parse().unwrap()), None, &[])),
        ("vpc-1 app --at 2h", plan(resources(&["vpc-1", "app"]), Some(at("2h")), &[])),
        ("vpc-1 --overwrite sg-1 --overwrite sg-2", plan(resources(&["vpc-1"]), None, &["sg-1", "sg-2"])),
        ("--overwrite sg-1 vpc-1", plan(resources(&["vpc-1"]), None, &["sg-1"])),
        ("--vpc vpc-1", plan(Selector::Vpc("vpc-1".into()), None, &[])),
        ("--tag env=a=b", plan(Selector::Tag { key: "env".into(), value: "a=b".into() }, None, &[])),
        (
            "--account 111122223333 --region cn-north-1",
            plan(Selector::Scope("aws-cn/111122223333/cn-north-1".parse().unwrap()), None, &[]),
        ),
        (DIGEST, Request::StoredPlan { digest: DIGEST.parse().unwrap() }),
        ("3f2a9c0d", Request::StoredPlan { digest: "3f2a9c0d".parse().unwrap() }),
        // Seven digits, and upper case, are no digest.
        ("3f2a9c0", plan(resources(&["3f2a9c0"]), None, &[])),
        (
            "aws/111122223333/eu-west-1/ec2:vpc/3f2a9c0d",
            plan(resources(&["aws/111122223333/eu-west-1/ec2:vpc/3f2a9c0d"]), None, &[]),
        ),
    ];
    let Ok(Request::Plan { into, .. }) = asked("plan vpc-1 --into-region eu-central-1 --into-account 222233334444")
    else {
        panic!("no plan is asked for")
    };
    let into = into.unwrap().of(&"aws/111122223333/eu-west-1".parse().unwrap());
    assert_eq!(into.to_string(), "aws/222233334444/eu-central-1");
    for (words, want) in cases {
        assert_eq!(asked(&format!("plan {words}")), Ok(want.clone()), "{words}");
        assert_eq!(asked(&format!("restore {words} --yes")), Ok(want), "{words}");
    }
}

#[test]
fn what_does_not_go_together_is_refused_with_what_does() {
    for line in [
        "plan vpc-1 --vpc vpc-2",
        "plan inc-0a1b2c3d vpc-1",
        "restore 3f2a9c0d inc-0a1b2c3d",
        "plan inc-0a1b2c3d inc-0a1b2c3e",
        "plan --tag a=b --account 111122223333 --region eu-west-1",
    ] {
        let why = refused(line);
        assert!(why.starts_with("these do not go together; give one of: ") && why.contains("--tag KEY=VALUE"), "{why}");
    }
    assert!(refused("restore").starts_with("nothing is selected; give one of: "));
    assert!(refused("restore 3f2a9c0d --at 2h").contains("is made already"));
    assert!(refused("restore 3f2a9c0d --into-account 111122223333").contains("says where it builds"));
    assert!(refused("plan inc-0a1b2c3d --into-region eu-west-2").contains("is restored where it happened"));
    assert!(refused("plan --tag production").contains("expected KEY=VALUE"));
    assert!(refused("show vpc-1@-2h").contains("RFC 3339"));
    assert!(refused("show @2h").contains("names no resource"));
    assert!(refused("diff 2x").contains("or `live`"));
    assert!(refused("diff live").contains("the same"));
    assert!(refused("snapshot --label live").contains("not `live`"));
    assert!(refused("snapshot --label 2h").contains("begins with a letter"));
}

// --- restore: plan, question, restore ---

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn restore_asks_between_plan_and_restore_and_restores_that_digest() {
    let mut sent = vec![];
    let receipt = Answer::Receipt(Box::new(from(sample_receipt())));
    let answer = block_on(restore::flow(
        asked("restore inc-0a1b2c3d").unwrap(),
        Some("why".into()),
        async |request: Request, names: &restore::Names| {
            sent.push((request.clone(), names.len()));
            Ok(if sent.len() == 1 { Answer::Plan(Box::new(sample_plan())) } else { receipt.clone() })
        },
        |plan: &Plan| {
            assert_eq!(plan.steps.len(), 6);
            Ok(true)
        },
    ));
    assert_eq!(answer, Ok(receipt));
    assert!(matches!(sent[0], (Request::Plan { .. }, 0)));
    assert_eq!(
        sent[1],
        (Request::Restore { digest: DIGEST.parse().unwrap(), reason: Some("why".into()) }, 4),
        "the whole digest, and the names of its resources"
    );
}

#[test]
fn restore_does_nothing_without_a_yes_and_asks_nothing_when_nothing_is_to_do() {
    let run = |plan: Plan, agree: Option<bool>| {
        let mut sent = 0;
        let answer = block_on(restore::flow(
            asked("restore 3f2a9c0d").unwrap(),
            None,
            async |_: Request, _: &restore::Names| {
                sent += 1;
                Ok(if sent == 1 { Answer::Plan(Box::new(plan.clone())) } else { Answer::Unhalted })
            },
            |_: &Plan| agree.ok_or_else(|| Fault::failed("was asked")),
        ));
        (answer, sent)
    };
    let (no, sent) = run(sample_plan(), Some(false));
    assert_eq!(sent, 1);
    assert!(
        no.unwrap_err().message.contains("nothing was restored; the plan is kept: `rollbackd restore 3f2a9c0d1e2f`")
    );
    let empty = Plan { steps: vec![], ..sample_plan() };
    assert_eq!(run(empty, None), (Ok(Answer::Unhalted), 2));
}

// --- samples ---

fn from<T: serde::de::DeserializeOwned>(v: Value) -> T {
    serde_json::from_value(v).unwrap()
}
fn key(kind: &str, id: &str) -> String {
    format!("aws/111122223333/eu-west-1/ec2:{kind}/{id}")
}
fn step(number: u32, verb: &str, kind: &str, id: &str, name: Value) -> Value {
    json!({"number": number, "verb": verb, "resource": key(kind, id), "name": name, "want": {}, "as_of": "2026-03-01T09:00:00Z", "calls": ["ec2:Call"]})
}
fn sample_plan() -> Plan {
    let mut rewire = step(5, "rewire", "security-group", "sg-9", json!("batch"));
    rewire["live_id"] = json!("sg-10");
    rewire["changes"] = json!([
        {"path": "rules[tcp 443].group", "from": {"$late": "ec2:security-group", "id": "sg-1"}, "to": {"$late": "ec2:security-group", "id": "sg-1"}},
        {"path": "tags.team", "to": "net"},
        {"path": "description", "from": "x\u{202e}y"},
    ]);
    let mut skip = step(6, "skip", "instance", "i-1", Value::Null);
    skip["why"] = json!("ec2:instance cannot be restored by this version");
    from(json!({
        "digest": DIGEST,
        "made_at": "2026-03-01T10:00:00.5Z",
        "subject": {"of": "incident", "what": "inc-0a1b2c3d"},
        "point": "each resource's last version before the incident",
        "steps": [
            step(1, "claim", "elastic-ip", "eipalloc-1", json!("nat-a")),
            step(2, "create", "security-group", "sg-1", json!("web\u{1b}[31m")),
            step(3, "adopt", "route-table", "rtb-1", json!("main")),
            step(4, "link", "security-group", "sg-1", json!("web\u{1b}[31m")),
            rewire,
            skip,
        ],
        "conflicts": [{"resource": key("security-group", "sg-9"), "what": "changed since by others: description", "resolution": "kept as it is", "clashes": [{"path": "description", "want": "a", "left": "b", "live": "c"}]}],
        "losses": [{"resource": key("instance", "i-1"), "what": "its memory"}],
        "notes": ["ec2:vpc: never comes back: its id"],
        "chain_calls": 3,
        "floor_ms": 12000,
    }))
}
fn sample_receipt() -> Value {
    let item = |outcome: &str, kind: &str, id: &str, more: Value| {
        let mut v = json!({"resource": key(kind, id), "verbs": ["create"], "outcome": outcome});
        v.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        v
    };
    json!({
        "restore": "abc123", "plan": DIGEST, "incident": "inc-0a1b2c3d",
        "subject": {"of": "incident", "what": "inc-0a1b2c3d"}, "point": "before it",
        "started": "2026-03-01T10:00:00Z", "ended": "2026-03-01T10:00:41Z",
        "restored": 1, "of": 4,
        "items": [
            item("restored", "vpc", "vpc-1", json!({"new_id": "vpc-2", "name": "prod"})),
            item("differs", "subnet", "subnet-1", json!({"new_id": "subnet-2", "differences": [{"path": "cidr", "from": "10.0.1.0/24", "to": "10.0.0.0/24", "why": "AWS gave another one"}]})),
            item("failed", "nat-gateway", "nat-1", json!({"why": "AWS refused\u{1b}[2J"})),
            item("blocked", "route-table", "rtb-1", json!({"why": "needs step 3, which failed"})),
        ],
        "losses": [], "conflicts": [],
    })
}
fn look() -> Look {
    Look { width: None, colour: false, now: "2026-03-01T10:05:00Z".parse().unwrap() }
}
fn table(answer: &Answer) -> String {
    let mut out = vec![];
    render::render(answer, &Format::Table(look()), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "one line feed at the end: {text:?}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()) && !text.contains('\u{202e}'), "{text:?}");
    assert!(text.lines().all(|l| l.trim_end() == l), "no spaces at ends of lines: {text:?}");
    text
}
fn as_json(answer: &Answer) -> Value {
    let mut out = vec![];
    render::render(answer, &Format::Json, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.ends_with('\n') && !text.ends_with("\n\n"));
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    serde_json::from_str(&text).unwrap()
}

// --- views ---

#[test]
fn a_plan_reads_like_what_it_will_do() {
    let text = table(&Answer::Plan(Box::new(sample_plan())));
    let want = "\
Plan 3f2a9c0d1e2f of 2026-03-01T10:00:00Z
  Restores   incident inc-0a1b2c3d
  To         each resource's last version before the incident
  In         aws/111122223333/eu-west-1
  Digest     3f2a9c0d1e2f3f2a9c0d1e2f3f2a9c0d1e2f3f2a9c0d1e2f3f2a9c0d1e2f3f2a

Steps
  1 ^ claim     ec2:elastic-ip eipalloc-1 (nat-a)
  2 + create    ec2:security-group sg-1 (web\\u{1b}[31m)
  3 = adopt     ec2:route-table rtb-1 (main)
  5 ~ rewire    ec2:security-group sg-9 (batch), today sg-10
                ~ rules[tcp 443].group: sg-1 → the new id of sg-1
                + tags.team: \"net\"
                - description: \"x\\u{202e}y\"
  6 ! skip      ec2:instance i-1: ec2:instance cannot be restored by this version

Conflicts
  ! ec2:security-group sg-9: changed since by others: description (kept as it is)
        description: was \"a\", the incident left \"b\", now \"c\"
  What others changed since is kept; to put it back too, plan again with --overwrite and the id.

Does not come back
  - ec2:instance i-1: its memory

Notes
  ec2:vpc: never comes back: its id

5 resources: 1 to claim, 1 to create, 1 to adopt, 1 to rewire, 1 to skip. 6 calls writing to AWS, at most 3 of them one after another; at least 12 s by AWS's request limits.
  To restore: rollbackd restore 3f2a9c0d1e2f
";
    assert_eq!(text, want);
    let empty = Plan { steps: vec![], conflicts: vec![], losses: vec![], notes: [].into(), ..sample_plan() };
    assert!(table(&Answer::Plan(Box::new(empty))).ends_with("apart from what is said here.\n"));
}

#[test]
fn json_is_the_inner_value_without_what_a_terminal_obeys() {
    let plan = sample_plan();
    let v = as_json(&Answer::Plan(Box::new(plan.clone())));
    assert_eq!(v["digest"], DIGEST);
    assert_eq!(from::<Plan>(v), plan);
    assert_eq!(as_json(&Answer::Unhalted), Value::Null);
    assert_eq!(as_json(&Answer::Incidents(vec![])), json!([]));
}

#[test]
fn a_receipt_names_all_that_is_not_as_it_was() {
    let answer = Answer::Receipt(Box::new(from(sample_receipt())));
    let text = table(&answer);
    let want = "\
! 1 of 4 restored in 41 s: incident inc-0a1b2c3d
  To         before it
  In         aws/111122223333/eu-west-1
  Restore    abc123 of plan 3f2a9c0d1e2f, ended 2026-03-01T10:00:41Z

Failed
  ! ec2:nat-gateway nat-1: AWS refused\\u{1b}[2J

Not tried, because what they need failed
  ! ec2:route-table rtb-1: needs step 3, which failed

There, but not as they were
  ! ec2:subnet subnet-1, now subnet-2
      cidr: \"10.0.1.0/24\" → \"10.0.0.0/24\" (AWS gave another one)

New ids
  KIND        WAS       IS        NAME
  ec2:vpc     vpc-1     vpc-2     prod
  ec2:subnet  subnet-1  subnet-2  -

  To try again what failed: rollbackd resume abc123
";
    assert_eq!(text, want);
    assert_eq!(exit_code(&answer), 3);
    let mut whole = sample_receipt();
    whole["restored"] = json!(4);
    whole["items"] = json!([]);
    let answer = Answer::Receipt(Box::new(from(whole)));
    assert!(table(&answer).starts_with("* 4 of 4 restored in 41 s: incident inc-0a1b2c3d\n"));
    assert_eq!(exit_code(&answer), 0);
}

#[test]
fn progress_tells_how_steps_end_and_all_of_it_when_asked() {
    let progress = |state: &str, why: Value| -> Progress {
        from(
            json!({"step": 7, "of": 41, "verb": "create", "resource": key("subnet", "subnet-1"), "state": state, "new_id": "subnet-2", "why": why}),
        )
    };
    let line = |p: &Progress, all| render::progress(p, Some("app-a"), all, &look());
    assert_eq!(
        line(&progress("done", Value::Null), false).unwrap(),
        "[ 7/41] + create    ec2:subnet subnet-1 (app-a) → subnet-2\n"
    );
    assert_eq!(line(&progress("made", Value::Null), false), None);
    assert!(line(&progress("made", Value::Null), true).unwrap().ends_with("→ subnet-2: made\n"));
    assert_eq!(
        line(&progress("failed", json!("no\nroom")), false).unwrap(),
        "[ 7/41] ! create    ec2:subnet subnet-1 (app-a) → subnet-2: failed, no\\nroom\n"
    );
}

fn sample_incident() -> Value {
    let agent = json!({"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/ops/agent"});
    json!({
        "id": "inc-0a1b2c3d", "state": "awaiting-approval", "actor": agent,
        "sessions": [
            {"session": "ASIA1", "actor": agent, "verdict": {"rule": "agents", "field": "role", "value": "ops"}},
            {"session": "ASIA2", "parent": "ASIA1", "actor": {"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/net/x\u{1b}]0;evil\u{7}"}, "verdict": {"rule": "agents", "field": "role", "value": "ops", "inherited_from": "ASIA1"}},
            {"session": "ASIA3", "parent": "ASIA4", "actor": {"type": ""}},
            {"session": "ASIA4", "parent": "ASIA3", "actor": {"type": ""}},
        ],
        "acts": [
            {"event": "e1", "time": "2026-03-01T10:00:00Z", "session": "ASIA2", "scope": "aws/111122223333/eu-west-1", "source": "ec2.amazonaws.com", "name": "DeleteVpc", "class": "delete", "targets": [key("vpc", "vpc-1")]},
            {"event": "e2", "time": "2026-03-01T10:00:09Z", "session": "ASIA2", "scope": "aws/111122223333/eu-west-1", "source": "ec2.amazonaws.com", "name": "DisassociateRouteTable", "class": "detach", "targets": [{"kind": null, "name": "rtbassoc-1"}], "error": "DependencyViolation"},
        ],
        "first": "2026-03-01T10:00:00Z", "last": "2026-03-01T10:00:09Z", "closed": false,
        "lost": [{"resource": key("vpc", "vpc-1"), "name": "prod"}],
        "changed": [{"resource": key("security-group", "sg-9")}],
        "made": [{"resource": key("vpc", "vpc-7"), "name": "scratch"}],
        "beyond": ["rds:db-instance orders"],
        "plan": DIGEST,
        "trouble": "what is live has changed:\n  ec2:vpc vpc-1 is there again",
    })
}

#[test]
fn an_incident_says_who_what_and_what_next() {
    let text = table(&Answer::Incident(Box::new(from(sample_incident()))));
    let want = "\
Incident inc-0a1b2c3d: awaiting-approval
  Actor      arn:aws:sts::111122223333:assumed-role/ops/agent
  First call 2026-03-01T10:00:00Z (5 min ago)
  Last call  2026-03-01T10:00:09Z (4 min ago; more may come)
  In         aws/111122223333/eu-west-1
  Plan       3f2a9c0d1e2f

Sessions
  ASIA1  arn:aws:sts::111122223333:assumed-role/ops/agent
      agent by rule `agents`: role is `ops`
    └ ASIA2  arn:aws:sts::111122223333:assumed-role/net/x\\u{1b}]0;evil\\u{7}
        agent by rule `agents`: role is `ops`, inherited from ASIA1
  ASIA3  unknown
    └ ASIA4  unknown

Lost: 1
  - ec2:vpc vpc-1 (prod)

Changed: 1
  ~ ec2:security-group sg-9

Made meanwhile (a restore leaves it alone): 1
  + ec2:vpc vpc-7 (scratch)

Beyond: no snapshot knows it, or no kind can restore it
  ! rds:db-instance orders

2 calls, 1 of them without effect
  TIME                  CALL                    CLASS   TARGETS     ERROR
  2026-03-01T10:00:00Z  DeleteVpc               delete  vpc-1       -
  2026-03-01T10:00:09Z  DisassociateRouteTable  detach  rtbassoc-1  DependencyViolation

Trouble
  ! what is live has changed:
      ec2:vpc vpc-1 is there again

  To look at it: rollbackd plan 3f2a9c0d1e2f
  To approve: rollbackd approve 3f2a9c0d1e2f
  To reject: rollbackd reject 3f2a9c0d1e2f
";
    assert_eq!(text, want);
}

#[test]
fn an_incident_names_what_was_added_what_it_reached_and_what_was_made_again() {
    let mut incident = sample_incident();
    incident["kind"] = "blinding".into();
    incident["state"] = "planned".into();
    incident["acts"][0]["warning"] = "detaches-gateway".into();
    incident["recreated"] = json!([{"lost": key("vpc", "vpc-1"), "made": key("vpc", "vpc-7")}]);
    incident["added"] = json!([{
        "event": "e3", "time": "2026-03-01T10:00:05Z", "call": "AuthorizeSecurityGroupIngress", "to": [key("security-group", "sg-9")],
        "what": "cidrIp=0.0.0.0/0", "undo": "RevokeSecurityGroupIngress",
    }]);
    incident["reached"] = json!([{"resource": key("instance", "i-1"), "name": "web", "through": key("security-group", "sg-2"), "hops": 1}]);
    let text = table(&Answer::Incident(Box::new(from(incident))));
    for lines in [
        "Incident inc-0a1b2c3d: planned, rollbackd is blinded\n",
        "Lost and made again by the agent: 1\n  ~ ec2:vpc vpc-1 → vpc-7\n",
        "Added to what exists (a restore leaves it): 1\n  + 2026-03-01T10:00:05Z AuthorizeSecurityGroupIngress sg-9: cidrIp=0.0.0.0/0\n      RevokeSecurityGroupIngress takes it away again\n",
        "Survived, and depended on what was lost: 1\n  ! ec2:instance i-1 (web), through sg-2\n",
        "  ! Early warning at 2026-03-01T10:00:00Z: DeleteVpc detaches a gateway\n",
        "  To settle it, once it is undone: rollbackd reject 3f2a9c0d1e2f\n",
    ] {
        assert!(text.contains(lines), "{lines}\n---\n{text}");
    }
    let mut line = sample_line();
    line["kind"] = "blinding".into();
    let list = table(&Answer::Incidents(vec![from(line)]));
    assert!(list.contains("! inc-0a1b2c3d: an agent blinds rollbackd; look at this one first\n"), "{list}");
}

fn sample_line() -> Value {
    json!({
        "id": "inc-0a1b2c3d", "state": "planned", "actor": "arn:aws:sts::111122223333:assumed-role/ops/agent",
        "sessions": ["ASIA1"], "first": "2026-03-01T10:00:00Z", "last": "2026-03-01T10:00:09Z", "destroyed": 31,
        "lost": [key("vpc", "vpc-1")], "changed": [], "made": [], "plan": DIGEST, "restore": null,
        "starts_at": "2026-03-01T10:10:00Z", "trouble": null,
    })
}
fn sample_sweep(errors: Value) -> Value {
    json!({
        "started": "2026-03-01T10:02:00Z", "ended": "2026-03-01T10:02:02.300Z", "cause": "command",
        "scopes": {"aws/111122223333/eu-west-1": {"seen": 40, "changed": 2, "gone": 1}}, "errors": errors,
    })
}

#[test]
fn status_fits_on_a_screen_and_says_what_is_wrong_first() {
    let denied = json!([{"scope": "aws/111122223333/eu-west-1", "kind": "ec2:vpc", "error": "denied"}]);
    let status = json!({
        "version": "0.1.0", "ready": true, "daemon": true,
        "halted": {"at": "2026-03-01T10:04:00Z", "by": {"who": "root (uid 0)", "reason": "drill"}},
        "scopes": ["aws/111122223333/eu-west-1"], "last_sweep": sample_sweep(denied),
        "sources": [{"name": "queue https://sqs/q", "last_poll": "2026-03-01T10:04:58Z", "last_record": null, "lag_s": 2.25, "error": null}],
        "store": {"path": "/var/lib/rollbackd", "bytes": 3145728, "counts": {"versions": 120}, "unreadable_messages": 1},
        "incidents": [sample_line()],
        "restores": [{"id": "abc123", "state": "stopped", "plan": DIGEST, "incident": null, "started": "2026-03-01T10:03:00Z", "by": {"who": "policy production"}}],
        "troubles": ["no record for 6 h: is the rule enabled?"],
    });
    let text = table(&Answer::Status(Box::new(from(status))));
    let want = "\
* rollbackd 0.1.0: ready
! Halted since 2026-03-01T10:04:00Z by root (uid 0): drill. Nothing starts by itself until `rollbackd unhalt`.
! no record for 6 h: is the rule enabled?

  Watching   aws/111122223333/eu-west-1
  Last sweep 2026-03-01T10:02:02Z (2 min ago): 40 resources seen, 2 changed, 1 gone; 1 kind could not be read
  Store      /var/lib/rollbackd, 3 MiB: 120 versions; 1 unreadable messages kept

Could not be read (older versions stay)
  ! ec2:vpc in aws/111122223333/eu-west-1: denied

Sources
  SOURCE               POLLED   LAST RECORD  LAG    ERROR
  queue https://sqs/q  2 s ago  never        2.2 s  -

Incidents
  ID            PLAN          LAST CALL             STATE                     CALLS  LOST  CHANGED  MADE  ACTOR
  inc-0a1b2c3d  3f2a9c0d1e2f  2026-03-01T10:00:09Z  planned, starts in 5 min  31     1     0        0     assumed-role/ops/agent

Restores
  RESTORE  PLAN          INCIDENT  BEGAN                 STATE    BY
  abc123   3f2a9c0d1e2f  -         2026-03-01T10:03:00Z  stopped  policy production
  To go on: rollbackd resume abc123
";
    assert_eq!(text, want);
}

#[test]
fn snapshots_and_their_labels() {
    let whole = Answer::Sweep(from(sample_sweep(json!([]))));
    let want = "\
* Snapshot 2026-03-01T10:02:02.3Z in 2.3 s: 40 resources seen, 2 changed, 1 gone
  In         aws/111122223333/eu-west-1
";
    assert_eq!((table(&whole).as_str(), exit_code(&whole)), (want, 0));
    let denied = json!([{"scope": "aws/111122223333/eu-west-1", "kind": "ec2:vpc", "error": "denied"}]);
    let partly = Answer::Sweep(from(sample_sweep(denied)));
    assert!(table(&partly).contains("! ec2:vpc in aws/111122223333/eu-west-1: denied"));
    assert_eq!(exit_code(&partly), 3);
    let list = json!({
        "sweeps": [sample_sweep(json!([]))],
        "labels": {"friday": "2026-03-01T10:02:02.300Z", "old": "2026-01-01T00:00:00Z"},
    });
    let want = "\
ENDED                   SEEN  CHANGED  GONE  ERRORS  CAUSE    LABELS
2026-03-01T10:02:02.3Z  40    2        1     0       command  friday

Other labels
  LABEL  INSTANT
  old    2026-01-01T00:00:00Z
";
    assert_eq!(table(&Answer::Snapshots(from(list))), want);
}

fn sample_version(captured: &str, name: &str) -> Value {
    json!({
        "key": key("vpc", "vpc-1"), "read_began": captured, "captured_at": captured, "seen_at": "2026-03-01T10:04:00Z",
        "cause": "record", "event": "e1", "state": "present", "hash": DIGEST, "spec_version": 1,
        "spec": {"dhcp": {"$ref": "ec2:dhcp-options", "id": "dopt-1"}, "rows": [{"a": 1}], "tags": {"Name": name}},
        "aliases": ["arn:x"],
    })
}

#[test]
fn a_version_a_history_and_a_difference() {
    let text = table(&Answer::Show(Box::new(from(sample_version("2026-03-01T10:00:00.0001Z", "pro\u{202e}d")))));
    let want = "\
ec2:vpc vpc-1 (pro\\u{202e}d)
  In         aws/111122223333/eu-west-1
  Captured   2026-03-01T10:00:00.001Z, by record e1
  Seen until 2026-03-01T10:04:00Z
  Aliases    arn:x

  dhcp: dopt-1
  rows:
    - {a: 1}
  tags:
    Name: \"pro\\u{202e}d\"
";
    assert_eq!(text, want);

    let mut newest = sample_version("2026-03-01T10:00:00Z", "prod");
    newest["changes"] = json!([{"path": "tags.Name", "from": "dev", "to": "prod"}]);
    let mut oldest = sample_version("2026-03-01T09:00:00Z", "dev");
    oldest["changes"] = json!([{"path": "", "to": {"a": 1}}]);
    let gone = json!({"key": key("vpc", "vpc-1"), "read_began": "2026-03-01T10:03:00Z", "captured_at": "2026-03-01T10:03:00Z", "seen_at": "2026-03-01T10:03:00Z", "cause": "sweep", "sweep": "2026-03-01T10:02:00Z", "state": "gone", "changes": []});
    let history = json!({"resource": key("vpc", "vpc-1"), "versions": [gone, newest, oldest]});
    let want = "\
ec2:vpc vpc-1 (prod)
  In         aws/111122223333/eu-west-1

- 2026-03-01T10:03:00Z  gone, by sweep of 2026-03-01T10:02:00Z

~ 2026-03-01T10:00:00Z  changed, by record e1
  seen so until 2026-03-01T10:04:00Z
    ~ tags.Name: \"dev\" → \"prod\"

+ 2026-03-01T09:00:00Z  first seen, by record e1
  seen so until 2026-03-01T10:04:00Z

`rollbackd show vpc-1@INSTANT` shows one whole.
";
    assert_eq!(table(&Answer::History(from(history))), want);

    let diff = json!([
        {"resource": key("vpc", "vpc-1"), "name": "prod", "what": "changed", "changes": [{"path": "tags.Name", "from": "dev", "to": "prod"}]},
        {"resource": "aws/111122223333/eu-west-2/ec2:subnet/subnet-1", "name": null, "what": "gone", "changes": []},
    ]);
    let want = "\
~ ec2:vpc vpc-1 (prod) in 111122223333/eu-west-1
    ~ tags.Name: \"dev\" → \"prod\"
- ec2:subnet subnet-1 in 111122223333/eu-west-2

2 differences in aws/111122223333/eu-west-1, aws/111122223333/eu-west-2: 0 added, 1 changed, 1 gone.
";
    assert_eq!(table(&Answer::Diff(from(diff))), want);
    assert_eq!(table(&Answer::Diff(vec![])), "No differences.\n");
}

#[test]
fn the_audit_chain_and_its_check() {
    let entry = json!({"seq": 1, "at": "2026-03-01T10:00:00Z", "who": "root (uid 0)", "what": {"verb": "approved", "subject": DIGEST, "details": {"n": 1}}, "previous": DIGEST, "hash": DIGEST});
    let want = "\
NO  AT                    WHAT      SUBJECT       WHO           DETAILS
1   2026-03-01T10:00:00Z  approved  3f2a9c0d1e2f  root (uid 0)  {n: 1}
";
    assert_eq!(table(&Answer::Audit(from(json!([entry])))), want);
    let verified = |broken: Value| Answer::AuditVerified(from(json!({"entries": 7, "head": null, "broken": broken})));
    assert_eq!(table(&verified(Value::Null)), "* 7 entries, every link holds\n");
    assert_eq!(exit_code(&verified(Value::Null)), 0);
    let broken = verified(json!("audit entry 3 is missing"));
    assert!(table(&broken).starts_with("! The chain is broken: audit entry 3 is missing (7 entries read)\n"));
    assert_eq!(exit_code(&broken), 1);
}

#[test]
fn faults_keep_their_lines_and_nothing_else() {
    let fault = Fault::failed("x.toml:2:1: bad\n  |\n2 | \tab\u{1b}[2J\n");
    assert_eq!(render::fault(&fault, &look()), "error: x.toml:2:1: bad\n  |\n2 |     ab\\u{1b}[2J\n");
}

#[test]
fn kinds_are_listed_with_what_never_comes_back() {
    let mut out = vec![];
    let lines: Vec<_> =
        crate::kinds::registry::KINDS.iter().map(|k| render::KindLine::of(&k.facts(), k.spec_version())).collect();
    render::kinds(&lines, &Format::Json, &mut out).unwrap();
    let v: Value = serde_json::from_slice(&out).unwrap();
    assert!(v.as_array().unwrap().iter().any(|k| k["name"] == "ec2:vpc" && k["phase"] == "network"), "{v}");
    out.clear();
    render::kinds(&lines, &Format::Table(look()), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("KIND ") && text.lines().count() == lines.len() + 1, "{text}");
}

#[test]
fn coverage_counts_every_member_of_every_kind() {
    let lines: Vec<render::CoverageLine> = crate::kinds::registry::KINDS
        .iter()
        .map(|k| render::CoverageLine::of(k.name(), k.tables(), k.inputs()))
        .collect();
    for (line, kind) in lines.iter().zip(crate::kinds::registry::KINDS) {
        let fields: usize = kind.tables().iter().map(|t| t.fields.len()).sum();
        assert_eq!(line.kept + line.unsettable + line.runtime + line.gaps, fields, "{}", line.name);
    }
    let subnet = lines.iter().find(|l| l.name == "ec2:subnet").unwrap();
    assert!(subnet.references >= 2, "its VPC and its Outpost: {subnet:?}");
    let mut out = vec![];
    render::coverage(&lines, &Format::Json, &mut out).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap().as_array().unwrap().len(), lines.len());
}
