//! What the returns of one come to: how long it is held down for them, and when they are forgotten.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use crate::model::{EndpointId, Moment, Since};

/// Returns this close together count together.
const WINDOW: Duration = Duration::from_secs(120);
/// What the returns within [`WINDOW`] weigh where a member flaps: four crashes.
const ENOUGH: u32 = 40;
/// A return after it went without a word. The first three are forgiven: a crash, and a supervisor that tries again.
pub(super) const CRASH: u32 = 10;
/// A return after a goodbye. Forty within two minutes are no deployment any more.
pub(super) const GRACEFUL: u32 = 1;
/// The first time in which it is held down; each further one is twice as long.
pub(super) const FIRST: Duration = Duration::from_secs(5);
/// Each such time without a return, and not held down, takes one doubling back.
const QUIET: Duration = Duration::from_secs(120);
/// Returns that are kept of one member: as many as it takes.
const MOST: usize = (ENOUGH / GRACEFUL) as usize;

/// A member that came back lately, or a service of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flap {
    /// When, and what each return weighs, oldest first.
    pub(super) returns: VecDeque<(Moment, u32)>,
    /// How often since `since`, when it all began.
    pub(super) times: u32,
    pub(super) since: Since,
    pub(super) last: Since,
    /// How often it was held down in a row.
    pub(super) level: u32,
    /// Until when it is.
    pub(super) until: Option<Moment>,
    /// What is kept out.
    pub(super) out: BTreeSet<EndpointId>,
    /// What was let in all the same, for it was needed.
    pub(super) let_in: BTreeSet<EndpointId>,
}

impl Flap {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            returns: VecDeque::new(),
            times: 0,
            since: Since::now(now),
            last: Since::now(now),
            level: 0,
            until: None,
            out: BTreeSet::new(),
            let_in: BTreeSet::new(),
        }
    }

    pub(super) fn came_back(&mut self, weight: u32, most: Duration, now: Moment) {
        self.times = self.times.saturating_add(1);
        (self.level, self.last) = (self.level_at(now), Since::now(now));
        self.returns.push_back((now, weight));
        if self.returns.len() > MOST {
            self.returns.pop_front();
        }
        self.forget(now);
        let sum: u32 = self.returns.iter().map(|(_, weight)| weight).sum();
        // Who was held down a short while ago has no three crashes free.
        if sum >= ENOUGH || (self.level > 0 && weight >= CRASH) {
            let length = FIRST.saturating_mul(1 << self.level.min(16)).min(most);
            self.level += u32::from(length < most);
            self.until = Some(now + length);
            (self.out, self.let_in) = (BTreeSet::new(), BTreeSet::new());
        }
    }

    /// What is kept out is said anew by every look.
    pub(super) fn forget(&mut self, now: Moment) {
        self.returns.retain(|(at, _)| now.saturating_sub(*at) < WINDOW);
        self.out.clear();
    }

    pub(super) fn left(&self, now: Moment) -> Option<Duration> {
        self.until.and_then(|until| until.checked_sub(now)).filter(|left| !left.is_zero())
    }

    /// How many doublings are left after the quiet time so far.
    pub(super) fn level_at(&self, now: Moment) -> u32 {
        let quiet = self.quiet(now).as_secs() / QUIET.as_secs();
        self.level.saturating_sub(u32::try_from(quiet).unwrap_or(u32::MAX))
    }

    /// Since when it has neither come back nor been held down.
    pub(super) fn quiet(&self, now: Moment) -> Duration {
        let free = self.until.map_or(Duration::MAX, |until| now.saturating_sub(until));
        self.last.age(now).min(free)
    }

    pub(super) fn is_remembered(&self, now: Moment) -> bool {
        self.last.age(now) < WINDOW || self.level_at(now) > 0
    }
}
