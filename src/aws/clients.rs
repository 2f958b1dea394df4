//! Clients per account and region: where credentials, roles, time limits, retries and pacing are decided, once.
use super::{
    Class, Cx, Failure,
    budget::{Budget, Paced},
    tap::Tap,
};
use crate::model::{AccountId, Hash, Partition, Region, Scope};
use aws_config::{
    BehaviorVersion, SdkConfig, identity::IdentityCache, retry::RetryConfig, sts::AssumeRoleProvider,
    timeout::TimeoutConfig,
};
use aws_sdk_ec2::config::{SharedCredentialsProvider, StalledStreamProtectionConfig, retry::RetryPartition};
use aws_smithy_http_client::{Builder as HttpBuilder, ConnectorBuilder, proxy::ProxyConfig, tls};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// What the calls are for. Each purpose has its own quota of retries: a throttled sweep must not use up a restore's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    Sweep,
    /// Reads that an incident or a person waits for: what a record named, what a plan is made from.
    Respond,
    Restore,
    /// Copies of data on a schedule.
    Copy,
}

/// A role to assume in an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// `arn:aws:iam::111122223333:role/rollbackd-observe`
    pub arn: String,
    /// What the role's trust policy asks for, if it does.
    pub external_id: Option<String>,
    /// A policy that narrows the session further, as JSON.
    pub session_policy: Option<String>,
}

/// Where AWS is and as whom to go there. What is `None` comes from the AWS SDK's own chain: environment, profile, SSO,
/// instance role; `AWS_ENDPOINT_URL`.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub profile: Option<String>,
    pub region: Option<Region>,
    pub endpoint_url: Option<String>,
    /// Roles to read with, by account. In the caller's own account none is needed.
    pub observe: BTreeMap<AccountId, Role>,
    /// Roles to restore with, by account; where there is none, restores use what reads use.
    pub restore: BTreeMap<AccountId, Role>,
    /// Roles to copy data with, likewise.
    pub copy: BTreeMap<AccountId, Role>,
}

/// Who the credentials belong to (STS GetCallerIdentity).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub partition: Partition,
    pub account: AccountId,
    pub arn: String,
}

/// The name of every session that rollbackd takes on.
pub const SESSION_NAME: &str = "rollbackd";
/// The tag of a session that carries the digest of what it was assumed for.
pub const SESSION_DIGEST_TAG: &str = "rollbackd:digest";
/// Until a connection stands; until an answer comes once the request is sent; for the whole call with its retries and its
/// waits for a turn. The SDK sets no limit on the last two by itself.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
const READ_WAIT_MAX: Duration = Duration::from_secs(30);
const CALL_WAIT_MAX: Duration = Duration::from_secs(600);
/// Attempts of a call that may be repeated.
const ATTEMPTS: u32 = 5;

/// Where, what for, and for which plan.
type ContextKey = (Scope, Purpose, Option<Hash>);

/// AWS, as one identity sees it. Contexts are made on first use and kept.
#[derive(Debug)]
pub struct Aws {
    base: SdkConfig,
    http: SharedHttpClient,
    region: Region,
    caller: Caller,
    settings: Settings,
    contexts: Mutex<HashMap<ContextKey, Cx>>,
    budgets: Mutex<HashMap<Scope, Arc<Budget>>>,
}

