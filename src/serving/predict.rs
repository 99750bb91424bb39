//! The course of a prediction: checks before a run, the run, and statistics and checks after it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures_util::FutureExt;

use super::{
    FlatPrediction, Inference, PermittedServable, Prediction, RequestContext, Servable, Serving,
    ServingError,
    blame::{Requester, blamed},
    prediction::check_finite,
};
use crate::{
    lifecycle::Phases,
    model::{
        Layout, RowOutputs, Rows, Tensor, TensorDocuments, Value, check_dividends, check_inputs,
        documents_to_tensors,
    },
    runtime::{Failed, Inputs, RunRequest, RunResult},
    system::byte_budget::count,
    telemetry::TimedRun,
};

/// Returns the times of a run, for a timeline.
#[cold]
fn timed<'r>(servable: &'r Servable, ran: &RunResult, since: Instant) -> TimedRun<'r> {
    TimedRun {
        model: servable.name.as_str(),
        version: servable.version,
        since,
        queued: ran.queued,
        duration: ran.duration,
        ended: ran.ended,
        batch_rows: ran.batch_rows,
    }
}

impl Serving {
    /// Runs rows for a version.
    ///
    /// Dropping the future ends the run.
    ///
    /// # Errors
    ///
    /// [`ServingError::InvalidRows`] with every violation, [`ServingError::RowsNotSupported`] if the model takes no
    /// rows, or the error of the run.
    pub async fn predict(
        &self,
        servable: PermittedServable,
        rows: Rows,
        context: RequestContext,
        begin: Instant,
    ) -> Result<Prediction, ServingError> {
        let layout = Arc::clone(servable.layout_of_rows()?);
        let count = rows.count();
        let gone = || ServingError::Internal("rows were counted, not read, for a model that takes rows");
        let inputs = rows.into_inputs().ok_or_else(gone)?.map_err(ServingError::InvalidRows)?;
        self.run_rows(servable, layout, inputs, count, context, begin).await
    }

    /// Checks tensors that stand for a number of rows, and runs them as rows.
    ///
    /// # Errors
    ///
    /// As [`Serving::infer`], and as [`Serving::predict`] if the model takes no rows.
    pub async fn infer_rows(
        &self,
        servable: PermittedServable,
        inputs: Vec<(String, Tensor)>,
        rows: usize,
        context: RequestContext,
    ) -> Result<Prediction, ServingError> {
        let begin = Instant::now();
        let layout = Arc::clone(servable.layout_of_rows()?);
        check_inputs(&servable.signature, &inputs).map_err(ServingError::InvalidInputs)?;
        self.run_rows(servable, layout, inputs, rows, context, begin).await
    }

    async fn run_rows(
        &self,
        servable: PermittedServable,
        layout: Arc<Layout>,
        inputs: Vec<(String, Tensor)>,
        rows: usize,
        context: RequestContext,
        begin: Instant,
    ) -> Result<Prediction, ServingError> {
        let by = Requester { caller: context.caller, by_rows: true };
        let (outputs, inputs) = self.run(&servable, inputs, context, begin, by).await?;
        match RowOutputs::new(rows, outputs, &servable.signature, &layout.outputs) {
            Ok(outputs) => {
                servable.monitor.answered(by.caller);
                Ok(Prediction { servable: servable.into_inner(), layout, outputs })
            }
            Err(error) => Err(blamed(&servable, by, error.into(), Some(Box::new(inputs)))),
        }
    }

    /// Checks tensors against the signature of a version and runs them.
    ///
    /// Dropping the future ends the run.
    ///
    /// # Errors
    ///
    /// [`ServingError::InvalidInputs`] with every violation, or the error of the run.
    pub async fn infer(
        &self,
        servable: PermittedServable,
        inputs: Vec<(String, Tensor)>,
        context: RequestContext,
    ) -> Result<Inference, ServingError> {
        let begin = Instant::now();
        check_inputs(&servable.signature, &inputs).map_err(ServingError::InvalidInputs)?;
        self.run_tensors(servable, inputs, context, begin).await
    }

