//! The HAProxy process of a managed data plane: started or adopted, watched, ended.
//!
//! It never ends with us: it has a process group of its own, and dropping what is here leaves it serving. The
//! next daemon on the same run folder adopts it.

mod adopt;
mod start;

use std::time::Duration;

use backchat_contract::{DriverError, LogFile};
use backchat_template::MasterProcess;
use rustix::process::Signal;

use crate::{log, paths::Paths};

/// How to start it, and where it lies.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The `haproxy` binary: a path, or a name looked up in PATH.
    pub program: String,
    /// Its files and sockets.
    pub paths: Paths,
    /// What its standard output is; its log where it is to write no access log.
    pub access: Option<LogFile>,
    /// How long a start may take until the runtime socket answers.
    pub limit: Duration,
}

/// A running HAProxy, its master process.
#[derive(Debug)]
pub struct Process {
    master: MasterProcess,
    paths: Paths,
}

impl Process {
    /// Takes over a HAProxy that an earlier daemon started on these paths; `None` where none runs. One whose
    /// master does not answer is taken as it is while a worker of its serves, and ended where none does, so that a
    /// start can follow.
    pub async fn adopt(launch: &Launch) -> Result<Option<Self>, DriverError> {
        adopt::adopt(launch).await
    }

    /// Whether any process of a HAProxy on these paths runs, a worker without its master too.
    pub fn any(paths: &Paths) -> bool {
        adopt::any(paths)
    }

    /// Starts one from the file at its place, and waits until its own worker answers on the runtime socket.
    ///
    /// A worker of an earlier master that still holds the ports is no obstacle: HAProxy shares them
    /// (`SO_REUSEPORT`), and the sockets are taken over by rename.
    pub async fn start(launch: &Launch) -> Result<Self, DriverError> {
        start::start(launch).await
    }

    /// The master's pid; it stays the same over reloads.
    pub fn pid(&self) -> u32 {
        self.master.pid()
    }

    /// Ends when the process has ended, at once where it has already. Cancel-safe: waiting again is the same.
    pub async fn ended(&mut self) {
        self.master.ended().await;
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.master.is_running()
    }

    /// Ends it: listeners close at once, requests in flight have until the deadline; what is left then is cut.
    pub async fn stop(&mut self, deadline: Duration) -> Result<(), DriverError> {
        let stopped = self.master.stop(Signal::USR1, deadline).await;
        stopped.map_err(|error| DriverError::Start { program: "haproxy".into(), message: error.to_string() })?;
        self.clean_up();
        Ok(())
    }

    /// HAProxy leaves its sockets and its pid file behind; the next start would not mind, people would.
    fn clean_up(&self) {
        for path in [&self.paths.pid, &self.paths.socket, &self.paths.master] {
            // Not there is what is wanted, and a stale one does no harm.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Its last words, for a message: the newest alerts of its log; empty where there are none.
    pub fn last_words(&self) -> String {
        log::alerts(&log::since(&self.paths, log::len(&self.paths).saturating_sub(4096)))
    }
}
