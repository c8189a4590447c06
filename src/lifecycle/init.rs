//! The duties of process 1 in a container: it starts the daemon as its child, hands signals on, and reaps
//! whatever is orphaned (the workers of a HAProxy whose master died, for one).
//!
//! A process of its own, so that reaping every child never takes one away from the daemon's own waits.

use std::{io, process::ExitCode};

use rustix::process::{Pid, WaitOptions, getpid, kill_process, wait};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Ending, child};

/// What is handed on to the daemon.
const HANDED_ON: [rustix::process::Signal; 6] = [
    rustix::process::Signal::TERM,
    rustix::process::Signal::INT,
    rustix::process::Signal::HUP,
    rustix::process::Signal::QUIT,
    rustix::process::Signal::USR1,
    rustix::process::Signal::USR2,
];

/// Whether this process is the first of its container.
pub fn is_first_process() -> bool {
    getpid().is_init()
}

/// Runs this program again with the same arguments as a child, until it ends, and ends as it did: with its
/// status, or 128 and the signal's number.
pub async fn run() -> io::Result<ExitCode> {
    let mut children = signal(SignalKind::child())?;
    let mut handed_on = handed_on()?;
    let child = child::this_program()?.args(std::env::args_os().skip(1)).spawn()?;
    let daemon = child::pid_of(child.id())?;
    loop {
        tokio::select! {
            _ = children.recv() => {
                if let Some(ending) = reap(daemon)? {
                    return Ok(ExitCode::from(ending.code()));
                }
            }
            index = any(&mut handed_on) => {
                // A daemon that ended in this very moment cannot be told; its SIGCHLD comes next.
                let _ended = HANDED_ON.get(index).map(|signal| kill_process(daemon, *signal));
            }
        }
    }
}

/// Takes over from their defaults the signals that a daemon is handed.
pub(super) fn handed_on() -> io::Result<Vec<Signal>> {
    HANDED_ON.iter().map(|s| signal(SignalKind::from_raw(s.as_raw()))).collect()
}

/// Which of the signals came.
async fn any(signals: &mut [Signal]) -> usize {
    std::future::poll_fn(|cx| {
        let came = signals.iter_mut().position(|s| s.poll_recv(cx).is_ready());
        came.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
    })
    .await
}

/// Takes the status of every child that ended; that of the daemon is returned.
fn reap(daemon: Pid) -> io::Result<Option<Ending>> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == daemon => return Ok(Some(status.into())),
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}
