//! Whether the machine itself stands still: a task that should wake every 20 ms notes when it is late. Where no process
//! gets time, everybody looks dead to everybody, and what is checked to the instant means nothing.

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
/// Later than that is a stall: a question to a suspect has 300 ms, for its whole way there and back.
const LATE: Duration = Duration::from_millis(100);

/// The task. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Pulse {
    begun: Instant,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    stalls: AtomicU64,
    /// When the last one ended, in milliseconds after the beginning.
    last: AtomicU64,
}

impl Pulse {
    /// Sets it going.
    pub(crate) fn start() -> Self {
        let (begun, seen) = (Instant::now(), Arc::<Seen>::default());
        let task = tokio::spawn(beat(begun, Arc::clone(&seen)));
        Self { begun, seen, task }
    }

    /// Whether it stood still at any time since `then`.
    pub(crate) fn stalled_since(&self, then: Instant) -> bool {
        let last = self.begun + Duration::from_millis(self.seen.last.load(Ordering::Relaxed));
        self.stalls() > 0 && last >= then
    }

    /// How often it stood still.
    pub(crate) fn stalls(&self) -> u64 {
        self.seen.stalls.load(Ordering::Relaxed)
    }
}

async fn beat(begun: Instant, seen: Arc<Seen>) {
    loop {
        let slept = Instant::now();
        sleep(BEAT).await;
        if slept.elapsed() > BEAT + LATE {
            seen.last.store(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
            seen.stalls.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}
