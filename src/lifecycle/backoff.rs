//! How long to wait before a service that ended is started again. Pure.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(100);
/// The longest one.
const LONGEST: Duration = Duration::from_secs(30);
/// A run of this length was a healthy one: whatever ended it has nothing to do with the failures before it.
const HEALTHY: Duration = Duration::from_secs(10);

/// The pauses between starts: each twice the one before, from 100 ms to 30 s; a run of 10 s begins anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after a run that took `ran`.
    pub fn after(&mut self, ran: Duration) -> Duration {
        if ran >= HEALTHY {
            self.failures = 0;
        }
        let pause = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_a_healthy_run_begins_anew() {
        let mut backoff = Backoff::default();
        let mut pauses = |ran: u64, times: usize| -> Vec<u128> {
            (0..times).map(|_| backoff.after(Duration::from_secs(ran)).as_millis()).collect()
        };
        assert_eq!(pauses(1, 5), [100, 200, 400, 800, 1600]);
        assert_eq!(pauses(9, 6), [3200, 6400, 12_800, 25_600, 30_000, 30_000]);
        assert_eq!(pauses(10, 1), [100]);
        assert_eq!(pauses(0, 1), [200]);
        assert_eq!(pauses(0, 100).last(), Some(&30_000));
    }
}
