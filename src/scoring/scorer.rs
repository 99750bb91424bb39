//! Scorer of a worker: a session of its own, or a connection to a gateway.

use super::{
    block::Scored, encode::EncodedRows, error::ScoringError, gateway::GatewayScorer, local::LocalScorer,
};

/// The scorer of one worker.
pub(super) enum Scorer {
    Local(LocalScorer),
    Gateway(GatewayScorer),
}

impl Scorer {
    /// Scores rows that were read.
    pub(super) fn score(
        &mut self,
        rows: EncodedRows,
        count: usize,
        names: &[String],
    ) -> Result<Scored, ScoringError> {
        match (self, rows) {
            (Self::Local(local), EncodedRows::Tensors(inputs)) => local.score(&inputs, count),
            (Self::Gateway(gateway), EncodedRows::Json(rows)) => gateway.score(&rows, names),
            _ => Err(ScoringError::Model("the rows were read for another model".to_owned())),
        }
    }
}
