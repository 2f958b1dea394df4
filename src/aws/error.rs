//! Errors of AWS calls, in classes that decide what happens next.
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
    /// `ec2:CreateVpc`; also the IAM action to allow.
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
                write!(f, "; allow `{}` to this role (`rollbackd iam-policy` prints the policies)", self.action)
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
            .and_then(|r| r.headers().get("x-amzn-requestid").or(r.headers().get("x-amz-request-id")))
            .map(str::to_owned);
        let status = e.raw_response().map(|r| r.status().as_u16());
        let (code, message, class) = match &e {
            SdkError::ServiceError(s) => {
                let code = s.err().code().unwrap_or("Unknown").to_owned();
                let message = s.err().message().unwrap_or_default().to_owned();
                let class = class_of(&code, status.unwrap_or(500));
                (code, message, class)
            }
            SdkError::ConstructionFailure(_) => (
                "Construction".into(),
                chain(&e),
                if chain(&e).contains("credentials") { Class::Credentials } else { Class::Invalid },
            ),
            SdkError::DispatchFailure(d) if !d.is_timeout() && !d.is_io() => (
                "Dispatch".into(),
                chain(&e),
                if chain(&e).contains("credentials") { Class::Credentials } else { Class::Unknown },
            ),
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
    /// A call that could not be built from a spec.
    pub fn unbuildable(action: &'static str, why: impl fmt::Display) -> Self {
        Self { action, code: "Unbuildable".into(), message: why.to_string(), request_id: None, class: Class::Invalid }
    }
    /// Trying the same call again may help.
    pub fn is_passing(&self) -> bool {
        matches!(self.class, Class::Throttled | Class::Server | Class::Busy | Class::Unknown)
    }
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

/// Codes of EC2, STS and SQS (Amazon EC2 API "Error codes"; the others' common errors).
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
            || c.ends_with("NonExistentQueue")
            || c == "QueueDoesNotExist" =>
        {
            Class::NotFound
        }
        c if c.contains("Duplicate") || c.contains("AlreadyExists") || c.contains("Conflict") => Class::Exists,
        c if c.contains("LimitExceeded") => Class::Quota,
        _ if status >= 500 => Class::Server,
        _ => Class::Invalid,
    }
}
