//! Records from an SQS queue that an EventBridge rule fills: seconds late, best effort, repeated and in any order.
//!
//! A message is deleted only after the sink has said that everything in it is on disk. Until then it stays ours: its
//! visibility is extended while the sink works, and when the sink fails the message comes back by itself, or goes to the
//! queue's dead letters after as many tries as the queue's own redrive policy says. A message that cannot be read goes to
//! the sink as such and is deleted like any other: it would not become readable by coming again.
//!
//! Nothing that goes wrong here ends the task. It says so once in the log and all the time in `Health`, waits longer each
//! time, and goes on when the queue does.
use super::{
    Health,
    decode::{Unreadable, Watched, decode},
};
use crate::aws::{Class, Failure};
use crate::model::{Record, Timestamp};
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message};
use std::fmt::Display;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The most that SQS gives and takes in one call.
const BATCH_MAX: i32 = 10;
/// How long SQS holds an empty answer back; the longest it allows, and the fewest calls to pay for.
const LONG_POLL_SECONDS: i32 = 20;
/// An answer that takes this much longer than the long poll is not coming.
const ANSWER_SLACK: Duration = Duration::from_secs(15);
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// How often deleting what is on disk is tried. What stays comes again, and is known by then.
const DELETE_TRIES: u32 = 3;

/// What to read, and of whom.
#[derive(Debug, Clone)]
pub struct Settings {
    pub url: String,
    pub watched: Watched,
    /// How long a received message is ours before it comes again; extended in time while the sink works.
    pub visibility: Duration,
}
impl Settings {
    pub fn new(url: impl Into<String>, watched: Watched) -> Self {
        Self { url: url.into(), watched, visibility: Duration::from_secs(60) }
    }
}

/// One queue.
#[derive(Debug)]
pub struct Queue {
    client: aws_sdk_sqs::Client,
    settings: Settings,
    health: watch::Sender<Health>,
}

impl Queue {
    /// The receiver shows how the source is doing, for as long as the queue lives and after.
    pub fn new(client: aws_sdk_sqs::Client, settings: Settings) -> (Self, watch::Receiver<Health>) {
        let (health, seen) = watch::channel(Health::default());
        (Self { client, settings, health }, seen)
    }

    /// Reads until cancelled. `sink` returns once what it was given is on disk; then `bell` rings. Cancelling lets a
    /// delivery that the sink has in hand come to its end, and gives up a poll at once.
    pub async fn run<S, F, E>(self, mut sink: S, bell: Arc<Notify>, cancel: CancellationToken)
    where
        S: FnMut(Vec<Record>, Vec<Unreadable>) -> F,
        F: Future<Output = Result<(), E>>,
        E: Display,
    {
        let mut failures = 0;
        while !cancel.is_cancelled() {
            let received = tokio::select! {
                () = cancel.cancelled() => break,
                received = self.receive() => received,
            };
            let outcome = match received {
                Ok(messages) if messages.is_empty() => Ok(()),
                Ok(messages) => self.deliver(messages, &mut sink, &bell).await,
                Err(why) => Err(why),
            };
            match outcome {
                Ok(()) => {
                    failures = 0;
                    self.recovered();
                }
                Err(why) => {
                    self.failed(why);
                    tokio::select! {
                        () = cancel.cancelled() => break,
                        () = sleep(backoff(failures)) => {}
                    }
                    failures += 1;
                }
            }
        }
    }

    async fn receive(&self) -> Result<Vec<Message>, String> {
        let url = &self.settings.url;
        let call = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(BATCH_MAX)
            .wait_time_seconds(LONG_POLL_SECONDS)
            .visibility_timeout(seconds(self.settings.visibility))
            .send();
        let limit = Duration::from_secs(LONG_POLL_SECONDS as u64) + ANSWER_SLACK;
        let answer = timeout(limit, call).await.map_err(|_| format!("queue {url} did not answer in {limit:?}"))?;
        let answer = answer.map_err(|e| trouble(url, &Failure::new("sqs:ReceiveMessage", e)))?;
        self.health.send_modify(|h| h.last_poll = Some(Timestamp::now()));
        Ok(answer.messages.unwrap_or_default())
    }

