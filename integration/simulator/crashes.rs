//! How soon a crash is known: where its host still refuses connections, and where nothing comes back at all.

use std::time::Duration;

use backchat::{
    cluster::{node::Input, profile::Profile},
    model::{EndpointState, Kind, Liveness, Moment},
};
use rand::RngExt;

use super::{
    host::record,
    plane::{Change, Plane},
    world::{World, ms, secs},
};

/// How soon a crash of one of a hundred is to be known, says the issue: out of the balancer, and to everybody.
pub(super) const OUT: Duration = secs(2);
pub(super) const EVERYWHERE: Duration = secs(6);

/// How a node ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The process: its host refuses connections.
    Process,
    /// The host: nothing comes back.
    Host,
}

/// A cluster of one balancer and agents that crash one after the other.
pub(super) struct Crashes {
    world: World,
    epoch: u64,
    next: usize,
}

/// What one crash took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Until the balancer suspected it, or knew.
    pub(super) suspect: Duration,
    /// Until the balancer gave it no new requests: drained or removed.
    pub(super) out: Duration,
    /// Until everybody knew that it failed.
    pub(super) everywhere: Duration,
}

impl Crashes {
    pub(super) fn new(size: usize, profile: Profile, loss: f64) -> Self {
        let mut world = World::with(1, size, |world| {
            (world.profile, world.network.loss) = (profile, loss);
            if profile == Profile::WAN {
                world.network.delay = (10_000, 100_000);
            }
        });
        world.until(secs(60), World::converged);
        world.equip(0);
        // The same few crash again and again here, and are to serve each time.
        world.hosts[0].plane.as_mut().unwrap().policy.hold_down = Duration::ZERO;
        world.hosts[0].watched = true;
        world.run(profile.exchange_period);
        Self { world, epoch: 1000, next: 0 }
    }

    /// The next agent, at some moment.
    fn turn(&mut self) -> usize {
        let pause = ms(self.world.rng.random_range(0..3000));
        self.world.run(pause);
        self.next = self.next % (self.world.hosts.len() - 1) + 1;
        self.next
    }

    fn plane(&self) -> &Plane {
        self.world.hosts[0].plane.as_ref().unwrap()
    }

    /// One crash; afterwards the node is back.
    pub(super) fn crash(&mut self, end: End) -> Times {
        let i = self.turn();
        let (at, name) = (self.world.now, self.world.hosts[i].name.clone());
        assert!(self.plane().serves(&name), "it does not serve");
        self.world.kill(i);
        self.world.hosts[i].up = end == End::Process;
        self.world.hosts[0].seen.clear();
        let failed = |w: &World| w.running().iter().all(|j| w.sees(*j, i) == Some(Liveness::Failed));
        while !failed(&self.world) {
            assert!(self.world.now < at + secs(60), "it never failed:\n{}", self.world.picture());
            self.world.run(ms(10));
        }
        let everywhere = self.world.now.saturating_sub(at);
        assert!(!self.plane().holds(), "held");
        let gone = |c: &&Change| c.at >= at && c.node == name && c.state != Some(EndpointState::Ready);
        let out = self.plane().changes.iter().find(gone).unwrap().at.saturating_sub(at);
        let first = |(_, who, _): &&(Moment, _, Liveness)| *who == name;
        let suspect = self.world.hosts[0].seen.iter().find(first).unwrap().0.saturating_sub(at);
        self.back(i);
        Times { suspect, out, everywhere }
    }

    fn back(&mut self, i: usize) {
        self.epoch += 1;
        self.world.hosts[i].up = true;
        self.world.start(i, self.epoch);
        let name = self.world.hosts[i].name.clone();
        let serves = |w: &World| w.hosts[0].plane.as_ref().is_some_and(|plane| plane.serves(&name));
        self.world.until(secs(30), serves);
        self.world.run(secs(2));
    }

    /// From now on the data plane checks its servers.
    pub(super) fn checked(mut self) -> Self {
        self.world.check(0);
        self
    }

    /// How long a changed record takes to the balancer, and to all.
    pub(super) fn tell(&mut self) -> (Duration, Duration) {
        let i = self.turn();
        let (at, world) = (self.world.now, &mut self.world);
        let port = 1024 + u32::try_from(at.as_millis() % 50_000).unwrap();
        world.input(i, Input::Record(record(Kind::Agent, port)));
        let (version, name) = (world.node(i).record().version, world.hosts[i].name.clone());
        let has = |w: &World, j: usize| {
            let snapshot = w.snapshot(j);
            snapshot.members.get(&name).and_then(|m| m.record.as_ref()).is_some_and(|r| r.version >= version)
        };
        let (mut balancer, mut lacking) = (None, world.running());
        while !lacking.is_empty() {
            assert!(world.now < at + secs(120), "not told");
            world.run(ms(5));
            lacking.retain(|j| !has(world, *j));
            balancer = balancer.or((!lacking.contains(&0)).then_some(world.now.saturating_sub(at)));
        }
        (balancer.unwrap(), world.now.saturating_sub(at))
    }
}

/// The bounds of issue and README, for each of a few; `make sweep` measures hundreds.
#[track_caller]
fn check(end: End, loss: f64, crashes: usize) {
    let mut cluster = Crashes::new(100, Profile::LAN, loss);
    for _ in 0..crashes {
        let times = cluster.crash(end);
        println!("{end:?} at a loss of {loss}: {times:?}");
        assert!(times.out <= OUT && times.everywhere <= EVERYWHERE, "{end:?} at a loss of {loss}: {times:?}");
    }
}

#[test]
fn a_dead_process_of_a_hundred_is_out_soon() {
    check(End::Process, 0.0, 6);
    check(End::Process, 0.1, 6);
}

#[test]
fn a_dead_host_of_a_hundred_is_out_soon() {
    check(End::Host, 0.0, 6);
    check(End::Host, 0.1, 6);
}

/// How long such crashes take until they are out, on average, of ten whose probes are as rare as among hundreds.
fn rarely_probed(end: End, checked: bool) -> Duration {
    let cluster = Crashes::new(10, Profile { probe_period: secs(4), ..Profile::WAN }, 0.0);
    let mut cluster = if checked { cluster.checked() } else { cluster };
    (0..20).map(|_| cluster.crash(end).out).sum::<Duration>() / 20
}

/// The data plane's check is sooner than rare probes are, and its word is enough to ask.
#[test]
fn where_probes_are_rare_a_failed_check_is_sooner() {
    // A connect that gets nothing takes its second, twice.
    for (end, share) in [(End::Process, 0.7), (End::Host, 0.98)] {
        let [alone, checked] = [false, true].map(|checked| rarely_probed(end, checked));
        println!("{end:?}: out after {alone:?}, with the data plane's checks after {checked:?}");
        assert!(checked < alone.mul_f64(share), "{end:?}: {checked:?}, and {alone:?} without");
    }
}
