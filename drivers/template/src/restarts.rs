//! How soon a process that ended may be started again: one that starts and dies must not be started in a loop.
//! Pure: the time is an argument.

use std::time::{Duration, Instant};

/// Who lasted this long did not die of its start.
const LASTING: Duration = Duration::from_secs(5);

/// The wait after the second short life in a row; it doubles from there. After the first there is none: a process
/// that was killed once is back at once.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// What the last lives were like.
#[derive(Debug, Default)]
pub struct Restarts {
    started: Option<Instant>,
    /// Short lives in a row.
    short: u32,
    last: Option<Ended>,
    count: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    at: Instant,
    lasted: Duration,
}

/// Why not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSoon {
    /// How long the last one lived.
    pub lasted: Duration,
    /// How long to wait from now.
    pub left: Duration,
}

impl Restarts {
    /// A process was started or adopted.
    pub fn started(&mut self, now: Instant) {
        self.started = Some(now);
        self.count += u64::from(self.last.is_some());
    }

    /// How often one was started or adopted in the place of one that had ended.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The process was found ended; how long it lived, as far as we saw.
    pub fn ended(&mut self, now: Instant) -> Duration {
        let lasted = self.started.take().map_or(Duration::ZERO, |started| now.saturating_duration_since(started));
        self.short = if lasted < LASTING { self.short.saturating_add(1) } else { 0 };
        self.last = Some(Ended { at: now, lasted });
        lasted
    }

    /// Whether one may be started.
    pub fn may_start(&self, now: Instant) -> Result<(), TooSoon> {
        let Some(Ended { at, lasted }) = self.last else { return Ok(()) };
        match (at + self.wait()).saturating_duration_since(now) {
            Duration::ZERO => Ok(()),
            left => Err(TooSoon { lasted, left }),
        }
    }

    fn wait(&self) -> Duration {
        match self.short {
            0 | 1 => Duration::ZERO,
            more => FIRST.saturating_mul(1 << (more - 2).min(16)).min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lives_are_spaced_out() {
        let mut restarts = Restarts::default();
        let mut now = Instant::now();
        assert_eq!(restarts.may_start(now), Ok(()));
        let mut check = |lives: Duration, waits: u64| {
            restarts.started(now);
            now += lives;
            assert_eq!(restarts.ended(now), lives);
            let left = Duration::from_millis(waits);
            let expected = if waits == 0 { Ok(()) } else { Err(TooSoon { lasted: lives, left }) };
            assert_eq!(restarts.may_start(now), expected);
            now += left;
            assert_eq!(restarts.may_start(now), Ok(()));
        };
        let short = Duration::from_millis(12);
        for waits in [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            check(short, waits);
        }
        check(LASTING, 0);
        check(short, 0);
        check(short, 100);
        assert_eq!(restarts.count(), 11, "the first start is none");
    }
}
