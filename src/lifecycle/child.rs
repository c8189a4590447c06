//! The service as its agent sees it: started by way of a keeper, told signals, and heard of when it ends.
//!
//! Dropped, or gone with the agent, it is told to stop by its keeper, and killed with all its descendants after a
//! moment.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, getpid, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{Ending, SignalName};

/// What runs, and how it is asked to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The program and its arguments, at least the first.
    pub command: Vec<OsString>,
    /// What asks it to end.
    pub stop_signal: SignalName,
    /// How long it and its descendants have, where it ended without being asked, or its agent is gone.
    pub grace: Duration,
}

/// A service that was started.
#[derive(Debug)]
pub struct Child {
    keeper: tokio::process::Child,
    reports: Lines<BufReader<OwnedReadHalf>>,
    orders: OwnedWriteHalf,
    /// Once it runs.
    service: Option<Pid>,
}

impl Child {
    /// Starts the keeper, which starts the service.
    ///
    /// # Errors
    /// Where this program itself cannot be started. That the service's cannot is its ending: status 127 or 126.
    pub fn start(program: &Program) -> io::Result<Self> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let (read, orders) = UnixStream::from_std(ours)?.into_split();
        let mut keeper = this_program()?;
        keeper.args(["keep", "--stop-signal", &program.stop_signal.number().to_string()]);
        keeper.args(["--grace-ms", &program.grace.as_millis().to_string(), "--"]).args(&program.command);
        keeper.stdin(Stdio::from(OwnedFd::from(theirs)));
        let keeper = tokio::process::Command::from(keeper).spawn()?;
        Ok(Self { keeper, reports: BufReader::new(read).lines(), orders, service: None })
    }

    /// How it ended, once it has. Cancel-safe.
    pub async fn ended(&mut self) -> Ending {
        while let Ok(Some(line)) = self.reports.next_line().await {
            if let Some(ending) = Ending::read(&line) {
                return ending;
            }
            self.service = line.strip_prefix("started ").and_then(|id| pid_of(id.parse().ok()?).ok());
        }
        // Somebody killed the keeper, with which the service dies. What it forked, but for what left its group, too.
        tracing::error!("the keeper of the service is gone");
        if let Some(service) = self.service {
            let _gone = kill_process_group(service, Signal::KILL);
        }
        Ending::Killed(9)
    }

    /// Sends a signal to the service, SIGKILL to all its descendants too.
    pub fn signal(&self, signal: Signal) {
        let byte = u8::try_from(signal.as_raw()).unwrap_or_default();
        if let Err(error) = self.orders.try_write(&[byte]) {
            // Its end will say the rest.
            tracing::debug!("the keeper hears nothing more: {error}");
        }
    }

    /// Waits, once it has ended, until nothing of it is left; at most for `limit`. Says how many processes it had
    /// left behind for the keeper to end.
    pub async fn gone(&mut self, limit: Duration) -> usize {
        let count = |line: String| line.strip_prefix("left ").and_then(|count| count.parse().ok());
        let left = async { self.reports.next_line().await.ok().flatten().and_then(count).unwrap_or(0) };
        let both = async { (left.await, self.keeper.wait().await) };
        tokio::time::timeout(limit, both).await.map_or_else(
            |_| {
                tracing::warn!(?limit, "not all processes of the service end");
                0
            },
            |(left, _)| left,
        )
    }
}

/// This very program, to be started again: also where its file was replaced meanwhile.
pub(super) fn this_program() -> io::Result<Command> {
    let path = std::env::current_exe()?;
    let running = Path::new("/proc/self/exe");
    let mut command = Command::new(if path.exists() { path.as_path() } else { running });
    std::os::unix::process::CommandExt::arg0(&mut command, "backchat");
    Ok(command)
}

/// A program's command, its arguments to follow, that is killed when the thread that starts it ends, as all do with
/// this process. By way of this program: what is to happen between fork and exec cannot be said without unsafe code.
pub(super) fn bound_to_us(program: &OsStr) -> io::Result<Command> {
    let mut starter = this_program()?;
    starter.args(["keep", "--under", &getpid().as_raw_nonzero().to_string(), "--"]).arg(program);
    Ok(starter)
}

/// A process id as signals take it.
pub(super) fn pid_of(id: u32) -> io::Result<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
