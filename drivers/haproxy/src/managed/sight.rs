//! What is seen of HAProxy's processes without asking them: who the workers are, and whether the one that serves is
//! stopped. Cheap enough to look often, so that a reload or a stop by hand is known before the next resync.

use std::{fs, time::Duration};

use backchat_template::is_stopped;

/// How often to look.
const LOOK: Duration = Duration::from_millis(200);

/// One look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// The master's children, as the kernel lists them; empty where it does not.
    workers: String,
    stopped: bool,
}

impl Sight {
    /// Looks at this master, and at the worker that answered last.
    pub(super) fn of(master: u32, worker: Option<u32>) -> Self {
        // Kernels without CONFIG_PROC_CHILDREN have no such file: then the resync finds it out.
        let workers = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap_or_default();
        Self { workers, stopped: worker.is_some_and(is_stopped) }
    }

    /// Ends when a look finds something else, and says what. Cancel-safe.
    pub(super) async fn changed(&self, master: u32, worker: Option<u32>) -> Self {
        loop {
            // Who asks has just looked; and a master that ends is told as that, before its workers are missed.
            tokio::time::sleep(LOOK).await;
            let now = Self::of(master, worker);
            if now != *self {
                return now;
            }
        }
    }
}
