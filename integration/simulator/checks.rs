//! A data plane's own checks of its servers, and what its balancer's loop tells the node of them: a connect to each
//! every second, each at its own moment; down after two that failed, looked at by the loop once a second.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use backchat::{
    cluster::node::Input,
    model::{Moment, NodeName},
};

use super::world::{Event, World, ms, secs};

/// How exactly the moments are kept.
const STEP: Duration = ms(50);
/// Between two checks of a server, and how long a connect may take.
const EVERY: Duration = secs(1);
/// From a check that failed to the next.
const AGAIN: Duration = ms(100);

/// The checks of one balancer.
#[derive(Default)]
pub(super) struct Checks {
    /// Servers that do not answer, and when they count as down.
    down_at: BTreeMap<usize, Moment>,
    /// Servers whose checks fail although they live.
    pub(super) wrong: BTreeSet<usize>,
}

/// What a connect to a server comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Taken,
    Refused,
    Nothing,
}

impl World {
    /// From now on balancer `i` has a data plane that checks all agents.
    pub(super) fn check(&mut self, i: usize) {
        self.hosts[i].checks = Some(Checks::default());
        self.at(self.now + STEP, Event::Check { host: i });
    }

    /// Looks at all servers, and says now and then who is down.
    pub(super) fn look(&mut self, i: usize) {
        let now = self.now;
        let answers: Vec<_> = (0..self.hosts.len()).filter(|j| *j != i).map(|j| (j, self.answer(i, j))).collect();
        let Some(checks) = &mut self.hosts[i].checks else { return };
        for (j, answer) in answers {
            let answer = if checks.wrong.contains(&j) { Answer::Refused } else { answer };
            if answer == Answer::Taken {
                checks.down_at.remove(&j);
            } else {
                checks.down_at.entry(j).or_insert_with(|| next_check(j, now) + answer.twice());
            }
        }
        let down: Vec<usize> = checks.down_at.iter().filter(|(_, at)| **at <= now).map(|(j, _)| *j).collect();
        self.at(now + STEP, Event::Check { host: i });
        if now.as_millis() % EVERY.as_millis() < STEP.as_millis() && !self.is_stalled(i) {
            let names: BTreeSet<NodeName> = down.into_iter().map(|j| self.hosts[j].name.clone()).collect();
            self.input(i, Input::Failing(&names));
        }
    }

    fn answer(&self, i: usize, j: usize) -> Answer {
        let (from, to) = (self.hosts[i].addr, self.hosts[j].addr);
        let reached = self.hosts[j].up && self.network.connects(from, to) && self.network.connects(to, from);
        match (reached, self.hosts[j].node.is_some()) {
            (true, true) => Answer::Taken,
            (true, false) => Answer::Refused,
            (false, _) => Answer::Nothing,
        }
    }
}

impl Answer {
    /// How long two checks take that come to this.
    fn twice(self) -> Duration {
        match self {
            Self::Taken => Duration::ZERO,
            Self::Refused => AGAIN,
            Self::Nothing => EVERY + AGAIN + EVERY,
        }
    }
}

/// The moment of a server's next check.
fn next_check(j: usize, now: Moment) -> Moment {
    let (phase, every) = (j as u128 * 397_000, EVERY.as_micros());
    let rest = (now.as_micros() + phase) % every;
    now + Duration::from_micros(u64::try_from(every - rest).unwrap_or_default())
}
