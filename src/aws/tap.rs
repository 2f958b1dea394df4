//! Raw answers, as they came: the evidence under the typed specs. Whoever reads inside `tapped` gets the bodies of all
//! answers of its own calls; outside it, nothing is kept.
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::AfterDeserializationInterceptorContextRef},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use std::sync::{Arc, Mutex, PoisonError};

type Answers = Arc<Mutex<Vec<Vec<u8>>>>;
tokio::task_local! {
    static ANSWERS: Answers;
}

/// Runs `work` and hands back the raw bodies of the answers to the calls that it made in its own task. Work that it spawns
/// is not seen.
pub async fn tapped<F: Future>(work: F) -> (F::Output, Vec<Vec<u8>>) {
    let answers = Answers::default();
    let out = ANSWERS.scope(answers.clone(), work).await;
    let bodies = std::mem::take(&mut *answers.lock().unwrap_or_else(PoisonError::into_inner));
    (out, bodies)
}

/// The interceptor of every client whose answers can be tapped.
#[derive(Debug, Clone, Copy)]
pub struct Tap;
impl Intercept for Tap {
    fn name(&self) -> &'static str {
        "rollbackd raw answers"
    }
    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // Answers to failed attempts describe nothing. No scope means that nobody asked.
        if context.response().status().is_success()
            && let Some(body) = context.response().body().bytes()
        {
            let _nobody_asked =
                ANSWERS.try_with(|a| a.lock().unwrap_or_else(PoisonError::into_inner).push(body.to_vec()));
        }
        Ok(())
    }
}
