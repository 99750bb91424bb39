//! A model's instances and the requests that wait for one.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ort::session::RunOptions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Instance, RuntimeError};
use crate::model::{Tensor, Value};

/// Instances of one model. As many requests run at a time as there are instances; a bounded number waits.
#[derive(Debug)]
pub struct InstancePool {
    idle: Mutex<Vec<Instance>>,
    size: usize,
    /// One permit for each idle instance.
    available: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue_capacity: usize,
}

/// What a run gave, and how long it took without waiting.
#[derive(Debug)]
pub struct Ran {
    /// Every output in the order of the signature.
    pub outputs: Vec<Value>,
    /// What it was given.
    pub inputs: Vec<(String, Tensor)>,
    /// The time before that: waiting for an instance and a thread.
    pub queued: Duration,
    /// The time inside ONNX Runtime.
    pub duration: Duration,
}

impl InstancePool {
    /// A pool of these instances, for which `queue_capacity` requests may wait.
    #[must_use]
    pub fn new(instances: Vec<Instance>, queue_capacity: usize) -> Self {
        Self {
            size: instances.len(),
            available: Arc::new(Semaphore::new(instances.len())),
            idle: Mutex::new(instances),
            waiting: AtomicUsize::new(0),
            queue_capacity,
        }
    }

    /// How many instances there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Runs the model on its own thread, waiting for an instance if need be.
    ///
    /// Dropping the future takes the request out of the queue, or tells the run to end; its instance comes back to
    /// the pool when it has ended.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Overloaded`] when too many wait, else as [`Instance::run`].
    pub async fn run(self: &Arc<Self>, inputs: Vec<(String, Tensor)>) -> Result<Ran, RuntimeError> {
        let asked = Instant::now();
        let permit = self.acquire().await?;
        let options = RunOptions::new().map_err(|error| RuntimeError::Run(error.message().to_owned()))?;
        let options = Arc::new(options);
        let _ends_with_caller = TerminateOnDrop(Arc::clone(&options));
        let pool = Arc::clone(self);
        let run = tokio::task::spawn_blocking(move || pool.run_blocking(inputs, &options, permit, asked));
        run.await.unwrap_or_else(|error| Err(RuntimeError::Panicked(error.to_string())))
    }

    fn run_blocking(
        &self,
        inputs: Vec<(String, Tensor)>,
        options: &RunOptions,
        permit: OwnedSemaphorePermit,
        asked: Instant,
    ) -> Result<Ran, RuntimeError> {
        let Some(mut instance) = self.idle().pop() else {
            return Err(RuntimeError::Overloaded);
        };
        let named: Vec<(&str, &Tensor)> =
            inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let start = Instant::now();
        let outputs = instance.run(&named, options);
        let duration = start.elapsed();
        self.idle().push(instance);
        drop(permit);
        Ok(Ran { outputs: outputs?, inputs, queued: start - asked, duration })
    }

    async fn acquire(&self) -> Result<OwnedSemaphorePermit, RuntimeError> {
        if let Ok(permit) = Arc::clone(&self.available).try_acquire_owned() {
            return Ok(permit);
        }
        let _place = Place::take(&self.waiting, self.queue_capacity).ok_or(RuntimeError::Overloaded)?;
        Arc::clone(&self.available).acquire_owned().await.map_err(|_| RuntimeError::Overloaded)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Instance>> {
        // The list is whole at every point where a panic could leave it, so a poisoned lock is good.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a run whose caller is gone; does nothing to one that is over.
struct TerminateOnDrop(Arc<RunOptions>);

impl Drop for TerminateOnDrop {
    fn drop(&mut self) {
        if let Err(error) = self.0.terminate() {
            tracing::warn!(error = error.message(), "a run could not be told to end");
        }
    }
}

/// A place in the queue, given back when dropped.
struct Place<'w>(&'w AtomicUsize);

impl<'w> Place<'w> {
    fn take(waiting: &'w AtomicUsize, capacity: usize) -> Option<Self> {
        let next = |count: usize| (count < capacity).then_some(count + 1);
        waiting.try_update(Ordering::Relaxed, Ordering::Relaxed, next).ok().map(|_| Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_has_so_many_places() {
        let waiting = AtomicUsize::new(0);
        let first = Place::take(&waiting, 2);
        let second = Place::take(&waiting, 2);
        assert!(first.is_some() && second.is_some());
        assert!(Place::take(&waiting, 2).is_none());
        drop(first);
        assert!(Place::take(&waiting, 2).is_some());
    }
}
