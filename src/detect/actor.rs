//! Rules that call an actor an agent. What a rule says holds for the whole session and for every session that it opens
//! (`lineage`); a record is judged by its own fields here.
//!
//! Fields are not equal. Role, user, session name, source identity, session tag and Identity Center user are set by AWS or
//! by a trust policy; `invoked_by` is set by AWS and cannot be forged. The user agent is set by the client: a match raises
//! suspicion (`Verdict::is_suspicion`), the lack of one clears nobody. There is no rule that clears, except for rollbackd's
//! own roles: it never treats itself as an agent. Guard their trust policies accordingly.
use crate::model::{Actor, actor::Verdict};
use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};

/// One `[[agent]]` of the configuration. A field holds globs (`*`, `?`, `[…]`, `{a,b}`; `*` crosses `/` and `:`) of which
/// any may match; any field that matches makes the rule match. Letters' case counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Shown wherever the rule's verdict is.
    pub name: String,
    /// The role's ARN, its name, its `AROA…` id, or the assumed role's ARN. The id survives a role that was made again.
    pub role: Vec<String>,
    /// A user's name, ARN or `AIDA…` id.
    pub user: Vec<String>,
    /// The name that the session got when it was assumed.
    pub session_name: Vec<String>,
    /// The one mark that an agent cannot drop once the trust policy demands it.
    pub source_identity: Vec<String>,
    /// `key=value`.
    pub session_tag: Vec<String>,
    /// The user id of Identity Center on whose behalf the session acts.
    pub identity_center_user: Vec<String>,
    /// The service that made the call for the actor, such as `aws-mcp.amazonaws.com`.
    pub invoked_by: Vec<String>,
    /// Raises suspicion only: incidents are found, none is acted on without a person.
    pub user_agent: Vec<String>,
}

/// The rules that hold when none are configured. No role pattern is among them: `*agent*` would take in the agents of
/// Systems Manager, build systems and monitoring. Which roles are agents only their owner knows.
pub fn default_rules() -> Vec<Rule> {
    let texts = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    vec![
        Rule {
            name: "managed-mcp".into(),
            invoked_by: texts(&["aws-mcp.amazonaws.com", "*-mcp.amazonaws.com"]),
            ..Rule::default()
        },
        // Documented marks (cloudtrail-facts §3, aws-facts "Finding the agent").
        Rule {
            name: "agent-tools".into(),
            user_agent: texts(&[
                "*md/awslabs#mcp#*",
                "*awslabs/mcp/*",
                "*mcp-proxy-for-aws/*",
                "*agentcore-mcp-server/*",
                "*AmazonQ-For-CLI*",
                "*AmazonQ-For-IDE*",
                "*KiroIDE*",
            ]),
            ..Rule::default()
        },
    ]
}

/// A rule that cannot be used: which, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRule {
    #[error("agent rule `{rule}`, field `{field}`: `{pattern}` is not a glob: {why}")]
    Pattern { rule: String, field: &'static str, pattern: String, why: String },
    #[error("agent rule `{rule}` has no field to match; give it at least one of {}", FIELDS.join(", "))]
    Empty { rule: String },
    #[error("agent rule number {number} has no name; verdicts refer to rules by name")]
    Unnamed { number: usize },
    #[error("two agent rules are named `{rule}`; verdicts refer to rules by name")]
    Twice { rule: String },
}

/// In the order of trust: where several match, the first is given as the reason.
const FIELDS: [&str; 8] = [
    "role",
    "user",
    "source_identity",
    "session_name",
    "session_tag",
    "identity_center_user",
    "invoked_by",
    "user_agent",
];

/// Which of several verdicts on a session counts: anything before suspicion, then the order of rules, then of fields.
pub(crate) type Rank = (bool, usize, usize);

#[derive(Debug, Clone)]
struct Compiled {
    name: String,
    /// Globs by index of `FIELDS`.
    fields: Vec<(usize, Vec<GlobMatcher>)>,
}

/// Compiled rules, and the roles that are rollbackd's own.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Compiled>,
    own: Vec<GlobMatcher>,
}

