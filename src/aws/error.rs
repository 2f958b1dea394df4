//! Errors of AWS calls, in classes that decide what happens next.
use super::budget::OutOfBudget;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::fmt;

/// What to do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// What the call names is not there.
    NotFound,
    /// It exists already: a duplicate rule, route, association, address in use.
    Exists,
    /// Something still uses it, or is still going on: wait and try again.
    Busy,
    /// No permission for the action.
    Denied,
    /// Credentials are missing, wrong or expired.
    Credentials,
    /// A quota of the account is used up.
    Quota,
    Throttled,
    /// No answer: the call may or may not have taken effect.
    Unknown,
    /// The service is at fault; the call may be tried again.
    Server,
    /// The call itself is wrong.
    Invalid,
}

/// One failed AWS call: what was called, what came back, and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `ec2:CreateVpc`.
    pub action: &'static str,
    /// AWS's code, or a word of ours where there was no answer.
    pub code: String,
    pub message: String,
    pub request_id: Option<String>,
    pub class: Class,
}
impl std::error::Error for Failure {}
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}: {}", self.action, self.code, self.message)?;
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        match self.class {
            Class::Denied => {
                write!(
                    f,
                    "; allow `{}` to this role (`rollbackd iam-policy` prints the policies)",
                    self.denied_action()
                )
            }
            Class::Credentials => write!(f, "; renew the AWS credentials, or choose a profile with AWS_PROFILE"),
            Class::Quota => write!(f, "; raise the quota in Service Quotas, then `rollbackd resume`"),
            _ => Ok(()),
        }
    }
}

impl Failure {
    /// From the error of an SDK call. `action` is `service:Operation`.
    pub fn new<E: ProvideErrorMetadata + std::error::Error + 'static>(
        action: &'static str,
        e: SdkError<E, HttpResponse>,
    ) -> Self {
        let request_id = e
            .raw_response()
            .and_then(|r| {
                let header = r.headers().get("x-amzn-requestid").or(r.headers().get("x-amz-request-id"));
                // EC2 says it in the body too, and the SDK does not read it there.
                header.or_else(|| between(std::str::from_utf8(r.body().bytes()?).ok()?, "<RequestID>", "</RequestID>"))
            })
            .map(str::to_owned);
        let status = e.raw_response().map(|r| r.status().as_u16());
        let (code, message, class) = match &e {
            // Success whose body cannot be read: what was asked for has been done, but not what came of it.
            SdkError::ServiceError(_) if status.is_some_and(|s| s < 300) => {
                ("NoAnswer".into(), chain(&e), Class::Unknown)
            }
            // A body that is no error of AWS's (a proxy's page, an emulator's crash): no code.
            SdkError::ServiceError(s) if s.err().code().is_none() => {
                let status = status.unwrap_or(500);
                let class = if status >= 500 { Class::Server } else { Class::Invalid };
                ("NoCode".into(), format!("status {status} without an error of AWS's in it"), class)
            }
            SdkError::ServiceError(s) => {
                let code = s.err().code().unwrap_or_default().to_owned();
                let class = class_of(&code, status.unwrap_or(500));
                (code, readable(s.err().message().unwrap_or_default()), class)
            }
            SdkError::DispatchFailure(d) if d.is_user() && out_of_budget(&e).is_some() => {
                let why = out_of_budget(&e).map(ToString::to_string).unwrap_or_default();
                ("OutOfBudget".into(), why, Class::Throttled)
            }
            SdkError::ConstructionFailure(_) => before_sending("Construction", &e, Class::Invalid),
            SdkError::DispatchFailure(d) if !d.is_timeout() && !d.is_io() => {
                before_sending("Dispatch", &e, Class::Unknown)
            }
            _ => ("NoAnswer".into(), chain(&e), Class::Unknown),
        };
        Self { action, code, message, request_id, class }
    }
    /// An answer without what it must hold.
    pub fn incomplete(action: &'static str, what: &str) -> Self {
        Self {
            action,
            code: "IncompleteAnswer".into(),
            message: format!("the answer holds no {what}"),
            request_id: None,
            class: Class::Unknown,
        }
    }
    /// One item of a call that succeeded for others, or for none, and says so in its answer.
    pub fn of_item(action: &'static str, code: impl Into<String>, message: impl Into<String>) -> Self {
        let code = code.into();
        let class = class_of(&code, 400);
        Self { action, code, message: message.into(), request_id: None, class }
    }
    /// Something is still going on that the call would collide with: to be tried again.
    pub fn busy(action: &'static str, message: impl Into<String>) -> Self {
        Self { action, code: "IncorrectState".into(), message: message.into(), request_id: None, class: Class::Busy }
    }
    /// A call that could not be built from a spec.
    pub fn unbuildable(action: &'static str, why: impl fmt::Display) -> Self {
        Self { action, code: "Unbuildable".into(), message: why.to_string(), request_id: None, class: Class::Invalid }
    }
    /// The IAM action to allow: the one that AWS's message names, which need not be the call's (a create with tags also
    /// needs `ec2:CreateTags`); else the call's own.
    pub fn denied_action(&self) -> &str {
        let named = self.message.split_once("not authorized to perform: ").and_then(|(_, rest)| {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == ':' || c == '-')).unwrap_or(rest.len());
            rest.get(..end).filter(|a| a.contains(':'))
        });
        named.unwrap_or(self.action)
    }
    /// Trying the same call again may help.
    pub fn is_passing(&self) -> bool {
        matches!(self.class, Class::Throttled | Class::Server | Class::Busy | Class::Unknown)
    }
}

