//! How long a keeper goes on killing what does not end, and how often. Pure.
//!
//! What waits in the kernel ends when that lets go of it, whether its keeper still looks or not.

use std::time::Duration;

use tokio::time::Instant;

/// From the first round to the second, for those that were born or orphaned meanwhile; doubled each time.
const FIRST: Duration = Duration::from_millis(20);
/// The longest from one round to the next.
const LONGEST: Duration = Duration::from_secs(1);
/// How long nobody may have ended until the rest is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// The rounds since somebody ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Insistence {
    since: Instant,
    pause: Duration,
}

impl Insistence {
    /// Begins, or begins anew, for somebody ended.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, pause: FIRST }
    }

    /// When the next round is to be; `None` where none is of use any more.
    pub(super) fn next_round(&mut self, now: Instant) -> Option<Instant> {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST);
        (now.duration_since(self.since) < PATIENCE).then(|| now + pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_become_rarer_and_end() {
        let begun = Instant::now();
        let mut insistence = Insistence::new(begun);
        let rounds: Vec<_> = std::iter::successors(Some(begun), |now| insistence.next_round(*now)).collect();
        let pauses: Vec<_> = rounds.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
        assert_eq!(pauses[..7], [20, 40, 80, 160, 320, 640, 1000]);
        assert!(pauses[7..].iter().all(|pause| *pause == 1000), "{pauses:?}");
        let took = rounds[rounds.len() - 1] - begun;
        assert!((PATIENCE..PATIENCE + 2 * LONGEST).contains(&took), "{took:?}");
    }
}