impl Rules {
    /// `own`: roles (or users) of rollbackd itself, in the forms that `Rule::role` and `Rule::user` take.
    pub fn new(rules: &[Rule], own: &[String]) -> Result<Self, BadRule> {
        let mut compiled: Vec<Compiled> = Vec::new();
        for (i, rule) in rules.iter().enumerate() {
            if rule.name.is_empty() {
                return Err(BadRule::Unnamed { number: i + 1 });
            }
            if compiled.iter().any(|r| r.name == rule.name) {
                return Err(BadRule::Twice { rule: rule.name.clone() });
            }
            let mut fields = Vec::new();
            for (field, patterns) in rule.fields().into_iter().enumerate() {
                if !patterns.is_empty() {
                    fields.push((field, globs(&rule.name, FIELDS[field], patterns)?));
                }
            }
            if fields.is_empty() {
                return Err(BadRule::Empty { rule: rule.name.clone() });
            }
            compiled.push(Compiled { name: rule.name.clone(), fields });
        }
        Ok(Self { rules: compiled, own: globs("rollbackd's own", "own", own)? })
    }

    /// What the rules say of an actor, by its own fields alone.
    pub fn verdict(&self, actor: &Actor) -> Option<Verdict> {
        self.ranked(actor).map(|(_, verdict)| verdict)
    }

    pub(crate) fn ranked(&self, actor: &Actor) -> Option<(Rank, Verdict)> {
        if self.is_own(actor) {
            return None;
        }
        let values: [Vec<String>; FIELDS.len()] = std::array::from_fn(|field| values(field, actor));
        let mut best: Option<(Rank, Verdict)> = None;
        for (number, rule) in self.rules.iter().enumerate() {
            for (field, globs) in &rule.fields {
                let Some(value) = values[*field].iter().find(|v| globs.iter().any(|g| g.is_match(v.as_str()))) else {
                    continue;
                };
                let verdict = Verdict {
                    rule: rule.name.clone(),
                    field: FIELDS[*field].to_owned(),
                    value: value.clone(),
                    inherited_from: None,
                };
                let rank = (verdict.is_suspicion(), number, *field);
                if best.as_ref().is_none_or(|(known, _)| rank < *known) {
                    best = Some((rank, verdict));
                }
            }
        }
        best
    }

    /// It is rollbackd itself.
    pub fn is_own(&self, actor: &Actor) -> bool {
        let ours = |v: &String| self.own.iter().any(|g| g.is_match(v.as_str()));
        !self.own.is_empty() && (values(0, actor).iter().any(ours) || values(1, actor).iter().any(ours))
    }
}

impl Rule {
    /// In the order of `FIELDS`.
    fn fields(&self) -> [&Vec<String>; FIELDS.len()] {
        [
            &self.role,
            &self.user,
            &self.source_identity,
            &self.session_name,
            &self.session_tag,
            &self.identity_center_user,
            &self.invoked_by,
            &self.user_agent,
        ]
    }
}

pub(super) fn globs(rule: &str, field: &'static str, patterns: &[String]) -> Result<Vec<GlobMatcher>, BadRule> {
    let compile = |pattern: &String| {
        let glob = GlobBuilder::new(pattern).literal_separator(false).backslash_escape(true).build();
        glob.map(|g| g.compile_matcher()).map_err(|e| BadRule::Pattern {
            rule: rule.to_owned(),
            field,
            pattern: pattern.clone(),
            why: e.kind().to_string(),
        })
    };
    patterns.iter().map(compile).collect()
}