/// A failure of credentials or of the call's making: nothing has been sent.
fn before_sending(word: &str, e: &(dyn std::error::Error + 'static), otherwise: Class) -> (String, String, Class) {
    let why = chain(e);
    // The SDK's own wrapping says nothing to a reader.
    let why = why.trim_start_matches("dispatch failure: ").trim_start_matches("other: ").to_owned();
    let class = match why.contains("credentials") || why.contains("identity") || why.contains("AssumeRole") {
        // The role is there and says no: another profile is no help, its trust policy or `sts:AssumeRole` is.
        true if why.contains("AccessDenied") => Class::Denied,
        true => Class::Credentials,
        false => otherwise,
    };
    (if class == otherwise { word.into() } else { "NoCredentials".into() }, why, class)
}

/// The refusal of our own pacing, if that is what lies under the error.
fn out_of_budget<'a>(e: &'a (dyn std::error::Error + 'static)) -> Option<&'a OutOfBudget> {
    let mut cause = Some(e);
    while let Some(c) = cause {
        if let Some(found) = c.downcast_ref() {
            return Some(found);
        }
        cause = c.source();
    }
    None
}

fn between<'a>(text: &'a str, left: &str, right: &str) -> Option<&'a str> {
    Some(text.split_once(left)?.1.split_once(right)?.0)
}

/// AWS's message without the encoded part, a kilobyte that only DecodeAuthorizationMessage can read.
fn readable(message: &str) -> String {
    message.split("Encoded authorization failure message").next().unwrap_or_default().trim_end().to_owned()
}

/// An error with its causes, without repeating what one already said.
fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut cause = e.source();
    while let Some(c) = cause {
        let next = c.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = c.source();
    }
    text
}

