//! How well this node does by its own measure: how soon its probes are answered, and a score of its own failures.
//!
//! The score is Lifeguard's local health multiplier (Dadgar, Phillips, Currey: "Lifeguard: Local Health Awareness for
//! More Accurate Failure Detection", 2018, section IV-A), which Serf shows too. It counts what points at this node
//! rather than at others; nothing follows from it here, it is shown. Alone among others nobody answers, and it stays.

use crate::{
    cluster::identity::Identity,
    model::{Histogram, Moment},
};

/// The worst score, as in the paper.
const WORST: u8 = 8;

/// What this node measures of itself.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    /// 0 is well.
    score: u8,
    /// How long answers to probes took.
    answered: Histogram,
    /// The probe whose answer is still out: its number, whom, and when it was sent first.
    probe: Option<(u8, Identity, Moment)>,
}

impl Vitals {
    /// A probe goes out.
    pub(super) fn probed(&mut self, number: u8, whom: Identity, now: Moment) {
        self.probe = Some((number, whom, now));
    }

    /// An answer came from whom it was asked of.
    pub(super) fn acked(&mut self, number: u8, by: &Identity, now: Moment) {
        if let Some((_, _, sent)) = self.probe.take_if(|(sent, whom, _)| *sent == number && whom == by) {
            self.answered.observe(now.saturating_sub(sent));
            self.score = self.score.saturating_sub(1);
        }
    }

    /// A probe was answered neither to us nor to those that we asked to probe in our stead; or this node stood still
    /// for longer than an answer may take.
    pub(super) fn failed(&mut self) {
        self.score = self.score.saturating_add(1).min(WORST);
    }

    pub(super) fn score(&self) -> u8 {
        self.score
    }

    pub(super) fn answered(&self) -> &Histogram {
        &self.answered
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_score_follows_what_fails_and_what_is_answered() {
        let id = |name: &str| Identity::new(name.parse().unwrap(), 1, ([10, 0, 0, 1], 7946).into());
        let (a, b) = (id("a"), id("b"));
        let mut vitals = Vitals::default();
        (0..20).for_each(|_| vitals.failed());
        assert_eq!(vitals.score(), WORST);
        let (sent, came) = (Duration::from_secs(1), Duration::from_millis(1007));
        vitals.probed(3, a.clone(), sent);
        vitals.acked(4, &a, came);
        vitals.acked(3, &b, came);
        assert_eq!((vitals.score(), vitals.answered().count()), (8, 0), "that is no answer to it");
        vitals.acked(3, &a, came);
        vitals.acked(3, &a, came);
        assert_eq!((vitals.score(), vitals.answered().count()), (7, 1), "each is answered once");
        assert_eq!(vitals.answered().sum(), Duration::from_millis(7));
    }
}
