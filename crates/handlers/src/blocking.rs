//! Work for a processor, off the threads that serve everything else.

use tasktonic_worker::Failure;

/// Runs `work` on a thread for blocking work. A panic in it goes on here, where the worker makes a
/// failed attempt of it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that shuts down refuses it.
            Err(_) => Err(Failure::Cancelled),
        },
    }
}
