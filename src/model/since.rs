//! A point of the past that may lie before this process began: what is remembered over a restart began earlier.
//!
//! It must not know the wall clock, which jumps: another life hands on an age.

use std::time::Duration;

use super::Moment;

/// Since when something is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Since {
    moment: Moment,
    /// How long before the process's first moment, where it was before that.
    earlier: Duration,
}

impl Since {
    /// Since this very moment.
    pub fn now(now: Moment) -> Self {
        Self::ago(now, Duration::ZERO)
    }

    /// Since `age` before `now`.
    pub fn ago(now: Moment, age: Duration) -> Self {
        Self { moment: now.saturating_sub(age), earlier: age.saturating_sub(now) }
    }

    /// How long ago that is.
    pub fn age(self, now: Moment) -> Duration {
        now.saturating_sub(self.moment).saturating_add(self.earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_reach_back_before_the_process_began() {
        let second = Duration::from_secs;
        let check = |since: Since, now, expected| assert_eq!(since.age(second(now)), second(expected));
        check(Since::now(second(5)), 5, 0);
        check(Since::now(second(5)), 7, 2);
        check(Since::ago(second(5), second(3)), 7, 5);
        check(Since::ago(second(5), second(60)), 7, 62);
        // What cannot be is no age at all, and nothing overflows.
        check(Since::now(second(5)), 3, 0);
        assert_eq!(Since::ago(second(1), Duration::MAX).age(second(9)), Duration::MAX);
    }
}
