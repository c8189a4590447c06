//! What happens when, out of a seed alone: the same seed, the same rounds, however fast the machine is. Pure.
//!
//! It keeps account of who is there, so that only what can happen does. No host is disturbed twice within a round, and
//! some web servers are left alone: a service without a server is no news, and hides what else is wrong.
//!
//! One of each kind of daemon is spared its death (web1's agent, lb1's `lb`, lb2's HAProxy), so that what it uses can be
//! watched over the whole run.

use std::{collections::BTreeSet, ops::RangeInclusive, time::Duration};

use rand::{
    RngExt as _, SeedableRng as _,
    rngs::StdRng,
    seq::{IndexedRandom as _, IteratorRandom as _},
};

use super::op::{Host, Op, Part, What};

/// How many balancers there are.
pub(crate) const BALANCERS: u8 = 2;
/// How many hosts for web servers there are.
pub(crate) const WEBS: u8 = 8;
/// How many web servers run at the start.
const FIRST: u8 = 5;
/// How many web servers no round disturbs, at least.
const STEADY: usize = 3;
/// How many things happen in a round.
const BURST: RangeInclusive<usize> = 1..=6;

/// What happens at one stretch; after it all is quiet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// Its number, from 1.
    pub(crate) number: u32,
    /// What happens, in order.
    pub(crate) ops: Vec<Planned>,
    /// The web servers that run at its beginning.
    pub(crate) before: BTreeSet<u8>,
    /// Those that run at its end.
    pub(crate) after: BTreeSet<u8>,
    /// How long to watch that nothing happens, once all has settled.
    pub(crate) quiet: Duration,
}

/// Something that is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Its number in the run, from 1.
    pub(crate) number: u32,
    /// When, after the round's beginning.
    pub(crate) at: Duration,
    /// What.
    pub(crate) op: Op,
}

impl Round {
    /// The web servers that run all the time and are not disturbed.
    pub(crate) fn steady(&self) -> BTreeSet<u8> {
        let disturbed = |web: &u8| self.ops.iter().any(|planned| planned.op.on == Host::Web(*web));
        self.before.iter().copied().filter(|web| !disturbed(web)).collect()
    }
}

/// The rounds of a seed, without end.
#[derive(Debug)]
pub(crate) struct Schedule {
    rng: StdRng,
    running: BTreeSet<u8>,
    rounds: u32,
    ops: u32,
}

impl Schedule {
    /// The rounds of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), running: (1..=FIRST).collect(), rounds: 0, ops: 0 }
    }

    fn round(&mut self) -> Round {
        let (before, mut ops, mut at) = (self.running.clone(), Vec::new(), Duration::ZERO);
        let mut free: BTreeSet<Host> = hosts().collect();
        for _ in 0..self.rng.random_range(BURST) {
            let Some(op) = self.op(&free) else { break };
            free.remove(&op.on);
            match op.what {
                What::Join => drop(self.running.insert(number(op.on))),
                What::Leave | What::Crash => drop(self.running.remove(&number(op.on))),
                _ => {}
            }
            self.ops += 1;
            ops.push(Planned { number: self.ops, at, op });
            at += self.tenths(0, 15);
        }
        self.rounds += 1;
        let quiet = self.tenths(20, 40);
        Round { number: self.rounds, ops, before, after: self.running.clone(), quiet }
    }

    /// One that can happen to a host out of `free`.
    fn op(&mut self, free: &BTreeSet<Host>) -> Option<Op> {
        let kinds: Vec<_> = KINDS.iter().filter(|kind| self.candidates(kind, free).next().is_some()).collect();
        let kind = *kinds.choose_weighted(&mut self.rng, |kind| kind.weight).ok()?;
        let candidates: Vec<_> = self.candidates(kind, free).collect();
        let on = candidates.into_iter().choose(&mut self.rng)?;
        Some(Op { on, what: (kind.make)(self) })
    }

    /// The hosts out of `free` to which this may happen now.
    fn candidates(&self, kind: &Kind, free: &BTreeSet<Host>) -> impl Iterator<Item = Host> {
        let is_free_web = |web: &&u8| free.contains(&Host::Web(**web));
        let spare = self.running.iter().filter(is_free_web).count() > STEADY;
        let can = |host: &Host| match (kind.to, host) {
            (To::Stopped, Host::Web(web)) => !self.running.contains(web),
            (To::Running, Host::Web(web)) => spare && self.running.contains(web),
            (To::Balancer, Host::Balancer(_)) => true,
            _ => false,
        };
        free.iter().copied().filter(can).filter(|host| !kind.spared.contains(host)).collect::<Vec<_>>().into_iter()
    }

    /// A random time of so many tenths of a second: whole ones read well.
    fn tenths(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.rng.random_range(least..=most) * 100)
    }
}

