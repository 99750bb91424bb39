//! The way of a prediction: what is checked before a run, the run, and what is counted and checked after it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures_util::FutureExt;

use super::{
    FlatPrediction, Inference, Prediction, Servable, Serving, ServingError, Terms, prediction::check_finite,
};
use crate::{
    lifecycle::Phases,
    model::{
        Row, RowOutputs, Tensor, TensorDocuments, check_dividends, check_inputs, documents_to_tensors,
        rows_to_tensors,
    },
    runtime::{Asked, Inputs, Ran},
};

impl Serving {
    /// Checks rows against the contract of a version and runs them.
    ///
    /// Dropping the future ends the run.
    ///
    /// # Errors
    ///
    /// [`ServingError::InvalidRows`] with everything that is wrong, [`ServingError::RowsNotSupported`] when the model
    /// takes no rows, or what the run failed with.
    pub async fn predict(
        &self,
        servable: Arc<Servable>,
        rows: &[Row],
        terms: Terms,
    ) -> Result<Prediction, ServingError> {
        let begin = Instant::now();
        let layout = Arc::clone(servable.layout_of_rows()?);
        let inputs = rows_to_tensors(rows, &layout, &servable.contract).map_err(ServingError::InvalidRows)?;
        let answered = self.run(Arc::clone(&servable), inputs, terms, begin).await.and_then(|inference| {
            let Inference { servable, outputs } = inference;
            let outputs = RowOutputs::new(rows.len(), outputs, &servable.signature, &layout.outputs)?;
            Ok(Prediction { servable, layout, outputs })
        });
        self.watched(&servable, answered)
    }

    /// Checks tensors against the signature of a version and runs them.
    ///
    /// Dropping the future ends the run.
    ///
    /// # Errors
    ///
    /// [`ServingError::InvalidInputs`] with everything that is wrong, or what the run failed with.
    pub async fn infer(
        &self,
        servable: Arc<Servable>,
        inputs: Vec<(String, Tensor)>,
        terms: Terms,
    ) -> Result<Inference, ServingError> {
        let begin = Instant::now();
        check_inputs(&servable.signature, &inputs).map_err(ServingError::InvalidInputs)?;
        let answered = self.run(Arc::clone(&servable), inputs, terms, begin).await;
        self.watched(&servable, answered)
    }

    /// As [`Serving::infer`], of tensors as they were written.
    ///
    /// # Errors
    ///
    /// As [`Serving::infer`].
    pub async fn infer_documents(
        &self,
        servable: Arc<Servable>,
        documents: &TensorDocuments,
        terms: Terms,
    ) -> Result<Inference, ServingError> {
        let begin = Instant::now();
        let inputs =
            documents_to_tensors(documents, &servable.signature).map_err(ServingError::InvalidInputs)?;
        let answered = self.run(Arc::clone(&servable), inputs, terms, begin).await;
        self.watched(&servable, answered)
    }

    async fn run(
        &self,
        servable: Arc<Servable>,
        inputs: Vec<(String, Tensor)>,
        terms: Terms,
        begin: Instant,
    ) -> Result<Inference, ServingError> {
        if servable.proof.divides {
            check_dividends(&inputs).map_err(ServingError::InvalidInputs)?;
        }
        let rows = servable.signature.rows(&inputs);
        let mut ran = self.run_asked(&servable, Inputs::Named(inputs), rows, terms, begin).await?;
        let outputs = ran.take_outputs();
        let outputs = outputs.ok_or_else(|| ServingError::ModelFailed("its outputs are gone".to_owned()))?;
        Ok(Inference { servable, outputs })
    }

    /// Runs inputs that were checked, and counts the run.
    //
    // What most requests wait for, so it is small: an `async` block would hold twice what it is made of.
    fn run_asked<'s>(
        &self,
        servable: &'s Servable,
        inputs: Inputs,
        rows: Option<usize>,
        terms: Terms,
        begin: Instant,
    ) -> impl Future<Output = Result<Ran, ServingError>> + use<'s> {
        let Terms { caller, priority, deadline } = terms;
        let deadline = self.deadline(begin, deadline);
        let since = Instant::now();
        let asked = Asked { inputs, rows, caller, priority, deadline, since };
        servable.scheduler.run(asked).map(move |ran| {
            let failed = |_: &ServingError| servable.statistics.failed(begin.elapsed());
            let ran = ran.map_err(ServingError::from).inspect_err(failed)?;
            if ran.runs > 0 {
                servable.inference_seconds.observe(ran.duration);
            }
            check_finite(servable, &ran).inspect_err(failed)?;
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

    /// Runs rows of numbers that were read and checked, from `begin` on, as the servable's flat plan says. They stand in
    /// line from this call on.
    ///
    /// Dropping the future ends the run.
    ///
    /// # Errors
    ///
    /// What the run failed with.
    pub fn predict_flat<'s>(
        &'s self,
        servable: &'s Servable,
        input: Tensor,
        rows: usize,
        terms: Terms,
        begin: Instant,
    ) -> impl Future<Output = Result<FlatPrediction, ServingError>> {
        self.run_asked(servable, Inputs::Only(input), Some(rows), terms, begin).map(move |ran| {
            let answered = ran.map(|ran| FlatPrediction { ran, rows });
            self.watched(servable, answered)
        })
    }

    /// When nobody waits for an answer any more.
    fn deadline(&self, begin: Instant, own: Option<Instant>) -> Option<Instant> {
        let timeout = Duration::from_millis(self.request_timeout_ms.load(Ordering::Relaxed));
        let latest = begin.checked_add(timeout);
        own.into_iter().chain(latest).min()
    }

    /// Counts an answer. The one that is one failure too many has the deployment taken back.
    fn watched<T>(&self, servable: &Servable, answered: Result<T, ServingError>) -> Result<T, ServingError> {
        match &answered {
            Ok(_) => servable.trial.answered(),
            Err(ServingError::ModelFailed(_) | ServingError::NonFiniteOutput(_)) => {
                if servable.trial.failed() {
                    self.lifecycle.is_failing(&servable.name, servable.content());
                }
            }
            Err(_) => {}
        }
        answered
    }
}