    async fn deliver<S, F, E>(&self, messages: Vec<Message>, sink: &mut S, bell: &Notify) -> Result<(), String>
    where
        S: FnMut(Vec<Record>, Vec<Unreadable>) -> F,
        F: Future<Output = Result<(), E>>,
        E: Display,
    {
        let now = Timestamp::now();
        let (mut records, mut unreadable, mut handles) = (Vec::new(), Vec::new(), Vec::new());
        let mut counted = Health::default();
        for message in messages {
            let origin = message.message_id.unwrap_or_else(|| "a message without an id".into());
            let body = message.body.unwrap_or_default();
            let mut decoded = decode(body.as_bytes(), &origin, now, &self.settings.watched);
            for why in &decoded.ignored {
                tracing::debug!(message = origin, why, "message holds no record");
            }
            for u in &decoded.unreadable {
                tracing::warn!(message = u.origin, why = u.why, "message cannot be read; it is kept in the store");
            }
            counted.ignored += decoded.ignored.len() as u64;
            counted.foreign += decoded.foreign.len() as u64;
            records.append(&mut decoded.records);
            unreadable.append(&mut decoded.unreadable);
            handles.extend(message.receipt_handle);
        }
        counted.records = records.len() as u64;
        counted.unreadable = unreadable.len() as u64;
        let newest = records.iter().map(|r| r.time).max();
        if !records.is_empty() || !unreadable.is_empty() {
            self.held(&handles, sink(records, unreadable)).await.map_err(|e| {
                format!("records from {} could not be stored, and will come again: {e}", self.settings.url)
            })?;
            bell.notify_one();
        }
        // Counted once they are safe, so that a batch that comes again does not count twice.
        self.health.send_modify(|h| {
            h.last_message = Some(now);
            h.lag = newest.map(|t| now.duration_since(t)).or(h.lag);
            h.records += counted.records;
            h.unreadable += counted.unreadable;
            h.foreign += counted.foreign;
            h.ignored += counted.ignored;
        });
        self.delete(handles).await
    }

    /// Waits for the sink and keeps the messages ours meanwhile.
    async fn held<T>(&self, handles: &[String], work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut beat = tokio::time::interval((self.settings.visibility / 2).max(Duration::from_secs(1)));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.tick().await;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = beat.tick() => {}
            }
            // The work goes on while the extension is under way.
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.extend(handles) => {}
            }
        }
    }

    async fn extend(&self, handles: &[String]) {
        let entries = handles.iter().enumerate().filter_map(|(i, handle)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(i.to_string()).receipt_handle(handle);
            entry.visibility_timeout(seconds(self.settings.visibility)).build().ok()
        });
        let url = &self.settings.url;
        let call = self.client.change_message_visibility_batch().queue_url(url).set_entries(Some(entries.collect()));
        // A message that comes again meanwhile is known by its event id: late is not lost.
        match call.send().await {
            Err(e) => tracing::warn!(why = %Failure::new("sqs:ChangeMessageVisibility", e), "messages may come again"),
            Ok(answer) if !answer.failed.is_empty() => {
                tracing::warn!(failed = answer.failed.len(), "visibility of some messages was not extended");
            }
            Ok(_) => {}
        }
    }

    /// Deletes what is on disk; only what failed is tried again.
    async fn delete(&self, mut handles: Vec<String>) -> Result<(), String> {
        let url = &self.settings.url;
        for attempt in 0..DELETE_TRIES {
            if handles.is_empty() {
                return Ok(());
            }
            if attempt > 0 {
                sleep(backoff(attempt - 1)).await;
            }
            let entries = handles.iter().enumerate().filter_map(|(i, handle)| {
                DeleteMessageBatchRequestEntry::builder().id(i.to_string()).receipt_handle(handle).build().ok()
            });
            let call = self.client.delete_message_batch().queue_url(url).set_entries(Some(entries.collect()));
            let answer = call.send().await.map_err(|e| trouble(url, &Failure::new("sqs:DeleteMessage", e)))?;
            let failed: Vec<usize> = answer.failed.iter().filter_map(|f| f.id.parse().ok()).collect();
            handles = handles.into_iter().enumerate().filter(|(i, _)| failed.contains(i)).map(|(_, h)| h).collect();
        }
        if !handles.is_empty() {
            tracing::warn!(messages = handles.len(), "stored messages could not be deleted; they will come again");
        }
        Ok(())
    }

    fn failed(&self, why: String) {
        self.health.send_if_modified(|h| {
            if h.error.as_ref() == Some(&why) {
                return false;
            }
            tracing::error!("{why}");
            h.error = Some(why);
            true
        });
    }
    fn recovered(&self) {
        self.health.send_if_modified(|h| {
            let was = h.error.take();
            if was.is_some() {
                tracing::info!(queue = self.settings.url, "the queue works again");
            }
            was.is_some()
        });
    }
}

