//! Health of gRPC servers (`grpc.health.v1`), which orchestrators and clients check without a token.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::{sync::Semaphore, time::sleep};
use tonic::{Request, Response, Status, async_trait, codegen::BoxStream};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server::Health,
};

use super::proto::grpc_inference_service_server::SERVICE_NAME;
use crate::{edge::EdgeState, serving::Readiness};

/// Interval at which a watched health is checked.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Most watches at a time: watching needs no authentication.
static WATCHES: Semaphore = Semaphore::const_new(1024);

/// The health of the gateway: of the service, and of the whole, whose name is empty.
#[derive(Clone, Debug)]
pub(super) struct HealthService {
    pub(super) state: EdgeState,
}

impl HealthService {
    fn status(&self, service: &str) -> Option<ServingStatus> {
        (service.is_empty() || service == SERVICE_NAME).then(|| match self.state.serving.readiness() {
            Readiness::Ready => ServingStatus::Serving,
            Readiness::Starting | Readiness::NoModel | Readiness::NoRepository | Readiness::Draining => {
                ServingStatus::NotServing
            }
        })
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[async_trait]
impl Health for HealthService {
    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let status = self.status(&request.get_ref().service);
        let status = status.ok_or_else(|| Status::not_found("there is no such service"))?;
        Ok(Response::new(answer(status)))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let place = WATCHES.try_acquire().map_err(|_| {
            Status::resource_exhausted("too many Watch streams are open: poll with Check instead")
        })?;
        let (health, service) = (self.clone(), request.into_inner().service);
        let statuses = stream::unfold((place, None), move |(place, told)| {
            let (health, service) = (health.clone(), service.clone());
            async move {
                loop {
                    let now = health.status(&service).unwrap_or(ServingStatus::ServiceUnknown);
                    if told != Some(now) {
                        return Some((Ok(answer(now)), (place, Some(now))));
                    }
                    sleep(WATCH_INTERVAL).await;
                }
            }
        });
        Ok(Response::new(statuses.boxed()))
    }
}