impl Iterator for Schedule {
    type Item = Round;

    fn next(&mut self) -> Option<Round> {
        Some(self.round())
    }
}

/// Every host.
pub(crate) fn hosts() -> impl Iterator<Item = Host> {
    (1..=BALANCERS).map(Host::Balancer).chain((1..=WEBS).map(Host::Web))
}

fn number(host: Host) -> u8 {
    let (Host::Balancer(number) | Host::Web(number)) = host;
    number
}

/// A kind of thing that happens, how often, and to whom.
struct Kind {
    weight: u32,
    to: To,
    spared: &'static [Host],
    make: fn(&mut Schedule) -> What,
}

/// What it happens to.
#[derive(Clone, Copy)]
enum To {
    /// A host whose web server does not run.
    Stopped,
    /// A host whose web server runs.
    Running,
    /// A balancer.
    Balancer,
}

const ELDER: &[Host] = &[Host::Web(1)];
const ELDER_LB: &[Host] = &[Host::Balancer(1)];
const ELDER_HAPROXY: &[Host] = &[Host::Balancer(2)];

const fn kind(weight: u32, to: To, spared: &'static [Host], make: fn(&mut Schedule) -> What) -> Kind {
    Kind { weight, to, spared, make }
}

const KINDS: &[Kind] = &[
    kind(8, To::Stopped, &[], |_| What::Join),
    kind(6, To::Running, ELDER, |_| What::Leave),
    kind(4, To::Running, ELDER, |_| What::Crash),
    kind(2, To::Running, &[], |s| What::CrashWeb { back: s.tenths(5, 50) }),
    kind(2, To::Running, ELDER, |s| What::CrashAgent { back: s.tenths(0, 40) }),
    kind(3, To::Running, &[], |s| What::Stop { lasts: s.tenths(5, 30) }),
    kind(3, To::Running, &[], |s| What::Cut { lasts: s.tenths(10, 80) }),
    kind(2, To::Running, &[], |s| What::Lose { percent: s.percent(), lasts: s.tenths(20, 100) }),
    kind(2, To::Balancer, &[], |s| What::Cut { lasts: s.tenths(10, 120) }),
    kind(2, To::Balancer, &[], |s| What::Lose { percent: s.percent(), lasts: s.tenths(20, 100) }),
    kind(2, To::Balancer, &[], |s| What::Stop { lasts: s.tenths(5, 30) }),
    kind(4, To::Balancer, ELDER_LB, |s| What::KillLb { back: s.tenths(0, 30) }),
    kind(2, To::Balancer, ELDER_LB, |s| What::RestartLb { back: s.tenths(0, 30) }),
    kind(2, To::Balancer, &[], |s| What::StopHaproxy { lasts: s.tenths(2, 20) }),
    kind(1, To::Balancer, ELDER_HAPROXY, |_| What::KillHaproxy(Part::Worker)),
    kind(1, To::Balancer, ELDER_HAPROXY, |_| What::KillHaproxy(Part::Master)),
    kind(1, To::Balancer, &[], |_| What::ReloadHaproxy),
];

impl Schedule {
    fn percent(&mut self) -> u8 {
        self.rng.random_range(5..=30)
    }
}
