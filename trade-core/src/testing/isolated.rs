//! Cases that harm nobody but themselves.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Runs a case, and then what clears up after it, in a thread and on a runtime of its own.
///
/// # Errors
/// What it found wrong: the text of its panic, or that it took too long.
pub(super) fn isolated(
    case: impl AsyncFnOnce() + Send + 'static,
    clear_up: impl AsyncFnOnce() + Send + 'static,
    patience: Duration,
) -> Result<(), String> {
    let checked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let run = || runtime.block_on(async { tokio::time::timeout(patience, case()).await });
        let checked = catch_unwind(AssertUnwindSafe(run));
        runtime.block_on(clear_up());
        runtime.shutdown_background();
        checked
    });
    match checked.join() {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(_))) => Err(format!("it was not done within {patience:?}")),
        Ok(Err(panic)) | Err(panic) => Err(text_of(panic)),
    }
}

fn text_of(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast::<&str>().map_or_else(|_| "it panicked".into(), |text| text.to_string()),
    }
}
