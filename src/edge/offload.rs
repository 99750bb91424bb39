//! Moves large requests to threads of their own. Reading, checking and writing many numbers takes long, and would delay
//! every other connection of the thread.

use std::{
    io,
    panic::resume_unwind,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body::Body;
use tokio::{
    runtime::{Builder, Runtime as Threads},
    task::JoinSet,
};
use tracing::Instrument;

use super::error::ApiError;
use crate::{
    runtime::{Runtime, STACK_BYTES},
    system::priority::{Niceness, set_niceness},
};

/// Minimum size of a large request: it takes longer than the way to another thread and back.
const LONG_BYTES: usize = 64 * 1024;

/// Largest body that a fast path takes: all of its requests stay on their thread.
pub(crate) const MOST_FAST_BYTES: usize = LONG_BYTES - 1;

/// One thread per CPU: more would only take turns, and hold more memory meanwhile.
static THREADS: LazyLock<io::Result<Threads>> = LazyLock::new(|| {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    Builder::new_multi_thread()
        .worker_threads(Runtime::cpus())
        .thread_name_fn(|| format!("long-{}", STARTED.fetch_add(1, Ordering::Relaxed)))
        .thread_stack_size(STACK_BYTES)
        .on_thread_start(|| set_niceness(Niceness::Interactive))
        .enable_time()
        .build()
});

/// Returns true if a request of this size is large. A request of unknown size counts as large.
pub(crate) fn is_large(bytes: Option<usize>) -> bool {
    bytes.is_none_or(|bytes| bytes >= LONG_BYTES)
}

/// Runs the work of a request of this size, on another thread if it is large. Dropping the future ends the work.
///
/// # Errors
///
/// If the gateway stops before the work is done.
pub(crate) async fn offload<T: Send + 'static>(
    bytes: Option<usize>,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, ApiError> {
    if !is_large(bytes) {
        return Ok(work.await);
    }
    let threads = match &*THREADS {
        Ok(threads) => threads,
        Err(error) => {
            tracing::warn!(%error, "failed to start threads for large requests; other requests wait for them");
            return Ok(work.await);
        }
    };
    let mut task = JoinSet::new();
    task.spawn_on(work.in_current_span(), threads.handle());
    match task.join_next().await {
        Some(Ok(done)) => Ok(done),
        // A panic continues where it would have been without the other thread.
        Some(Err(error)) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Err(ApiError::ResponseNotWritten),
        },
        None => Err(ApiError::ResponseNotWritten),
    }
}

/// Moves the whole handling of a request with a large body to these threads, as middleware.
pub(super) async fn offload_large(request: Request, next: Next) -> Response {
    let bytes = request.body().size_hint().exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    offload(bytes, next.run(request)).await.unwrap_or_else(IntoResponse::into_response)
}

#[cfg(test)]
mod tests {
    use std::{future::pending, thread};

    use axum::{Router, body, middleware::from_fn, routing::post};
    use futures_util::{FutureExt, stream};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn only_long_requests_are_answered_elsewhere() {
        let here = thread::current().id();
        let handler = move |request: Request| async move {
            let bytes = body::to_bytes(request.into_body(), usize::MAX).await.unwrap().len();
            format!("{bytes} {}", thread::current().id() == here)
        };
        let router = Router::new().route("/", post(handler)).layer(from_fn(offload_large));
        let in_parts = stream::iter([Ok::<_, io::Error>("a"), Ok("b")]);
        for (body, expected) in [
            (body::Body::empty(), "0 true"),
            (body::Body::from(vec![0; LONG_BYTES - 1]), "65535 true"),
            (body::Body::from(vec![0; LONG_BYTES]), "65536 false"),
            // The body may have become very large.
            (body::Body::from_stream(in_parts), "2 false"),
        ] {
            let request = axum::http::Request::post("/").body(body).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(body::to_bytes(response.into_body(), usize::MAX).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    #[should_panic(expected = "as it would have been here")]
    async fn a_panic_comes_back() {
        let _ = offload(None, async { panic!("as it would have been here") }).await;
    }

    #[tokio::test]
    async fn who_hangs_up_ends_the_work() {
        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        let work = offload(None, async move {
            let _held = held;
            pending::<()>().await;
        });
        assert!(work.now_or_never().is_none());
        assert!(dropped.await.is_err(), "it is gone");
    }
}