    /// Runs tensors given as JSON, like [`Serving::infer`]. They are read at once; the future does not hold their text.
    ///
    /// # Errors
    ///
    /// As [`Serving::infer`].
    pub fn infer_documents<'s>(
        &'s self,
        servable: PermittedServable,
        documents: &TensorDocuments<'_>,
        context: RequestContext,
    ) -> impl Future<Output = Result<Inference, ServingError>> + use<'s> {
        let begin = Instant::now();
        let inputs =
            documents_to_tensors(documents, &servable.signature).map_err(ServingError::InvalidInputs);
        async move { self.run_tensors(servable, inputs?, context, begin).await }
    }

    async fn run_tensors(
        &self,
        servable: PermittedServable,
        inputs: Vec<(String, Tensor)>,
        context: RequestContext,
        begin: Instant,
    ) -> Result<Inference, ServingError> {
        let by = Requester { caller: context.caller, by_rows: false };
        let (outputs, _) = self.run(&servable, inputs, context, begin, by).await?;
        servable.monitor.answered(by.caller);
        Ok(Inference { servable: servable.into_inner(), outputs })
    }

    /// Returns the outputs, and the inputs again.
    async fn run(
        &self,
        servable: &PermittedServable,
        inputs: Vec<(String, Tensor)>,
        context: RequestContext,
        begin: Instant,
        by: Requester,
    ) -> Result<(Vec<Value>, Inputs), ServingError> {
        if servable.proof.divides {
            check_dividends(&inputs).map_err(ServingError::InvalidInputs)?;
        }
        let rows = servable.signature.rows(&inputs);
        let inputs = Inputs::Named(inputs);
        context.reserve_run(servable, rows.unwrap_or(1), inputs.bytes()).await?;
        let mut ran = self.run_request(servable, inputs, rows, context, begin, by).await?;
        let outputs = ran.take_outputs().ok_or(ServingError::Internal("a batch does not hold its rows"))?;
        Ok((outputs, ran.inputs))
    }

    /// Runs checked inputs, and counts the run.
    //
    // Not an `async` block, which would double the size of the future that most requests wait in.
    fn run_request<'s>(
        &self,
        servable: &'s PermittedServable,
        inputs: Inputs,
        rows: Option<usize>,
        context: RequestContext,
        begin: Instant,
        by: Requester,
    ) -> impl Future<Output = Result<RunResult, ServingError>> + use<'s> {
        let RequestContext { caller, priority, deadline, charge, timeline, .. } = context;
        let deadline = self.deadline(begin, deadline);
        let since = Instant::now();
        let permit = servable.run_permit();
        // Without the proof, which the run does not need any more.
        let servable: &'s Servable = servable;
        let asked = RunRequest { permit, inputs, rows, caller, priority, deadline, since };
        servable.scheduler.run(asked).map(move |ran| {
            let ran = match ran {
                Ok(ran) => ran,
                Err(Failed { error, inputs }) => {
                    servable.statistics.failed(begin.elapsed());
                    return Err(blamed(servable, by, error.into(), inputs));
                }
            };
            let outputs = servable.output_size.record(ran.batch_rows.max(rows.unwrap_or(1)), ran.batch());
            if let Some(charge) = charge {
                let rows = rows.unwrap_or(1).min(ran.batch_rows);
                let part = outputs / count(ran.batch_rows.max(1)) * count(rows);
                charge.at_least(count(ran.inputs.bytes()).saturating_add(part));
            }
            if let Some(timeline) = timeline {
                timeline.ran(&timed(servable, &ran, since));
            }
            if ran.runs > 0 {
                servable.inference_seconds.observe(ran.duration);
            }
            if let Err(error) = check_finite(servable, &ran) {
                servable.statistics.failed(begin.elapsed());
                return Err(blamed(servable, by, error, Some(Box::new(ran.inputs))));
            }
            let now = Instant::now();
            let phases = Phases {
                queue: ran.queued,
                input: since - begin,
                infer: ran.duration,
                output: now.saturating_duration_since(ran.ended),
            };
            servable.statistics.answered(now, rows.unwrap_or(1), ran.runs, ran.batch_rows, &phases);
            Ok(ran)
        })
    }

    /// Runs rows of numbers that were read and checked since `begin`, according to the servable's flat plan. The call
    /// itself puts them in the queue.
    ///
    /// Dropping the future ends the run.
    ///
    /// # Errors
    ///
    /// The error of the run.
    pub fn predict_flat<'s>(
        &'s self,
        servable: &'s PermittedServable,
        input: Tensor,
        rows: usize,
        context: RequestContext,
        begin: Instant,
    ) -> impl Future<Output = Result<FlatPrediction, ServingError>> {
        let by = Requester { caller: context.caller, by_rows: true };
        self.run_request(servable, Inputs::Only(input), Some(rows), context, begin, by)
            .map(move |ran| ran.map(|ran| FlatPrediction { ran, rows, by }))
    }

    /// Returns the time at which the client stops waiting for a response.
    fn deadline(&self, begin: Instant, own: Option<Instant>) -> Option<Instant> {
        let timeout = Duration::from_millis(self.request_timeout_ms.load(Ordering::Relaxed));
        let latest = begin.checked_add(timeout);
        own.into_iter().chain(latest).min()
    }
}
