//! Pacing: every request waits for its turn before it is sent, retries too.
//!
//! One budget per account and region, shared by all its clients, over the buckets of `plan::budget`: rollbackd as a whole
//! takes half of what AWS allows, and sweeps take at most half of that, so that a sweep never starves a restore.
use super::Purpose;
use crate::plan::budget::{Bucket, bucket};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// The longest that a signed request waits for its turn. A signature is good for five minutes (AWS Signature Version 4).
const TURN_WAIT_MAX: Duration = Duration::from_secs(240);

/// A request whose turn is too far off to keep it signed that long. It was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfBudget {
    pub action: String,
    pub wait: Duration,
}
impl std::error::Error for OutOfBudget {}
impl fmt::Display for OutOfBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not sent: the turn of `{}` in rollbackd's request budget is {} s away, more than {} s",
            self.action,
            self.wait.as_secs(),
            TURN_WAIT_MAX.as_secs()
        )
    }
}

/// When the bucket will have been paid for, as in the generic cell rate algorithm: one instant says all.
#[derive(Debug, Clone, Copy)]
struct Cell {
    paid_until: Instant,
}
impl Cell {
    /// The instant at which the next call may go.
    fn turn(&self, bucket: Bucket, now: Instant) -> Instant {
        let ahead = Duration::from_secs_f64(f64::from(bucket.burst.saturating_sub(1)) / bucket.per_second);
        self.paid_until.max(now).checked_sub(ahead).unwrap_or(now).max(now)
    }
    fn take(&mut self, bucket: Bucket, now: Instant) {
        self.paid_until = self.paid_until.max(now) + Duration::from_secs_f64(1.0 / bucket.per_second);
    }
}

/// The turns of one account and region.
#[derive(Debug, Default)]
pub struct Budget {
    cells: Mutex<HashMap<(Part, String), Cell>>,
}
/// Whose share: of all of rollbackd, or of its sweeps, who pay into both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    All,
    Sweeps,
}

impl Budget {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }
    /// Takes a turn for `action`, such as `ec2:CreateVpc`: the instant at which it may be sent. One that would be too far
    /// off is not taken.
    fn take(&self, purpose: Purpose, action: &str) -> Result<Instant, OutOfBudget> {
        let now = Instant::now();
        let Some((name, aws)) = bucket(action) else { return Ok(now) };
        let ours = aws.half();
        let shares = match purpose {
            Purpose::Restore | Purpose::Respond => vec![(Part::All, ours)],
            Purpose::Sweep | Purpose::Copy => vec![(Part::All, ours), (Part::Sweeps, ours.half())],
        };
        // A poisoned lock holds plain instants: as good as ever.
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Cell { paid_until: now };
        let cell = |cells: &HashMap<_, Cell>, part| cells.get(&(part, name.to_owned())).copied().unwrap_or(fresh);
        let turn = shares.iter().map(|(part, b)| cell(&cells, *part).turn(*b, now)).max().unwrap_or(now);
        let wait = turn - now;
        if wait > TURN_WAIT_MAX {
            return Err(OutOfBudget { action: action.to_owned(), wait });
        }
        for (part, share) in shares {
            cells.entry((part, name.to_owned())).or_insert(fresh).take(share, now);
        }
        Ok(turn)
    }
    /// Waits for the turn of `action`.
    pub async fn turn(&self, purpose: Purpose, action: &str) -> Result<(), OutOfBudget> {
        let turn = self.take(purpose, action)?;
        sleep_until(turn).await;
        Ok(())
    }
}

/// An HTTP client that sends nothing before its turn.
pub struct Paced {
    inner: SharedHttpClient,
    budget: Arc<Budget>,
    purpose: Purpose,
    service: &'static str,
}
impl Paced {
    /// `service` is IAM's prefix, such as `ec2`.
    pub fn client(
        inner: SharedHttpClient,
        budget: Arc<Budget>,
        purpose: Purpose,
        service: &'static str,
    ) -> SharedHttpClient {
        SharedHttpClient::new(Self { inner, budget, purpose, service })
    }
}
impl fmt::Debug for Paced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Paced({} for {:?})", self.service, self.purpose)
    }
}
impl HttpClient for Paced {
    fn http_connector(&self, settings: &HttpConnectorSettings, parts: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(PacedConnector {
            inner: self.inner.http_connector(settings, parts),
            budget: self.budget.clone(),
            purpose: self.purpose,
            service: self.service,
        })
    }
}

