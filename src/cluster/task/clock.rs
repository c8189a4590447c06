//! The task's alarm clock: a timer of the kernel's, armed only when the time is another.
//!
//! The runtime's own timers would do, but each costs an idle node three turns of its loop in place of one: to
//! sort the timer nearer, to ring, and to hear that another was set. It must not know what it rings for.

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::{io::unix::AsyncFd, time::Instant};

use crate::cluster::transport::readable;

/// Rings once, at the last time it was set to.
#[derive(Debug)]
pub(in crate::cluster) struct Clock {
    timer: AsyncFd<OwnedFd>,
    set: Option<Instant>,
}

impl Clock {
    /// One that is not set. Only within a runtime.
    pub(in crate::cluster) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self { timer: readable(timer)?, set: None })
    }

    /// Has it ring at `due` and at no other time; never, if there is none.
    pub(super) fn set(&mut self, due: Option<Instant>) {
        if self.set == due {
            return;
        }
        // Zero would unset it: what is due already rings at once.
        let after = due
            .map_or(Duration::ZERO, |due| due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1)));
        match arm(self.timer.get_ref(), after) {
            Ok(()) => self.set = due,
            // Only for a time that the kernel cannot count to: the next turn tries again.
            Err(error) => tracing::error!(%error, "cannot set the clock"),
        }
    }

    /// Returns when it rings. What was not waited for rings later.
    pub(super) async fn rings(&mut self) {
        // An error is the runtime's end, and this future's with it.
        if let Ok(mut ready) = self.timer.readable().await {
            // Nothing is read: to set it anew takes back that it has rung.
            ready.clear_ready();
            self.set = None;
        }
    }
}

fn arm(timer: &OwnedFd, after: Duration) -> io::Result<()> {
    let at = Timespec::try_from(after).map_err(io::Error::other)?;
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    async fn rings_within(clock: &mut Clock, limit: Duration) -> bool {
        timeout(limit, clock.rings()).await.is_ok()
    }

    #[tokio::test]
    async fn it_rings_once_at_the_last_time_it_was_set_to() {
        let (soon, late) = (Duration::from_millis(20), Duration::from_secs(10));
        let mut clock = Clock::new().unwrap();
        assert!(!rings_within(&mut clock, soon).await, "it rings unset");
        let start = Instant::now();
        clock.set(Some(start + late));
        clock.set(Some(start + soon));
        assert!(rings_within(&mut clock, late).await);
        assert!(start.elapsed() >= soon, "too early: {:?}", start.elapsed());
        assert!(!rings_within(&mut clock, soon).await, "it rings twice");
        clock.set(Some(start));
        assert!(rings_within(&mut clock, late).await, "the past does not ring");
        clock.set(Some(Instant::now() + soon));
        clock.set(None);
        assert!(!rings_within(&mut clock, soon * 2).await, "it rings though it was unset");
    }
}
