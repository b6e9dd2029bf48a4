//! A task of the service.

use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Runs until it ends by itself, is aborted, or panics. Any number may wait for that, and stop waiting.
#[derive(Debug)]
pub(super) struct Task {
    handle: AbortHandle,
    /// Closed once the task has ended.
    running: watch::Receiver<()>,
}

impl Task {
    pub(super) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        let (ends, running) = watch::channel(());
        let task = tokio::spawn(async move {
            let _ends = ends;
            work.await;
        });
        Self { handle: task.abort_handle(), running }
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.has_changed().is_ok()
    }

    pub(super) async fn ended(&self) {
        let mut running = self.running.clone();
        while running.changed().await.is_ok() {}
    }

    pub(super) fn abort(&self) {
        self.handle.abort();
    }
}
