//! The master process of a data plane: started or taken over, watched, ended. It knows pids and signals; which process
//! it is, and what it is told, each driver says.
//!
//! It never ends with us: one that we start has a process group of its own, and dropping what is here leaves it serving.

use std::{fs::File, io, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, getpgid, kill_process_group};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::exit::Exit;

/// After SIGTERM the workers drop what they hold: what takes longer than this is stuck.
const HARD_STOP: Duration = Duration::from_secs(2);

/// A master process.
#[derive(Debug)]
pub struct MasterProcess {
    pid: Pid,
    exit: Exit,
    /// Where we are its parent: it must be waited for, or it stays as a zombie.
    child: Option<Child>,
}

impl MasterProcess {
    /// The process of this pid, where it runs and is the one; `None` where not.
    pub fn of(pid: u32, is_the_one: impl FnOnce() -> bool) -> io::Result<Option<Self>> {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let failed =
            |e: io::Error| io::Error::new(e.kind(), format!("pid {} cannot be watched: {e}", pid.as_raw_nonzero()));
        let Some(exit) = Exit::of(pid).map_err(failed)? else { return Ok(None) };
        // Looked at after the handle was taken: from here on the number cannot come to mean another process without
        // the handle telling.
        if !is_the_one() || exit.has_ended() {
            return Ok(None);
        }
        Ok(Some(Self { pid, exit, child: None }))
    }

    /// Starts one that writes to this file, and says what it has to say into this log.
    pub fn spawn(mut command: Command, out: File, log: File) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(out).stderr(log);
        // Its own group: a Ctrl-C at our terminal is ours to handle. Our service manager's socket is not its to use.
        command.process_group(0).env_remove("NOTIFY_SOCKET").kill_on_drop(false);
        let child = command.spawn()?;
        let raw = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let gone = || io::Error::other("it was gone before it could be watched");
        let pid = raw.ok_or_else(gone)?;
        let exit = Exit::of(pid)?.ok_or_else(gone)?;
        Ok(Self { pid, exit, child: Some(child) })
    }

    /// Waits until it is `up`; at most for `limit`. An error says why it is not, and then it has ended.
    pub async fn comes_up(&mut self, up: impl Future<Output = ()>, limit: Duration) -> Result<(), String> {
        let is_up = async {
            tokio::select! {
                () = self.exit.wait() => false,
                () = up => true,
            }
        };
        match timeout(limit, is_up).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.ended().await;
                Err("it ended at once".into())
            }
            Err(_) => {
                self.kill().await;
                Err(format!("it did not answer within {limit:?}"))
            }
        }
    }

    /// Its pid; it stays the same over reloads.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Ends when the process has ended, at once where it has already. Cancel-safe: waiting again is the same.
    pub async fn ended(&mut self) {
        self.exit.wait().await;
        if let Some(child) = &mut self.child {
            // It has ended: this only reaps. What its end was about is in its log, in its own words.
            let _ = child.wait().await;
        }
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        !self.exit.has_ended()
    }

    /// Signals it; one that has ended is left alone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let told = |e: io::Error| {
            io::Error::new(e.kind(), format!("signal {signal:?} to pid {} was not delivered: {e}", self.pid()))
        };
        self.exit.signal(signal).map_err(told)
    }

    /// Ends it: told by `gently` it closes its listeners at once, and what is in flight has until the deadline; what is
    /// left then is cut.
    pub async fn stop(&mut self, gently: Signal, deadline: Duration) -> io::Result<()> {
        self.signal(gently)?;
        if timeout(deadline, self.ended()).await.is_err() {
            self.signal(Signal::TERM)?;
            if timeout(HARD_STOP, self.ended()).await.is_err() {
                self.kill().await;
            }
        }
        Ok(())
    }

    /// Ends it and its workers, now.
    pub async fn kill(&mut self) {
        if self.is_running() && getpgid(Some(self.pid)) == Ok(self.pid) {
            // Refused only where it has just ended.
            let _ = kill_process_group(self.pid, Signal::KILL);
        } else {
            // As above.
            let _ = self.signal(Signal::KILL);
        }
        self.ended().await;
    }
}