impl Aws {
    /// Finds region and credentials and asks AWS who they are. Without a region the error is
    /// `NoRegion`; without credentials its class is `Class::Credentials`; each says what to do.
    pub async fn connect(settings: Settings) -> Result<Self, Failure> {
        let http = https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http.clone())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_WAIT_MAX)
                    .read_timeout(READ_WAIT_MAX)
                    .operation_timeout(CALL_WAIT_MAX)
                    .build(),
            );
        if let Some(profile) = &settings.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &settings.region {
            loader = loader.region(sdk_region(region));
        }
        if let Some(url) = &settings.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        Self::over(loader.load().await, http, settings).await
    }

    /// Over a configuration that is loaded already.
    async fn over(base: SdkConfig, http: SharedHttpClient, settings: Settings) -> Result<Self, Failure> {
        let Some(region) = base.region() else {
            return Err(setup(
                "NoRegion",
                "no AWS region is set: give one with --region, AWS_REGION or in the profile",
            ));
        };
        let region = region.as_ref().parse::<Region>().map_err(|e| setup("NoRegion", &e.to_string()))?;
        let caller = caller(&base).await?;
        Ok(Self { base, http, region, caller, settings, contexts: Mutex::default(), budgets: Mutex::default() })
    }

    pub fn caller(&self) -> &Caller {
        &self.caller
    }
    /// The region that was asked for or found.
    pub fn region(&self) -> &Region {
        &self.region
    }
    /// The caller's own account in that region.
    pub fn scope(&self) -> Scope {
        Scope {
            partition: self.caller.partition.clone(),
            account: self.caller.account.clone(),
            region: self.region.clone(),
        }
    }
    /// The configuration of the caller itself in its region, for clients of other modules (SQS, say).
    pub fn config(&self) -> &SdkConfig {
        &self.base
    }
    /// A client for a queue: the caller's own identity, in the queue's region.
    pub fn sqs(&self, region: Option<&Region>) -> aws_sdk_sqs::Client {
        let mut config = aws_sdk_sqs::config::Builder::from(&self.base);
        if let Some(region) = region {
            config = config.region(sdk_region(region));
        }
        aws_sdk_sqs::Client::from_conf(config.build())
    }
    /// The request budget of an account and region, shared by all its clients.
    pub fn budget(&self, scope: &Scope) -> Arc<Budget> {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.entry(scope.clone()).or_default().clone()
    }

    /// Clients for reading a scope.
    pub async fn sweep_cx(&self, scope: &Scope) -> Result<Cx, Failure> {
        self.cx(scope, Purpose::Sweep, None).await
    }
    /// Clients for reads of a scope that somebody waits for.
    pub async fn respond_cx(&self, scope: &Scope) -> Result<Cx, Failure> {
        self.cx(scope, Purpose::Respond, None).await
    }
    /// Clients for one restore. `digest` is the plan's: it tags the session of the role that is assumed, so that
    /// CloudTrail ties every call to what was approved. `leave` ends it.
    pub async fn restore_cx(&self, scope: &Scope, digest: &Hash) -> Result<Cx, Failure> {
        self.cx(scope, Purpose::Restore, Some(digest)).await
    }
    /// Clients for one round of copies. `digest` tags the session of the role that is assumed, and stands in the audit.
    pub async fn copy_cx(&self, scope: &Scope, digest: &Hash) -> Result<Cx, Failure> {
        self.cx(scope, Purpose::Copy, Some(digest)).await
    }
    /// Forgets the clients of a restore, or of a round of copies, and with them their session's credentials.
    pub fn leave(&self, digest: &Hash) {
        let mut contexts = self.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        contexts.retain(|(_, _, d), _| d.as_ref() != Some(digest));
    }

    async fn cx(&self, scope: &Scope, purpose: Purpose, digest: Option<&Hash>) -> Result<Cx, Failure> {
        let key = (scope.clone(), purpose, digest.cloned());
        if let Some(cx) = self.contexts.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(cx.clone());
        }
        let cx = self.make(scope, purpose, digest).await?;
        let mut contexts = self.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(contexts.entry(key).or_insert(cx).clone())
    }

    async fn make(&self, scope: &Scope, purpose: Purpose, digest: Option<&Hash>) -> Result<Cx, Failure> {
        if scope.partition != self.caller.partition {
            return Err(setup(
                "OtherPartition",
                &format!("{scope} is not reachable with credentials of partition {}", self.caller.partition),
            ));
        }
        let config = self.base.to_builder().region(sdk_region(&scope.region));
        let config = match self.role(scope, purpose)? {
            // A cache of its own, so that the session's credentials go when its clients do.
            Some(role) => config
                .credentials_provider(self.assume(role, scope, digest).await)
                .identity_cache(IdentityCache::lazy().build())
                .build(),
            None => config.build(),
        };
        let paced = Paced::client(self.http.clone(), self.budget(scope), purpose, "ec2");
        let build = |attempts: u32, partition: RetryPartition| {
            let retries = RetryConfig::standard().with_max_attempts(attempts);
            let builder = aws_sdk_ec2::config::Builder::from(&config);
            let builder = builder.retry_config(retries).retry_partition(partition);
            // A request that waits for its turn would be taken for a stalled upload; answers are still watched.
            let builder = builder
                .stalled_stream_protection(StalledStreamProtectionConfig::enabled().upload_enabled(false).build());
            aws_sdk_ec2::Client::from_conf(builder.http_client(paced.clone()).interceptor(Tap).build())
        };
        // A custom partition is shared with nobody, not even one of the same name: each context has a quota of its own.
        let partition = || RetryPartition::custom(format!("{purpose:?}-{scope}")).build();
        Ok(Cx {
            scope: scope.clone(),
            ec2: build(ATTEMPTS, partition()),
            ec2_once: build(1, partition()),
            quotas: super::quotas::client(&config),
        })
    }

    /// The role to take on in an account; none in the caller's own, unless one is set.
    fn role(&self, scope: &Scope, purpose: Purpose) -> Result<Option<&Role>, Failure> {
        let writes = match purpose {
            Purpose::Restore => self.settings.restore.get(&scope.account),
            Purpose::Copy => self.settings.copy.get(&scope.account),
            Purpose::Sweep | Purpose::Respond => None,
        };
        let Some(role) = writes.or_else(|| self.settings.observe.get(&scope.account)) else {
            if scope.account == self.caller.account {
                return Ok(None);
            }
            return Err(setup(
                "NoRole",
                &format!(
                    "no role is set for account {}, and the credentials are of {}: name a role of it under `into_roles` in [aws] of the configuration",
                    scope.account, self.caller.account
                ),
            ));
        };
        // A role of another account would read and write there in this one's name.
        match role.arn.split(':').nth(4) {
            Some(account) if account == scope.account.as_str() => Ok(Some(role)),
            _ => Err(setup("WrongRole", &format!("`{}` is no role of account {}", role.arn, scope.account))),
        }
    }

    async fn assume(&self, role: &Role, scope: &Scope, digest: Option<&Hash>) -> SharedCredentialsProvider {
        let mut provider = AssumeRoleProvider::builder(&role.arn)
            .configure(&self.base)
            .region(sdk_region(&scope.region))
            .session_name(SESSION_NAME);
        if let Some(id) = &role.external_id {
            provider = provider.external_id(id);
        }
        if let Some(policy) = &role.session_policy {
            provider = provider.policy(policy);
        }
        if let Some(digest) = digest {
            provider = provider.tags([(SESSION_DIGEST_TAG, digest.as_str())]);
        }
        SharedCredentialsProvider::new(provider.build().await)
    }
}

