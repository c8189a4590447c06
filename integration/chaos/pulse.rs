//! Whether the machine itself stood still: a task that should wake every 20 ms tells how late it was. What is checked to
//! the instant means nothing where no process got any time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

const BEAT: Duration = Duration::from_millis(20);

/// The task. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Pulse {
    latest: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Pulse {
    /// Sets it going.
    pub(crate) fn start() -> Self {
        let latest = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&latest);
        let task = tokio::spawn(async move {
            loop {
                let began = Instant::now();
                sleep(BEAT).await;
                let late = began.elapsed().saturating_sub(BEAT).as_millis();
                told.fetch_max(u64::try_from(late).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        Self { latest, task }
    }

    /// How long it stood still, at most, since this was asked last.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_millis(self.latest.swap(0, Ordering::Relaxed))
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}