#[derive(Debug)]
struct PacedConnector {
    inner: SharedHttpConnector,
    budget: Arc<Budget>,
    purpose: Purpose,
    service: &'static str,
}
impl HttpConnector for PacedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Some(operation) = operation(&request) else { return self.inner.call(request) };
        let action = format!("{}:{operation}", self.service);
        let (inner, budget, purpose) = (self.inner.clone(), self.budget.clone(), self.purpose);
        HttpConnectorFuture::new(async move {
            budget.turn(purpose, &action).await.map_err(|e| ConnectorError::user(Box::new(e)))?;
            inner.call(request).await
        })
    }
}

/// The operation that a request asks for: `X-Amz-Target` of the JSON protocols, `Action` of the query protocols.
fn operation(request: &HttpRequest) -> Option<String> {
    if let Some(target) = request.headers().get("x-amz-target") {
        return target.rsplit('.').next().map(str::to_owned);
    }
    let body = std::str::from_utf8(request.body().bytes()?).ok()?;
    body.split('&').find_map(|pair| pair.strip_prefix("Action=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn elapsed(budget: &Budget, purpose: Purpose, action: &str, calls: usize) -> f64 {
        let began = Instant::now();
        for _ in 0..calls {
            budget.turn(purpose, action).await.unwrap();
        }
        (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_at_half_the_rate() {
        let budget = Budget::new();
        assert_eq!(elapsed(&budget, Purpose::Restore, "ec2:CreateVpc", 25).await, 0.0);
        assert_eq!(elapsed(&budget, Purpose::Restore, "ec2:CreateVpc", 10).await, 4.0);
        // Another action has a bucket of its own.
        assert_eq!(elapsed(&budget, Purpose::Restore, "ec2:CreateSubnet", 25).await, 0.0);
        // An idle bucket fills up again, and no further.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(elapsed(&budget, Purpose::Restore, "ec2:CreateVpc", 25).await, 0.0);
        assert_eq!(elapsed(&budget, Purpose::Restore, "ec2:CreateVpc", 1).await, 0.4);
        assert_eq!(elapsed(&budget, Purpose::Restore, "sts:GetCallerIdentity", 1000).await, 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_floor_of_a_plan_is_what_pacing_takes() {
        for (action, calls) in [("ec2:CreateVpcEndpoint", 6), ("ec2:CreateSubnet", 40), ("ec2:CreateDefaultSubnet", 3)]
        {
            let floor = crate::plan::budget::floor(&[(action, calls)]).as_secs_f64();
            let took = elapsed(&Budget::new(), Purpose::Restore, action, calls).await;
            assert!((took - floor).abs() < 0.01, "{action}: {took} {floor}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sweep_leaves_half_of_ours_to_restores() {
        let budget = Budget::new();
        // Burst 25 of our 50 of AWS's 100, then 5 of our 10 of AWS's 20 a second.
        assert_eq!(elapsed(&budget, Purpose::Sweep, "ec2:DescribeVpcs", 35).await, 2.0);
        assert_eq!(elapsed(&budget, Purpose::Restore, "ec2:DescribeVpcs", 25).await, 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_too_far_off_for_a_signature_is_refused_unsent() {
        let budget = Budget::new();
        let turn = || budget.take(Purpose::Restore, "ec2:CreateVpcEndpoint");
        let taken = std::iter::from_fn(|| turn().ok()).count();
        assert!((37..=38).contains(&taken), "{taken}"); // the burst of 2, then 240 s at 0.15 a second
        let refused = turn().unwrap_err();
        assert!(refused.wait > TURN_WAIT_MAX && refused.to_string().contains("ec2:CreateVpcEndpoint"), "{refused}");
    }
}
