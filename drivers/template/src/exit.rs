//! Notices the end of a process at once, a child of ours or not, through its pidfd: it names this process
//! alone, even after its number was given to another.

use std::{io, os::fd::OwnedFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use tokio::io::{Interest, unix::AsyncFd};

/// A handle on one process.
#[derive(Debug)]
pub(crate) struct Exit(AsyncFd<OwnedFd>);

impl Exit {
    /// `None` where no process has this pid.
    #[expect(
        deprecated,
        reason = "its successor is unsafe, for types whose descriptor may change; an OwnedFd's does not"
    )]
    pub(crate) fn of(pid: Pid) -> io::Result<Option<Self>> {
        match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(fd) => Ok(Some(Self(AsyncFd::with_interest(fd, Interest::READABLE)?))),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends when the process has ended. Cancel-safe.
    pub(crate) async fn wait(&self) {
        // The readiness is never cleared: a pidfd stays readable for ever, so the next call ends at once. An
        // error means that the runtime shuts down, and then nobody waits.
        let _ = self.0.readable().await;
    }

    /// Whether it has ended, a zombie included.
    pub(crate) fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Signals it; one that has ended is left alone.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.0, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
