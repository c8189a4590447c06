//! When to step: the first change at once, the rest gathered, failures backed off. Pure; knows no clock.

use std::time::Duration;

use crate::model::Moment;

/// The times a schedule keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// A further change waits until nothing has changed for this long.
    pub quiet: Duration,
    /// No change waits longer than this.
    pub most: Duration,
    /// The data plane is looked at this often though nothing changed: drift is found by then.
    pub resync: Duration,
    /// The wait after a first failure; it doubles with each further one.
    pub backoff: Duration,
    /// The longest wait after a failure.
    pub backoff_most: Duration,
}

impl Pace {
    /// For a data plane where any change takes a reload: each costs a worker that retires, and every idle keep-alive
    /// connection.
    #[must_use]
    pub fn of_reloads(self) -> Self {
        Self { quiet: Duration::from_millis(100), most: Duration::from_secs(1), ..self }
    }
}

impl Default for Pace {
    /// For a data plane that takes changes without a reload.
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(10),
            most: Duration::from_millis(100),
            resync: Duration::from_secs(1),
            backoff: Duration::from_millis(100),
            backoff_most: Duration::from_secs(5),
        }
    }
}

/// What a step came to, as far as the next one hangs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is left to do.
    Converged,
    /// Look again after this long.
    Recheck(Duration),
    /// Something was done, and the look at all of it is put off for this long.
    PutOff(Duration),
    /// It failed.
    Failed,
}

/// Decides when the next step is due.
#[derive(Clone, Debug)]
pub struct Schedule {
    pace: Pace,
    /// The first and the latest change that no step has seen.
    pending: Option<(Moment, Moment)>,
    last: Option<(Moment, Outcome)>,
    /// How long a look took at last, whatever was done about it.
    took: Duration,
    failures: u32,
}

/// A look takes at most this part of the time: one at ten thousand services takes a tenth of a second, of the data plane's
/// time too.
const LOOKS: u32 = 20;
/// What takes longer than this is not begun anew as soon as it has ended.
pub(super) const LONG: Duration = Duration::from_millis(50);
/// And is never put off longer than this.
const LOOK_MOST: Duration = Duration::from_secs(30);

impl Schedule {
    /// A schedule whose first step is due at once.
    pub fn new(pace: Pace) -> Self {
        Self { pace, pending: None, last: None, took: Duration::ZERO, failures: 0 }
    }

    /// Something changed: what does not matter, the step reads it all.
    pub fn changed(&mut self, now: Moment) {
        let first = self.pending.map_or(now, |(first, _)| first);
        self.pending = Some((first, now));
    }

    /// A step began at `began` and ended at `now`. Changes that came in between stay pending.
    pub fn stepped(&mut self, began: Moment, now: Moment, outcome: Outcome) {
        self.pending = self.pending.filter(|(_, latest)| *latest > began).map(|(_, latest)| (latest, latest));
        self.failures = if outcome == Outcome::Failed { self.failures.saturating_add(1) } else { 0 };
        self.last = Some((now, outcome));
    }

    /// How long a look takes, without what is done about what was seen.
    pub fn look_takes(&mut self, took: Duration) {
        self.took = took;
    }

    /// When the next step is due; a moment in the past means now.
    pub fn due(&self) -> Moment {
        let Some((ended, outcome)) = self.last else { return Moment::ZERO };
        let wait = match outcome {
            Outcome::Failed => self.backoff(),
            Outcome::Converged => self.resync(),
            Outcome::PutOff(after) => after,
            Outcome::Recheck(after) if self.took > LONG => after.max(self.took).min(self.resync()),
            Outcome::Recheck(after) => after.min(self.pace.resync),
        };
        let gathered = |(first, latest): (Moment, Moment)| {
            // The first change after a quiet time goes at once; those that follow close upon a step are gathered.
            if first >= ended + self.pace.quiet {
                first
            } else {
                (latest + self.pace.quiet).min(first + self.pace.most)
            }
        };
        // After a failure a change may be the cure, or have nothing to do with it; but it is no reason for haste.
        let earliest = if outcome == Outcome::Failed { ended + self.pace.backoff } else { ended };
        self.pending.map_or(ended + wait, |pending| gathered(pending).max(earliest).min(ended + wait))
    }

    fn resync(&self) -> Duration {
        self.pace.resync.max((self.took * LOOKS).min(LOOK_MOST))
    }

