//! One nginx, by its master process: started, adopted or found; told to reload; ended.
//!
//! It never ends with us: it has a process group of its own, and dropping what is here leaves it serving. The next
//! daemon on the same run folder adopts it.

mod adopt;
mod start;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use backchat_contract::DriverError;
use backchat_template::{MasterProcess, is_stopped, read, taken};
use rustix::process::Signal;

use crate::{
    check::Call,
    paths::Paths,
    titles::{self, is_master},
};

/// How to start one, and where it lies.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program, and what it is given beside its configuration.
    pub call: Call,
    /// The folder that it runs in; its workers are known by it.
    pub folder: PathBuf,
    /// The configuration.
    pub config: PathBuf,
    /// The socket on which it says what it runs.
    pub control: PathBuf,
    /// Where its pid is written.
    pub pid: PathBuf,
    /// What it says.
    pub log: PathBuf,
    /// How long a start may take until it answers.
    pub limit: Duration,
}

impl Launch {
    /// An nginx of ours in its run folder: nothing goes to where nginx was built to write to.
    pub fn new(program: &str, paths: &Paths, limit: Duration) -> Self {
        let prefix = format!("{}/", paths.folder.display());
        let flags = vec!["-p".into(), prefix, "-e".into(), paths.log.display().to_string()];
        Self {
            call: Call { program: program.to_owned(), flags },
            folder: paths.folder.clone(),
            config: paths.config.clone(),
            control: paths.control.clone(),
            pid: paths.pid.clone(),
            log: paths.log.clone(),
            limit,
        }
    }

    /// The first of these listeners that somebody else has. What an nginx of this configuration has is no stranger's.
    pub fn taken(&self, listen: &[SocketAddr]) -> Option<SocketAddr> {
        let ours = any(self).then(|| read(&self.config).unwrap_or_default());
        taken(ours.as_deref(), listen)
    }
}

/// A running nginx, its master process.
#[derive(Debug)]
pub struct Master(MasterProcess);

impl Master {
    /// Takes over an nginx that an earlier daemon started on this configuration; `None` where none runs.
    pub fn adopt(launch: &Launch) -> Result<Option<Self>, DriverError> {
        adopt::adopt(launch)
    }

    /// A master by its pid; `None` where there is no process of this pid, or one that is no nginx master.
    pub fn of(pid: u32) -> Result<Option<Self>, DriverError> {
        let failed = |error: std::io::Error| DriverError::Start { program: "nginx".into(), message: error.to_string() };
        Ok(MasterProcess::of(pid, || is_master(pid)).map_err(failed)?.map(Self))
    }

    /// Starts one from the file at its place, and waits until a worker of its own answers on the control socket.
    /// Workers that a killed master left are told to end what they have first: they hold the ports.
    pub async fn start(launch: &Launch) -> Result<Self, DriverError> {
        start::start(launch).await
    }

    /// The master's pid; it stays the same over reloads.
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Ends when the process has ended, at once where it has already. Cancel-safe: waiting again is the same.
    pub async fn ended(&mut self) {
        self.0.ended().await;
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.0.is_running()
    }

    /// A process of it that somebody stopped, if there is one: it takes signals and requests, and answers none.
    pub fn stopped(&self) -> Option<u32> {
        let workers = titles::children(self.pid()).into_iter().filter(|child| !child.retiring).map(|child| child.pid);
        std::iter::once(self.pid()).chain(workers).find(|pid| is_stopped(*pid))
    }

    /// Tells it to read its configuration again.
    pub fn reload(&self) -> Result<(), DriverError> {
        self.0.signal(Signal::HUP).map_err(undelivered)
    }

    /// Ends it: listeners close at once, requests in flight have until the deadline; what is left then is cut.
    pub async fn stop(&mut self, deadline: Duration) -> Result<(), DriverError> {
        self.0.stop(Signal::QUIT, deadline).await.map_err(undelivered)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` takes")]
fn undelivered(error: std::io::Error) -> DriverError {
    DriverError::Reload { message: error.to_string() }
}

/// Whether any process of an nginx of this configuration runs, a worker without its master too.
fn any(launch: &Launch) -> bool {
    titles::master_of(&launch.config).is_some() || !titles::orphans(&launch.folder, None).is_empty()
}
