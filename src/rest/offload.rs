//! Work that takes long leaves the thread that answers requests: all other connections of that thread would wait for it.

use std::sync::LazyLock;

use tokio::{
    sync::Semaphore,
    task::{JoinError, spawn_blocking},
};

use crate::{runtime::Runtime, transport::ApiError};

/// From so many bytes on, reading or writing takes longer than going to another thread and back.
const LONG_BYTES: usize = 64 * 1024;

/// So much of it is done at a time as there are CPUs: more would only take turns, and hold more memory meanwhile.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(Runtime::cpus()));

/// Does work on so many bytes, elsewhere if they are many.
///
/// # Errors
///
/// When the gateway ends before it is done.
pub(super) async fn offloaded<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    if bytes < LONG_BYTES {
        return Ok(work());
    }
    let _turn = TURNS.acquire().await.map_err(|_| ApiError::AnswerNotWritten)?;
    spawn_blocking(work).await.map_err(resumed)
}

/// A panic goes on where it would have been without the other thread.
fn resumed(error: JoinError) -> ApiError {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => ApiError::AnswerNotWritten,
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn what_is_long_is_done_elsewhere() {
        let here = thread::current().id();
        let there = || thread::current().id();
        assert_eq!(offloaded(LONG_BYTES - 1, there).await.unwrap(), here);
        assert_ne!(offloaded(LONG_BYTES, there).await.unwrap(), here);
    }
}