/// What a field of `FIELDS` may match in an actor.
fn values(field: usize, actor: &Actor) -> Vec<String> {
    let own = |text: &Option<String>| text.iter().cloned().collect::<Vec<_>>();
    let id = |prefix: &str| actor.unique_id().filter(|id| id.starts_with(prefix)).map(str::to_owned);
    let session = actor.arn.as_deref().filter(|arn| arn.contains(":assumed-role/"));
    match FIELDS[field] {
        "role" => {
            let mut out = own(&actor.role_arn);
            out.extend(session.map(str::to_owned));
            let name = match &actor.role_arn {
                Some(arn) => arn.contains(":role/").then(|| arn.rsplit('/').next()).flatten(),
                // A session's ARN has the role's name without its path.
                None => session.and_then(|arn| arn.split('/').nth(1)),
            };
            out.extend(name.map(str::to_owned));
            out.extend(id("AROA"));
            out
        }
        "user" => {
            let mut out = own(&actor.user_name);
            out.extend(actor.arn.clone().filter(|arn| arn.contains(":user/") || arn.ends_with(":root")));
            out.extend(id("AIDA"));
            out
        }
        "source_identity" => own(&actor.source_identity),
        "session_name" => actor.session_name().map(str::to_owned).into_iter().collect(),
        "session_tag" => actor.session_tags.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        "identity_center_user" => own(&actor.on_behalf_of),
        "invoked_by" => own(&actor.invoked_by),
        _ => own(&actor.user_agent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(role: &str) -> Actor {
        Actor {
            kind: "AssumedRole".into(),
            arn: Some(format!("arn:aws:sts::111122223333:assumed-role/{role}/run-7")),
            principal_id: Some("AROAEXAMPLEEXAMPLE001:run-7".into()),
            role_arn: Some(format!("arn:aws:iam::111122223333:role/ops/{role}")),
            ..Actor::default()
        }
    }
    fn rules(rule: Rule) -> Rules {
        Rules::new(&[Rule { name: "r".into(), ..rule }], &[]).unwrap()
    }

    #[test]
    fn a_role_is_known_by_arn_name_session_and_id() {
        for pattern in [
            "arn:aws:iam::*:role/ops/agent-*",
            "agent-ops",
            "arn:aws:sts::111122223333:assumed-role/agent-ops/*",
            "AROAEXAMPLEEXAMPLE001",
            "{agent,bot}-ops",
        ] {
            let rules = rules(Rule { role: vec!["nothing".into(), pattern.into()], ..Rule::default() });
            assert_eq!(rules.verdict(&session("agent-ops")).map(|v| v.field), Some("role".into()), "{pattern}");
            let human = Actor { principal_id: Some("AROAOTHER:x".into()), ..session("human") };
            assert_eq!(rules.verdict(&human), None, "{pattern}");
        }
        // The role's ARN may be missing: the session's names the role all the same.
        let bare = Actor { role_arn: None, ..session("agent-ops") };
        assert!(rules(Rule { role: vec!["agent-ops".into()], ..Rule::default() }).verdict(&bare).is_some());
    }

    #[test]
    fn every_field_can_match_and_the_verdict_says_which() {
        let text = |s: &str| Some(s.to_owned());
        let list = |s: &str| vec![s.to_owned()];
        let actor = Actor {
            user_name: text("claude"),
            source_identity: text("agent:claude"),
            session_tags: [("purpose".to_owned(), "agent".to_owned())].into(),
            on_behalf_of: text("39d6ef71"),
            invoked_by: text("aws-mcp.amazonaws.com"),
            user_agent: text("aws-cli/2 md/awslabs#mcp#aws-api#1.0"),
            ..session("ops")
        };
        let cases = [
            (Rule { user: list("claude"), ..Rule::default() }, "user", "claude"),
            (Rule { session_name: list("run-*"), ..Rule::default() }, "session_name", "run-7"),
            (Rule { source_identity: list("agent:*"), ..Rule::default() }, "source_identity", "agent:claude"),
            (Rule { session_tag: list("purpose=agent"), ..Rule::default() }, "session_tag", "purpose=agent"),
            (Rule { identity_center_user: list("39d6*"), ..Rule::default() }, "identity_center_user", "39d6ef71"),
            (
                Rule { invoked_by: list("*-mcp.amazonaws.com"), ..Rule::default() },
                "invoked_by",
                "aws-mcp.amazonaws.com",
            ),
        ];
        for (rule, field, value) in cases {
            let verdict = rules(rule).verdict(&actor).unwrap();
            assert_eq!((verdict.rule.as_str(), verdict.field.as_str(), verdict.value.as_str()), ("r", field, value));
            assert!(!verdict.is_suspicion());
        }
    }

    #[test]
    fn the_user_agent_raises_suspicion_and_gives_way_to_anything_better() {
        let suspect = Rule { name: "ua".into(), user_agent: vec!["*mcp*".into()], ..Rule::default() };
        let role = Rule { name: "role".into(), role: vec!["agent-ops".into()], ..Rule::default() };
        let rules = Rules::new(&[suspect, role], &[]).unwrap();
        let mut actor = session("human");
        actor.user_agent = Some("x md/awslabs#mcp#y".into());
        assert!(rules.verdict(&actor).unwrap().is_suspicion());
        let both = Actor { user_agent: actor.user_agent.clone(), ..session("agent-ops") };
        assert_eq!(rules.verdict(&both).unwrap().rule, "role");
        // No user agent clears: the role's match stands.
        assert_eq!(rules.verdict(&session("agent-ops")).unwrap().rule, "role");
    }

    #[test]
    fn rollbackd_is_never_an_agent() {
        let rule = Rule { name: "all".into(), role: vec!["*".into()], ..Rule::default() };
        let own = vec!["arn:aws:iam::111122223333:role/ops/rollbackd-*".to_owned()];
        let rules = Rules::new(&[rule], &own).unwrap();
        assert_eq!(rules.verdict(&session("rollbackd-restore")), None);
        assert!(rules.verdict(&session("other")).is_some());
    }

    #[test]
    fn a_rule_that_cannot_work_is_an_error_that_names_it() {
        let of = |rule: Rule| Rules::new(&[rule], &[]).unwrap_err().to_string();
        let bad = of(Rule { name: "ops".into(), role: vec!["a[".into()], ..Rule::default() });
        assert!(bad.starts_with("agent rule `ops`, field `role`: `a[` is not a glob: "), "{bad}");
        assert!(of(Rule { name: "ops".into(), ..Rule::default() }).contains("has no field to match"));
        assert!(of(Rule { role: vec!["a".into()], ..Rule::default() }).contains("number 1 has no name"));
        assert!(serde_json::from_str::<Rule>(r#"{"name":"a","rolle":["x"]}"#).is_err());
    }

    #[test]
    fn the_defaults_know_every_documented_user_agent_and_only_suspect() {
        let rules = Rules::new(&default_rules(), &[]).unwrap();
        let by = |agent: &str| Actor { user_agent: Some(agent.into()), ..session("human") };
        for agent in [
            "aws-cli/2.19.2 md/installer#exe exec-env/AmazonQ-For-CLI-Version-1.2.3",
            "aws-cli/2.19.2 exec-env/AmazonQ-For-CLI Version/2.19.2 acp-client/kiro-tui",
            "aws-cli/2.19.2 exec-env/AmazonQ-For-IDE Version/1.94.0",
            "aws-sdk-js/3.1 KiroIDE-0.2.13",
            "Boto3/1.40 md/awslabs#mcp#aws-api-mcp-server#1.0.0 MCPClient/claude#1.0 cfg/ro#0 cfg/consent#0",
            "awslabs/mcp/AWS-API-MCP-server/0.2.1",
            "python-httpx/0.28.1 mcp-proxy-for-aws/1.7.0 claude-code/2.1.280",
            "agentcore-mcp-server/1.0 runtime-control",
        ] {
            assert!(rules.verdict(&by(agent)).is_some_and(|v| v.is_suspicion()), "{agent}");
        }
        for agent in
            ["aws-cli/2.37.3 md/command#ec2.delete-vpc", "APN/1.0 HashiCorp/1.0 Terraform/1.11.0", "Mozilla/5.0"]
        {
            assert_eq!(rules.verdict(&by(agent)), None, "{agent}");
        }
    }

    #[test]
    fn the_defaults_know_managed_mcp_and_leave_people_alone() {
        let rules = Rules::new(&default_rules(), &[]).unwrap();
        let through = |service: &str| Actor { invoked_by: Some(service.into()), ..session("human") };
        assert!(rules.verdict(&through("aws-mcp.amazonaws.com")).is_some());
        assert!(rules.verdict(&through("eks-mcp.amazonaws.com")).is_some());
        assert_eq!(rules.verdict(&through("cloudformation.amazonaws.com")), None);
        assert_eq!(rules.verdict(&session("ssm-agent-role")), None);
    }
}
