//! MLflow's scoring server: the forms of its requests, and its version. The paths of its predictions and its probe are
//! in [`invocations`](super::invocations), as SageMaker has the same.

pub(super) mod wire;