async fn caller(config: &SdkConfig) -> Result<Caller, Failure> {
    let action = "sts:GetCallerIdentity";
    let who = aws_sdk_sts::Client::new(config).get_caller_identity().send().await;
    let who = who.map_err(|e| Failure::new(action, e))?;
    let (Some(account), Some(arn)) = (who.account, who.arn) else {
        return Err(Failure::incomplete(action, "account and ARN"));
    };
    let partition = arn.split(':').nth(1).unwrap_or_default();
    Ok(Caller {
        partition: partition.parse().map_err(|_| Failure::incomplete(action, "partition in the ARN"))?,
        account: account.parse().map_err(|_| Failure::incomplete(action, "account of twelve digits"))?,
        arn,
    })
}

/// A mistake in the settings, found before any call: `Class::Invalid`, since nothing but other settings helps.
fn setup(code: &str, message: &str) -> Failure {
    Failure {
        action: "aws:Connect",
        code: code.to_owned(),
        message: message.to_owned(),
        request_id: None,
        class: Class::Invalid,
    }
}

fn sdk_region(region: &Region) -> aws_config::Region {
    aws_config::Region::new(region.as_str().to_owned())
}

/// The SDK's own HTTPS client (rustls, aws-lc, proxies from the environment), made here so that pacing can stand before it.
/// One for all clients: they share its connections.
fn https() -> SharedHttpClient {
    HttpBuilder::new().build_with_connector_fn(|settings, parts| {
        let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
        let mut connector = ConnectorBuilder::default().tls_provider(provider);
        connector.set_connector_settings(settings.cloned());
        if let Some(parts) = parts {
            connector.set_sleep_impl(parts.sleep_impl());
        }
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::canned::{Answer, Call, Canned};

    fn aws_says(call: &Call) -> Answer {
        match call.action.as_str() {
            "GetCallerIdentity" => Answer::Raw(200, "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>arn:aws:sts::111122223333:assumed-role/ops/me</Arn><UserId>AROA:me</UserId><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>".into()),
            "AssumeRole" => Answer::Raw(200, "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>".into()),
            "DescribeVpcs" => "<vpcSet/>".into(),
            _ => Answer::Error(503, "RequestLimitExceeded", "slow down"),
        }
    }
    /// Connected through the SDK's own loader, with credentials that the environment need not have.
    async fn connected(canned: &Canned, settings: Settings) -> Aws {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(aws_config::Region::new("eu-west-1"))
            .credentials_provider(aws_sdk_ec2::config::Credentials::new("AKIDEXAMPLE", "s", None, None, "test"))
            .http_client(canned.http())
            .load()
            .await;
        Aws::over(config, canned.http(), settings).await.unwrap()
    }
    fn role(account: &str) -> (AccountId, Role) {
        let arn = format!("arn:aws:iam::{account}:role/rollbackd");
        (account.parse().unwrap(), Role { arn, external_id: Some("x-1".into()), session_policy: Some("{}".into()) })
    }
    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn who_we_are_is_asked_once_and_contexts_are_kept() {
        let canned = Canned::new(aws_says);
        let aws = connected(&canned, Settings::default()).await;
        assert_eq!(aws.scope(), scope("aws/111122223333/eu-west-1"));
        assert_eq!(aws.caller().arn, "arn:aws:sts::111122223333:assumed-role/ops/me");
        let cx = aws.sweep_cx(&aws.scope()).await.unwrap();
        cx.ec2.describe_vpcs().send().await.unwrap();
        aws.sweep_cx(&aws.scope()).await.unwrap();
        assert_eq!(aws.contexts.lock().unwrap().len(), 1);
        assert_eq!(
            canned.asked().iter().map(|c| c.action.clone()).collect::<Vec<_>>(),
            ["GetCallerIdentity", "DescribeVpcs"]
        );
    }

    #[tokio::test]
    async fn a_restore_assumes_its_role_for_one_act_with_the_plans_digest() {
        let canned = Canned::new(aws_says);
        let roles: BTreeMap<_, _> = [role("222233334444")].into();
        let settings = Settings { observe: roles.clone(), restore: roles, ..Settings::default() };
        let aws = connected(&canned, settings).await;
        let other = scope("aws/222233334444/us-east-1");
        let digest = Hash::of_bytes(b"plan");
        aws.restore_cx(&other, &digest).await.unwrap().ec2.describe_vpcs().send().await.unwrap();
        let assumed = canned.asked().into_iter().find(|c| c.action == "AssumeRole").unwrap();
        assert_eq!(assumed.get("RoleSessionName"), "rollbackd");
        assert_eq!((assumed.get("ExternalId"), assumed.get("Policy")), ("x-1", "{}"));
        assert_eq!(
            (assumed.get("Tags.member.1.Key"), assumed.get("Tags.member.1.Value")),
            (SESSION_DIGEST_TAG, digest.as_str())
        );
        aws.sweep_cx(&other).await.unwrap();
        aws.leave(&digest);
        assert_eq!(aws.contexts.lock().unwrap().keys().map(|(_, p, _)| *p).collect::<Vec<_>>(), [Purpose::Sweep]);
    }

    #[tokio::test]
    async fn copies_are_made_with_a_role_of_their_own() {
        let canned = Canned::new(aws_says);
        let mut settings = Settings::default();
        for (name, roles) in [("restore", &mut settings.restore), ("copies", &mut settings.copy)] {
            let (account, mut role) = role("111122223333");
            role.arn = format!("arn:aws:iam::111122223333:role/{name}");
            roles.insert(account, role);
        }
        let aws = connected(&canned, settings).await;
        let (here, digest) = (aws.scope(), Hash::of_bytes(b"round"));
        aws.copy_cx(&here, &digest).await.unwrap().ec2.describe_vpcs().send().await.unwrap();
        let assumed = canned.asked().into_iter().find(|c| c.action == "AssumeRole").unwrap();
        assert_eq!(assumed.get("RoleArn"), "arn:aws:iam::111122223333:role/copies");
        assert_eq!(assumed.get("Tags.member.1.Value"), digest.as_str());
        // Without one it is not the restore role that makes them.
        let mut settings = Settings::default();
        settings.restore.extend([role("111122223333")]);
        let aws = connected(&canned, settings).await;
        aws.copy_cx(&here, &digest).await.unwrap().ec2.describe_vpcs().send().await.unwrap();
        assert!(canned.asked().iter().all(|c| c.action != "AssumeRole"));
    }

    #[tokio::test]
    async fn no_call_is_made_as_somebody_that_was_not_meant() {
        let canned = Canned::new(aws_says);
        let mut settings = Settings::default();
        settings.observe.insert("222233334444".parse().unwrap(), role("333344445555").1);
        let aws = connected(&canned, settings).await;
        canned.asked();
        for (at, code) in [
            ("aws/222233334444/eu-west-1", "WrongRole"),
            ("aws/999900001111/eu-west-1", "NoRole"),
            ("aws-cn/111122223333/cn-north-1", "OtherPartition"),
        ] {
            assert_eq!(aws.sweep_cx(&scope(at)).await.unwrap_err().code, code);
        }
        assert_eq!(canned.asked(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn h64_a_create_is_tried_once_and_the_rest_five_times() {
        let canned = Canned::new(aws_says);
        let aws = connected(&canned, Settings::default()).await;
        let cx = aws.restore_cx(&aws.scope(), &Hash::of_bytes(b"plan")).await.unwrap();
        canned.asked();
        let failed = cx.ec2_once.create_vpc().cidr_block("10.0.0.0/16").send().await;
        assert_eq!(Failure::new("ec2:CreateVpc", failed.unwrap_err()).class, Class::Throttled);
        assert_eq!(canned.asked().len(), 1);
        cx.ec2.delete_tags().resources("vpc-1").send().await.unwrap_err();
        assert_eq!(canned.asked().len(), ATTEMPTS as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_sweep_uses_up_no_retries_of_a_restore() {
        let canned = Canned::new(aws_says);
        let aws = connected(&canned, Settings::default()).await;
        let sweep = aws.sweep_cx(&aws.scope()).await.unwrap();
        for _ in 0..200 {
            sweep.ec2.describe_subnets().send().await.unwrap_err();
        }
        canned.asked();
        sweep.ec2.describe_subnets().send().await.unwrap_err();
        assert!(canned.asked().len() < ATTEMPTS as usize, "the sweep's quota is used up");
        let restore = aws.restore_cx(&aws.scope(), &Hash::of_bytes(b"plan")).await.unwrap();
        restore.ec2.describe_subnets().send().await.unwrap_err();
        assert_eq!(canned.asked().len(), ATTEMPTS as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_too_far_off_is_told_from_an_answer() {
        let canned = Canned::new(|call| match call.action.as_str() {
            "CreateVpcEndpoint" => "<vpcEndpoint/>".into(),
            _ => aws_says(call),
        });
        let aws = connected(&canned, Settings::default()).await;
        let cx = aws.restore_cx(&aws.scope(), &Hash::of_bytes(b"plan")).await.unwrap();
        canned.asked();
        let calls = (0..60).map(|_| cx.ec2_once.create_vpc_endpoint().send());
        let answers = futures_util::future::join_all(calls).await;
        let refused: Vec<_> =
            answers.into_iter().filter_map(|a| Some(Failure::new("ec2:CreateVpcEndpoint", a.err()?))).collect();
        assert_eq!(canned.asked().len() + refused.len(), 60);
        assert!(!refused.is_empty());
        assert!(refused.iter().all(|f| f.code == "OutOfBudget" && f.class == Class::Throttled), "{}", refused[0]);
    }
}
