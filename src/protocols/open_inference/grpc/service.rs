//! The methods of the service: authorization, then the logic shared with REST in `operations`, then the message.

use tonic::{Request, Response, Status, Streaming, async_trait, codegen::BoxStream, metadata::MetadataMap};

use super::{
    infer::{Charges, infer},
    proto::{
        ModelConfigRequest, ModelConfigResponse, ModelInferRequest, ModelInferResponse, ModelMetadataRequest,
        ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse, ModelRepositoryParameter,
        ModelStatisticsRequest, ModelStatisticsResponse, ModelStreamInferResponse, RepositoryIndexRequest,
        RepositoryIndexResponse, RepositoryModelLoadRequest, RepositoryModelLoadResponse,
        RepositoryModelUnloadRequest, RepositoryModelUnloadResponse, ServerLiveRequest, ServerLiveResponse,
        ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
        grpc_inference_service_server::GrpcInferenceService, model_repository_parameter::ParameterChoice,
    },
    request::{caller, chosen_version},
    stream::Session,
};
use crate::{
    edge::{
        AddressLimit, ApiError, EdgeState, MayManage, MayRead, Permit, grpc::status::status_of,
        version_headers,
    },
    protocols::open_inference::{
        operations,
        wire::{EXTENSIONS, SERVER_NAME},
    },
    serving::{Readiness, ServingError},
};

/// The service. It holds the quota of addresses for streams: every other call passes the layer.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) state: EdgeState,
    pub(super) address_limit: Option<AddressLimit>,
}

fn answered<T>(result: Result<T, ApiError>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(status_of)
}

impl Service {
    fn may_read<T>(
        &self,
        request: &Request<T>,
        name: &str,
        version: &str,
    ) -> Result<Permit<MayRead>, ApiError> {
        Permit::check(&self.state, &*caller(request)?, Some(name), chosen_version(version))
    }

    fn model_is_ready(&self, request: &Request<ModelReadyRequest>) -> Result<ModelReadyResponse, ApiError> {
        let ModelReadyRequest { name, version } = request.get_ref();
        let permit = self.may_read(request, name, version)?;
        match self.state.serving.servable(&permit.model, permit.version.as_ref()) {
            Ok(_) => Ok(ModelReadyResponse { ready: true }),
            // The model is known and does not serve, so it is not ready.
            Err(ServingError::ModelUnavailable(_) | ServingError::Starting) => {
                Ok(ModelReadyResponse { ready: false })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn metadata(&self, request: &Request<ModelMetadataRequest>) -> Result<ModelMetadataResponse, ApiError> {
        let ModelMetadataRequest { name, version } = request.get_ref();
        let permit = self.may_read(request, name, version)?;
        Ok(operations::metadata(&self.state, &permit)?.into())
    }

    fn config(&self, request: &Request<ModelConfigRequest>) -> Result<ModelConfigResponse, ApiError> {
        let ModelConfigRequest { name, version } = request.get_ref();
        let permit = self.may_read(request, name, version)?;
        Ok(ModelConfigResponse { config: Some(operations::config(&self.state, &permit)?.into()) })
    }

    fn statistics(
        &self,
        request: &Request<ModelStatisticsRequest>,
    ) -> Result<ModelStatisticsResponse, ApiError> {
        let ModelStatisticsRequest { name, version } = request.get_ref();
        let statistics = if name.is_empty() && version.is_empty() {
            operations::all_statistics(&self.state, &*caller(request)?)?
        } else {
            operations::statistics(&self.state, &self.may_read(request, name, version)?)?
        };
        Ok(ModelStatisticsResponse { model_stats: statistics.into_iter().map(Into::into).collect() })
    }

    fn index(&self, request: &Request<RepositoryIndexRequest>) -> Result<RepositoryIndexResponse, ApiError> {
        let RepositoryIndexRequest { repository_name, ready } = request.get_ref();
        let caller = caller(request)?;
        only_repository(repository_name)?;
        let index = operations::index(&self.state, &caller, *ready)?;
        Ok(RepositoryIndexResponse { models: index.into_iter().map(Into::into).collect() })
    }

    async fn load(&self, request: &Request<RepositoryModelLoadRequest>) -> Result<(), ApiError> {
        let RepositoryModelLoadRequest { repository_name, model_name, parameters } = request.get_ref();
        let caller = caller(request)?;
        let permit = Permit::<MayManage>::check(&self.state, &caller, Some(model_name), None)?;
        only_repository(repository_name)?;
        operations::load(&self.state, &permit, &caller, parameters.iter().map(truth)).await
    }

    async fn unload(&self, request: &Request<RepositoryModelUnloadRequest>) -> Result<(), ApiError> {
        let RepositoryModelUnloadRequest { repository_name, model_name, parameters } = request.get_ref();
        let caller = caller(request)?;
        let permit = Permit::<MayManage>::check(&self.state, &caller, Some(model_name), None)?;
        only_repository(repository_name)?;
        operations::unload(&self.state, &permit, &caller, parameters.iter().map(truth)).await
    }
}

/// Accepts only the empty name, as there is one repository, which has no name.
fn only_repository(name: &str) -> Result<(), ApiError> {
    if name.is_empty() { Ok(()) } else { Err(ApiError::UnknownParameter { known: "no `repository_name`" }) }
}

/// Returns a parameter with its value; `None` if the value is not a boolean.
fn truth<'p>((name, value): (&'p String, &ModelRepositoryParameter)) -> (&'p str, Option<bool>) {
    match value.parameter_choice {
        Some(ParameterChoice::BoolParam(truth)) => (name, Some(truth)),
        _ => (name, None),
    }
}

#[async_trait]
impl GrpcInferenceService for Service {
    type ModelStreamInferStream = BoxStream<ModelStreamInferResponse>;

    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        let ready = self.state.serving.readiness() == Readiness::Ready;
        Ok(Response::new(ServerReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        request: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        answered(caller(&request).map(|_| ServerMetadataResponse {
            name: SERVER_NAME.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: EXTENSIONS.iter().copied().map(str::to_owned).collect(),
        }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        answered(self.model_is_ready(&request))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        answered(self.metadata(&request))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let caller = caller(&request).map_err(status_of)?;
        let (_, extensions, message) = request.into_parts();
        let charges = Charges { bytes: extensions.get(), rows: extensions.get(), timeline: extensions.get() };
        let run = infer(&self.state, &caller, charges, message);
        let (servable, answer) = run.await.map_err(status_of)?;
        let mut response = Response::new(answer);
        *response.metadata_mut() = MetadataMap::from_headers(version_headers(&servable).collect());
        Ok(response)
    }

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        let session = Session::new(&self.state, self.address_limit.as_ref(), request).map_err(status_of)?;
        Ok(Response::new(Box::pin(session.answers())))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        answered(self.config(&request))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        answered(self.statistics(&request))
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        answered(self.index(&request))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        answered(self.load(&request).await.map(|()| RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        answered(self.unload(&request).await.map(|()| RepositoryModelUnloadResponse {}))
    }
}