    fn backoff(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        self.pace.backoff.saturating_mul(1 << doublings).min(self.pace.backoff_most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Moment {
        Moment::from_millis(n)
    }

    /// A step ended at 1 s; changes come at these milliseconds: when is the next one due?
    fn check(outcome: Outcome, changes: &[u64], due: u64) {
        let mut schedule = Schedule::new(Pace::default());
        schedule.stepped(ms(990), ms(1000), outcome);
        for at in changes {
            schedule.changed(ms(*at));
        }
        assert_eq!(schedule.due(), ms(due), "{outcome:?} {changes:?}");
    }

    /// What takes long is done more rarely; a change is not put off.
    #[test]
    fn long_looks_are_rare() {
        let check = |took: u64, outcome: Outcome, due: u64| {
            let mut schedule = Schedule::new(Pace::default());
            schedule.stepped(ms(9000), ms(10_000), outcome);
            schedule.look_takes(ms(took));
            assert_eq!(schedule.due(), ms(10_000 + due), "{took} {outcome:?}");
            schedule.changed(ms(10_100));
            assert!(schedule.due() <= ms(10_100), "{took} {outcome:?}");
        };
        check(5, Outcome::Converged, 1000);
        check(100, Outcome::Converged, 2000);
        check(3000, Outcome::Converged, 30_000);
        check(100, Outcome::Recheck(ms(5)), 100);
        check(100, Outcome::Recheck(ms(5000)), 2000);
        check(0, Outcome::Recheck(ms(0)), 0);
    }

    #[test]
    fn the_first_step_is_due_at_once() {
        assert_eq!(Schedule::new(Pace::default()).due(), Moment::ZERO);
    }

    #[test]
    fn changes_are_gathered() {
        check(Outcome::Converged, &[], 2000);
        check(Outcome::Converged, &[1500], 1500);
        check(Outcome::Converged, &[1001], 1011);
        check(Outcome::Converged, &[1001, 1009, 1018], 1028);
        check(Outcome::Converged, &[1001, 1050, 1099], 1101);
        check(Outcome::Recheck(ms(50)), &[], 1050);
        check(Outcome::Recheck(ms(50)), &[1001], 1011);
    }

    /// Where each change takes a reload they are gathered for longer; the first one still goes at once.
    #[test]
    fn reloads_are_gathered_for_longer() {
        let check = |changes: &[u64], due: u64| {
            let mut schedule = Schedule::new(Pace::default().of_reloads());
            schedule.stepped(ms(990), ms(1000), Outcome::Recheck(ms(1000)));
            for at in changes {
                schedule.changed(ms(*at));
            }
            assert_eq!(schedule.due(), ms(due), "{changes:?}");
        };
        check(&[1100], 1100);
        check(&[1001], 1101);
        check(&[1001, 1090, 1180], 1280);
        check(&[1001, 1100, 1200, 1300, 1400, 1500, 1600, 1700, 1800, 1900, 1999], 2000);
    }

    #[test]
    fn failures_back_off_and_a_success_forgets_them() {
        let mut schedule = Schedule::new(Pace::default());
        let mut waits = Vec::new();
        for _ in 0..8 {
            schedule.stepped(ms(0), ms(0), Outcome::Failed);
            waits.push(schedule.due().as_millis());
        }
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        schedule.stepped(ms(0), ms(0), Outcome::Converged);
        schedule.stepped(ms(0), ms(0), Outcome::Failed);
        assert_eq!(schedule.due(), ms(100));
    }

    #[test]
    fn a_change_after_failures_need_not_wait_them_out() {
        let mut schedule = Schedule::new(Pace::default());
        for _ in 0..5 {
            schedule.stepped(ms(0), ms(0), Outcome::Failed);
        }
        assert_eq!(schedule.due(), ms(1600));
        schedule.changed(ms(1));
        assert_eq!(schedule.due(), ms(100));
        schedule.stepped(ms(100), ms(110), Outcome::Failed);
        schedule.changed(ms(1500));
        assert_eq!(schedule.due(), ms(1500));
    }

    #[test]
    fn a_change_during_a_step_is_not_lost() {
        let mut schedule = Schedule::new(Pace::default());
        schedule.changed(ms(5));
        schedule.changed(ms(15));
        schedule.stepped(ms(10), ms(20), Outcome::Converged);
        assert_eq!(schedule.due(), ms(25));
        schedule.stepped(ms(25), ms(30), Outcome::Converged);
        assert_eq!(schedule.due(), ms(1030));
    }
}