fn seconds(d: Duration) -> i32 {
    i32::try_from(d.as_secs()).unwrap_or(i32::MAX)
}

/// A failure with what to do about it.
fn trouble(url: &str, failure: &Failure) -> String {
    match failure.class {
        Class::NotFound => format!(
            "queue {url} does not exist; deploy the stack in config/cloudformation, or correct the queue's URL ({failure})"
        ),
        _ => format!("queue {url}: {failure}"),
    }
}

/// Doubling, up to the maximum, with jitter: between half and all of it. The standard library's hasher is seeded at
/// random, which is all that jitter needs.
fn backoff(failures: u32) -> Duration {
    let full = BACKOFF_FIRST.saturating_mul(1 << failures.min(6)).min(BACKOFF_MAX);
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    full / 2 + full.mul_f64(random as f64 / u64::MAX as f64 / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_sqs::config::{BehaviorVersion, Region};
    use aws_smithy_runtime_api::client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        runtime_components::RuntimeComponents,
    };
    use aws_smithy_types::body::SdkBody;
    use serde_json::{Value, json};
    use std::sync::Mutex;

    const URL: &str = "https://sqs.eu-west-1.amazonaws.com/111122223333/trail";

    /// SQS on the wire, as far as this source speaks to it.
    #[derive(Debug, Clone, Default)]
    struct Fake(Arc<Mutex<Inside>>);
    #[derive(Debug, Default)]
    struct Inside {
        /// Handle and body of messages that may be received.
        waiting: Vec<(String, String)>,
        deleted: Vec<String>,
        /// Handles whose next deletion fails.
        stubborn: Vec<String>,
        extended: usize,
        /// Answer every call with this error.
        error: Option<(&'static str, &'static str)>,
        calls: Vec<String>,
    }
    impl Fake {
        fn of(bodies: &[String]) -> Self {
            let waiting = bodies.iter().enumerate().map(|(i, body)| (format!("h{i}"), body.clone())).collect();
            Self(Arc::new(Mutex::new(Inside { waiting, ..Inside::default() })))
        }
        fn inside<T>(&self, look: impl FnOnce(&mut Inside) -> T) -> T {
            look(&mut self.0.lock().unwrap())
        }
        fn client(&self) -> aws_sdk_sqs::Client {
            let config = aws_sdk_sqs::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("eu-west-1"))
                .allow_no_auth()
                .http_client(self.clone());
            aws_sdk_sqs::Client::from_conf(config.build())
        }
        fn answer(&self, target: &str, request: &Value) -> (u16, Value) {
            self.inside(|inside| {
                inside.calls.push(target.to_owned());
                if let Some((code, message)) = inside.error {
                    return (400, json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": message}));
                }
                let entries = request["Entries"].as_array().cloned().unwrap_or_default();
                let handle = |e: &Value| e["ReceiptHandle"].as_str().unwrap().to_owned();
                match target {
                    "ReceiveMessage" => {
                        assert_eq!((&request["WaitTimeSeconds"], &request["MaxNumberOfMessages"]), (&json!(20), &json!(10)));
                        let n = inside.waiting.len().min(10);
                        let messages = inside.waiting.drain(..n).map(
                            |(handle, body)| json!({"MessageId": format!("id-{handle}"), "ReceiptHandle": handle, "Body": body}),
                        );
                        (200, json!({"Messages": messages.collect::<Vec<_>>()}))
                    }
                    "DeleteMessageBatch" => {
                        let (mut done, mut failed) = (Vec::new(), Vec::new());
                        for e in &entries {
                            if let Some(i) = inside.stubborn.iter().position(|s| *s == handle(e)) {
                                inside.stubborn.remove(i);
                                failed.push(json!({"Id": e["Id"], "SenderFault": false, "Code": "InternalError"}));
                            } else {
                                inside.deleted.push(handle(e));
                                done.push(json!({"Id": e["Id"]}));
                            }
                        }
                        (200, json!({"Successful": done, "Failed": failed}))
                    }
                    "ChangeMessageVisibilityBatch" => {
                        inside.extended += entries.len();
                        let done: Vec<Value> = entries.iter().map(|e| json!({"Id": e["Id"]})).collect();
                        (200, json!({"Successful": done, "Failed": []}))
                    }
                    other => panic!("{other}"),
                }
            })
        }
    }
    impl HttpClient for Fake {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            SharedHttpConnector::new(self.clone())
        }
    }
    impl HttpConnector for Fake {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let target = request.headers().get("x-amz-target").unwrap().trim_start_matches("AmazonSQS.").to_owned();
            let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let fake = self.clone();
            HttpConnectorFuture::new(async move {
                let (status, answer) = fake.answer(&target, &body);
                if target == "ReceiveMessage" && answer["Messages"] == json!([]) {
                    sleep(Duration::from_secs(20)).await;
                }
                Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(answer.to_string())))
            })
        }
    }

    fn event(id: &str) -> String {
        let record = json!({"eventVersion": "1.11", "eventID": id, "eventTime": "2026-03-01T10:00:00Z",
            "eventSource": "ec2.amazonaws.com", "eventName": "DeleteVpc", "awsRegion": "eu-west-1",
            "recipientAccountId": "111122223333"});
        json!({"detail-type": "AWS API Call via CloudTrail", "detail": record}).to_string()
    }
    /// Runs the queue for that long of paused time, then cancels it and waits for its end.
    async fn run<F>(
        fake: &Fake,
        lasts: Duration,
        sink: impl FnMut(Vec<Record>, Vec<Unreadable>) -> F + Send + 'static,
    ) -> (Health, bool)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let (queue, health) = Queue::new(fake.client(), Settings::new(URL, Watched::default()));
        let (bell, cancel) = (Arc::new(Notify::new()), CancellationToken::new());
        let task = tokio::spawn(queue.run(sink, bell.clone(), cancel.clone()));
        sleep(lasts).await;
        cancel.cancel();
        task.await.unwrap();
        let rang = timeout(Duration::from_millis(1), bell.notified()).await.is_ok();
        (health.borrow().clone(), rang)
    }
    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn messages_are_deleted_only_after_the_sink_has_them() {
        let bodies = [event("a"), "no json".into(), event("b")];
        let fake = Fake::of(&bodies);
        let got = Arc::new(Mutex::new((Vec::new(), Vec::new())));
        let (inner, seen) = (fake.clone(), got.clone());
        let (health, rang) = run(&fake, SOON, move |records, unreadable| {
            let (fake, got) = (inner.clone(), seen.clone());
            async move {
                sleep(Duration::from_secs(1)).await;
                assert!(fake.inside(|i| i.deleted.is_empty()), "deleted before it was stored");
                let mut got = got.lock().unwrap();
                got.0.extend(records.into_iter().map(|r| r.id.0));
                got.1.extend(unreadable.into_iter().map(|u| (u.origin, u.text)));
                Ok(())
            }
        })
        .await;
        assert_eq!(fake.inside(|i| i.deleted.clone()), ["h0", "h1", "h2"]);
        let got = got.lock().unwrap();
        assert_eq!(got.0, ["a", "b"]);
        assert_eq!(got.1, [("id-h1".to_owned(), "no json".to_owned())]);
        assert_eq!((health.records, health.unreadable, health.error, rang), (2, 1, None, true));
        assert!(health.last_poll.is_some() && health.last_message.is_some() && health.lag.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_sink_could_not_store_is_not_deleted() {
        let fake = Fake::of(&[event("a")]);
        let (health, rang) = run(&fake, SOON, |_, _| async { Err("disk full".to_owned()) }).await;
        assert!(fake.inside(|i| i.deleted.is_empty()));
        assert!(!rang && health.records == 0);
        assert_eq!(
            health.error.as_deref(),
            Some(&*format!("records from {URL} could not be stored, and will come again: disk full"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_deleted_is_tried_again_alone() {
        let fake = Fake::of(&[event("a"), event("b"), event("c")]);
        fake.inside(|i| i.stubborn = vec!["h1".into(), "h1".into()]);
        let (health, _) = run(&fake, SOON, |_, _| async { Ok(()) }).await;
        assert_eq!(fake.inside(|i| i.deleted.clone()), ["h0", "h2", "h1"]);
        assert_eq!((health.error, health.records), (None, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_sink_keeps_its_messages() {
        let fake = Fake::of(&[event("a"), event("b")]);
        run(&fake, Duration::from_secs(150), |_, _| async {
            sleep(Duration::from_secs(100)).await;
            Ok(())
        })
        .await;
        // Every 30 seconds, both of them.
        assert_eq!(fake.inside(|i| (i.extended, i.deleted.len())), (6, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn cancelling_lets_the_sink_finish() {
        let fake = Fake::of(&[event("a")]);
        run(&fake, Duration::from_secs(1), |_, _| async {
            sleep(Duration::from_secs(10)).await;
            Ok(())
        })
        .await;
        assert_eq!(fake.inside(|i| i.deleted.len()), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_queue_is_said_and_waited_for() {
        let fake = Fake::of(&[event("a")]);
        fake.inside(|i| i.error = Some(("QueueDoesNotExist", "The specified queue does not exist.")));
        let (health, _) = run(&fake, Duration::from_secs(300), |_, _| async { Ok(()) }).await;
        let error = health.error.unwrap();
        assert!(
            error.starts_with(&format!(
                "queue {URL} does not exist; deploy the stack in config/cloudformation, or correct the queue's URL"
            )),
            "{error}"
        );
        let calls = fake.inside(|i| i.calls.len());
        assert!((7..=16).contains(&calls), "{calls} calls in five minutes");
        fake.inside(|i| i.error = None);
        let (health, _) = run(&fake, SOON, |_, _| async { Ok(()) }).await;
        assert_eq!((health.error, health.records), (None, 1));
        fake.inside(|i| i.error = Some(("AccessDeniedException", "no")));
        let (health, _) = run(&fake, SOON, |_, _| async { Ok(()) }).await;
        let error = health.error.unwrap();
        assert!(error.contains("allow `sqs:ReceiveMessage` to this role"), "{error}");
    }

    #[test]
    fn waiting_doubles_and_ends() {
        for (failures, max) in [(0, 1), (1, 2), (5, 32), (6, 60), (1000, 60)] {
            let wait = backoff(failures);
            assert!(wait >= Duration::from_secs(max) / 2 && wait <= Duration::from_secs(max), "{failures}: {wait:?}");
        }
    }
}