/// Codes of EC2, RDS, STS and SQS (Amazon EC2 API "Error codes"; Amazon RDS API, errors of each action; the others' common
/// errors).
fn class_of(code: &str, status: u16) -> Class {
    match code {
        "RequestLimitExceeded" | "Throttling" | "ThrottlingException" | "TooManyRequestsException" | "SlowDown" => {
            Class::Throttled
        }
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => Class::Denied,
        "AuthFailure"
        | "InvalidClientTokenId"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Class::Credentials,
        "DependencyViolation"
        | "IncorrectState"
        | "IncorrectInstanceState"
        | "OperationAborted"
        | "Gateway.NotAttached"
        | "InvalidIPAddress.InUse" => Class::Busy,
        "RouteAlreadyExists" | "Resource.AlreadyAssociated" | "NetworkAclEntryAlreadyExists" | "AlreadyExists" => {
            Class::Exists
        }
        c if c.contains("NotFound")
            || c == "NatGatewayNotFound"
            || c == "InvalidID" // of CreateTags and DeleteTags
            || c.ends_with("NonExistentQueue")
            || c == "QueueDoesNotExist" =>
        {
            Class::NotFound
        }
        // `SubscriptionAlreadyExist`, `DBProxyTargetAlreadyRegisteredFault`
        c if c.contains("Duplicate")
            || c.contains("AlreadyExist")
            || c.contains("AlreadyRegistered")
            || c.contains("Conflict") =>
        {
            Class::Exists
        }
        // `InvalidDBInstanceState`, `InvalidOptionGroupStateFault`: RDS changes one thing at a time.
        c if c.starts_with("Invalid") && (c.ends_with("State") || c.ends_with("StateFault")) && is_of_rds(c) => {
            Class::Busy
        }
        c if c.contains("LimitExceeded") || c.contains("QuotaExceeded") => Class::Quota,
        _ if status >= 500 => Class::Server,
        _ => Class::Invalid,
    }
}

