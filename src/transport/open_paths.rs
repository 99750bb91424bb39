//! All paths that need no token; every other path needs one.

/// Open paths, matched exactly.
pub const OPEN_PATHS: &[&str] = &[
    "/",
    "/health",
    "/health/live",
    "/health/ready",
    "/v2/health/live",
    "/v2/health/ready",
    "/ping",
    "/version",
    "/token",
    "/openapi.json",
    "/docs",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    // As open as `/openapi.json`: it describes the protocol, not the models.
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// The folder of the documentation's own files.
const DOCS_FOLDER: &str = "/docs/";

/// Returns true if a path needs no token.
#[must_use]
pub fn is_open(path: &str) -> bool {
    OPEN_PATHS.contains(&path) || path.starts_with(DOCS_FOLDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_not_listed_is_closed() {
        for open in ["/", "/health", "/docs/swagger-ui.css"] {
            assert!(is_open(open), "{open}");
        }
        for closed in [
            "",
            "/predict",
            "/models",
            "/health/",
            "/healthz",
            "/token/",
            "/docsx",
            "/nothing",
            "//",
            "/inference.GRPCInferenceService/ServerMetadata",
            "/grpc.health.v1.Health",
        ] {
            assert!(!is_open(closed), "{closed}");
        }
    }
}
