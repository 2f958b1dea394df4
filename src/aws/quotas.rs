//! The account's own values of quotas, from Service Quotas.
use super::{Cx, Failure};
use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use std::time::Duration;

/// IAM's name of the one call that is made.
pub const ACTION: &str = "servicequotas:GetServiceQuota";

/// A plan must not wait long for what it has a default for: a host may reach EC2 and not this service.
const ATTEMPTS: u32 = 2;
const CALL_WAIT_MAX: Duration = Duration::from_secs(8);

pub(super) fn client(config: &SdkConfig) -> aws_sdk_servicequotas::Client {
    let config = aws_sdk_servicequotas::config::Builder::from(config)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(TimeoutConfig::builder().operation_timeout(CALL_WAIT_MAX).build());
    aws_sdk_servicequotas::Client::from_conf(config.build())
}

/// The value of a quota in the context's account and region. Denied and unknown quotas are errors.
pub async fn value(cx: &Cx, service: &str, code: &str) -> Result<u32, Failure> {
    let answer = cx.quotas.get_service_quota().service_code(service).quota_code(code).send().await;
    let quota = answer.map_err(|e| Failure::new(ACTION, e))?.quota.and_then(|q| q.value);
    // AWS counts in floating point. What does not fit is as good as unlimited.
    quota.map(|v| v as u32).ok_or_else(|| Failure::incomplete(ACTION, "value"))
}