/// A state of what RDS manages; that of a network ("InvalidVPCNetworkStateFault") passes by no waiting.
fn is_of_rds(code: &str) -> bool {
    ["DB", "OptionGroup", "GlobalCluster", "EventSubscription"].iter().any(|what| code.contains(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::canned::{Answer, Canned};

    async fn failure(answer: Answer) -> Failure {
        let canned = Canned::new(move |_| answer.clone());
        let call = canned.cx().ec2.create_vpc().cidr_block("10.0.0.0/16").send().await;
        Failure::new("ec2:CreateVpc", call.unwrap_err())
    }
    async fn class(code: &'static str, status: u16) -> Class {
        failure(Answer::Error(status, code, "why")).await.class
    }

    #[tokio::test]
    async fn codes_of_rds_have_their_class() {
        for (code, status, expected) in [
            ("DBInstanceNotFound", 404, Class::NotFound),
            ("DBInstanceAlreadyExists", 400, Class::Exists),
            ("SubscriptionAlreadyExist", 400, Class::Exists),
            ("DBProxyTargetAlreadyRegisteredFault", 400, Class::Exists),
            ("InvalidDBInstanceState", 400, Class::Busy),
            ("InvalidOptionGroupStateFault", 400, Class::Busy),
            ("InvalidVPCNetworkStateFault", 400, Class::Invalid),
            ("InstanceQuotaExceeded", 400, Class::Quota),
            ("Throttling", 400, Class::Throttled),
        ] {
            assert_eq!(class(code, status).await, expected, "{code}");
        }
    }

    #[tokio::test]
    async fn codes_of_ec2_have_their_class() {
        for (code, status, expected) in [
            ("InvalidVpcID.NotFound", 400, Class::NotFound),
            ("NatGatewayNotFound", 400, Class::NotFound),
            ("RouteAlreadyExists", 400, Class::Exists),
            ("InvalidPermission.Duplicate", 400, Class::Exists),
            ("InvalidSubnet.Conflict", 400, Class::Exists),
            ("Resource.AlreadyAssociated", 400, Class::Exists),
            ("DefaultVpcAlreadyExists", 400, Class::Exists),
            ("DependencyViolation", 400, Class::Busy),
            ("IncorrectState", 400, Class::Busy),
            ("UnauthorizedOperation", 403, Class::Denied),
            ("AuthFailure", 401, Class::Credentials),
            ("RequestExpired", 400, Class::Credentials),
            ("VpcLimitExceeded", 400, Class::Quota),
            ("AddressLimitExceeded", 400, Class::Quota),
            ("RequestLimitExceeded", 503, Class::Throttled),
            ("InternalError", 500, Class::Server),
            ("Unavailable", 503, Class::Server),
            ("InvalidParameterValue", 400, Class::Invalid),
        ] {
            assert_eq!(class(code, status).await, expected, "{code}");
        }
    }

    #[tokio::test]
    async fn an_error_says_what_was_called_and_under_which_request() {
        let f = failure(Answer::Error(400, "VpcLimitExceeded", "The maximum number of VPCs has been reached.")).await;
        assert_eq!(f.request_id.as_deref(), Some("req-1"));
        assert_eq!(
            f.to_string(),
            "ec2:CreateVpc failed: VpcLimitExceeded: The maximum number of VPCs has been reached. (request req-1); raise the quota in Service Quotas, then `rollbackd resume`"
        );
    }

    #[tokio::test]
    async fn a_denial_names_the_action_to_allow() {
        let f = failure(Answer::Error(403, "UnauthorizedOperation", "You are not authorized to perform this operation. User: arn:aws:sts::111122223333:assumed-role/r/rollbackd is not authorized to perform: ec2:CreateTags on resource: arn:aws:ec2:eu-west-1:111122223333:vpc/* because no identity-based policy allows the ec2:CreateTags action. Encoded authorization failure message: AAAABBBB")).await;
        assert_eq!((f.class, f.denied_action()), (Class::Denied, "ec2:CreateTags"));
        let text = f.to_string();
        assert!(text.contains("allow `ec2:CreateTags` to this role") && !text.contains("AAAABBBB"), "{text}");
        let f =
            failure(Answer::Error(403, "UnauthorizedOperation", "You are not authorized to perform this operation."))
                .await;
        assert_eq!(f.denied_action(), "ec2:CreateVpc");
    }

    #[tokio::test]
    async fn no_answer_leaves_open_whether_the_call_took_effect() {
        for answer in [Answer::Timeout, Answer::Refused, Answer::Raw(200, "<torn".into())] {
            let f = failure(answer.clone()).await;
            assert_eq!((f.class, f.code.as_str()), (Class::Unknown, "NoAnswer"), "{answer:?}: {f}");
        }
        // moto's answer to what it does not know, or a proxy's.
        let f = failure(Answer::Raw(500, "<!doctype html><title>500</title>".into())).await;
        assert_eq!(f.class, Class::Server, "{f}");
    }

    #[tokio::test]
    async fn missing_credentials_are_told_from_a_broken_call() {
        let canned = Canned::new(|_| Answer::Refused);
        let config = aws_sdk_ec2::Config::builder()
            .behavior_version(aws_sdk_ec2::config::BehaviorVersion::latest())
            .region(aws_sdk_ec2::config::Region::new("eu-west-1"))
            .http_client(canned.http())
            .build();
        let call = aws_sdk_ec2::Client::from_conf(config).describe_vpcs().send().await;
        let f = Failure::new("ec2:DescribeVpcs", call.unwrap_err());
        assert_eq!((f.class, f.code.as_str()), (Class::Credentials, "NoCredentials"), "{f}");
        assert!(canned.asked().is_empty());
    }

    #[tokio::test]
    async fn a_role_that_refuses_is_a_denial() {
        let canned = Canned::new(|_| {
            Answer::Raw(403, "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: arn:aws:iam::111122223333:user/u is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::222233334444:role/r</Message></Error><RequestId>r</RequestId></ErrorResponse>".into())
        });
        let base = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("eu-west-1"))
            .credentials_provider(aws_sdk_ec2::config::Credentials::new("a", "b", None, None, "test"))
            .http_client(canned.http())
            .load()
            .await;
        let role = aws_config::sts::AssumeRoleProvider::builder("arn:aws:iam::222233334444:role/r");
        let role = role.configure(&base).session_name("rollbackd").build().await;
        let config = canned.config().credentials_provider(role).build();
        let call = aws_sdk_ec2::Client::from_conf(config).describe_vpcs().send().await;
        let f = Failure::new("ec2:DescribeVpcs", call.unwrap_err());
        assert_eq!((f.class, f.denied_action()), (Class::Denied, "sts:AssumeRole"), "{f}");
    }
}
