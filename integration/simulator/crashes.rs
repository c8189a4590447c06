//! How soon a crash is known: where its host still refuses connections, and where nothing comes back at all.

use std::time::Duration;

use backchat::{
    cluster::{node::Input, profile::Profile},
    model::{EndpointState, Kind, Liveness, Moment},
};
use rand::RngExt;

use super::{
    host::record,
    plane::Plane,
    world::{World, ms, secs},
};

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

/// What one crash took until the balancer suspected it, until it had no new requests, until all knew.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) suspect: Duration,
    pub(super) out: Duration,
    pub(super) everywhere: Duration,
}

impl Crashes {
    pub(super) fn new(seed: u64, size: usize, profile: Profile, loss: f64) -> Self {
        let mut world = World::with(seed, size, |world| {
            (world.profile, world.network.loss) = (profile, loss);
            if profile.name == "wan" {
                world.network.delay = (10_000, 100_000);
            }
        });
        world.until(secs(60), World::converged);
        world.equip(0);
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

    /// One crash; afterwards the node is back.
    pub(super) fn crash(&mut self, end: End) -> Times {
        let i = self.turn();
        let world = &mut self.world;
        let (at, name) = (world.now, world.hosts[i].name.clone());
        assert!(world.hosts[0].plane.as_ref().is_some_and(|plane| plane.serves(&name)), "it does not serve");
        world.kill(i);
        world.hosts[i].up = end == End::Process;
        world.hosts[0].seen.clear();
        let all = |w: &World| w.running().iter().all(|j| w.sees(*j, i) == Some(Liveness::Failed));
        while !all(world) {
            assert!(world.now < at + secs(60), "it never failed:\n{}", world.picture());
            world.run(ms(10));
        }
        let everywhere = world.now - at;
        assert!(!world.hosts[0].plane.as_ref().is_some_and(Plane::holds), "held");
        let plane = world.hosts[0].plane.as_ref().unwrap();
        let gone = |c: &&super::plane::Change| c.at >= at && c.node == name && c.state != Some(EndpointState::Ready);
        let out = plane.changes.iter().find(gone).unwrap().at - at;
        let first = |(_, who, _): &&(Moment, _, Liveness)| *who == name;
        let suspect = world.hosts[0].seen.iter().find(first).unwrap().0 - at;
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

    /// How long a changed record takes to the balancer and to all.
    pub(super) fn tell(&mut self) -> (Duration, Duration) {
        let i = self.turn();
        let world = &mut self.world;
        let at = world.now;
        let port = 1024 + u32::try_from(world.now.as_millis() % 50_000).unwrap();
        world.input(i, Input::Record(record(Kind::Agent, port)));
        let version = world.node(i).record().version;
        let name = world.hosts[i].name.clone();
        let has = |w: &World, j: usize| {
            let snapshot = w.snapshot(j);
            snapshot.members.get(&name).and_then(|m| m.record.as_ref()).is_some_and(|r| r.version >= version)
        };
        let mut balancer = None;
        let mut lacking: Vec<_> = world.running();
        loop {
            if balancer.is_none() && has(world, 0) {
                balancer = Some(world.now - at);
            }
            lacking.retain(|j| !has(world, *j));
            if lacking.is_empty() {
                return (balancer.unwrap(), world.now - at);
            }
            assert!(world.now < at + secs(120), "not told");
            world.run(ms(5));
        }
    }
}

/// A share of sorted times.
pub(super) fn share(times: &mut [Duration], share: f64) -> Duration {
    times.sort();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a few")]
    let at = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len());
    times[at - 1]
}

#[test]
#[ignore = "explore"]
fn explore() {
    let env = |name: &str, default: &str| std::env::var(name).unwrap_or(default.into());
    let list = |name: &str, default: &str| -> Vec<f64> {
        env(name, default).split(',').map(|x| x.parse().unwrap()).collect()
    };
    for profile in [Profile::LOCAL, Profile::LAN, Profile::WAN] {
        if !env("PROFILES", "lan").contains(profile.name) {
            continue;
        }
        for size in list("SIZES", "10,100") {
            for loss in list("LOSSES", "0,0.1") {
                for end in [End::Process, End::Host] {
                    let start = std::time::Instant::now();
                    let mut crashes = Crashes::new(1, size as usize, profile, loss);
                    let times: Vec<_> = (0..list("N", "100")[0] as usize).map(|_| crashes.crash(end)).collect();
                    let p = |of: fn(&Times) -> Duration| {
                        let mut all: Vec<_> = times.iter().map(of).collect();
                        [0.5, 0.9, 0.99, 1.0].map(|s| share(&mut all, s).as_millis())
                    };
                    println!(
                        "{} {size} loss {loss} {end:?}: suspect {:?} out {:?} everywhere {:?} (in {:?})",
                        profile.name,
                        p(|t| t.suspect),
                        p(|t| t.out),
                        p(|t| t.everywhere),
                        start.elapsed()
                    );
                }
            }
        }
    }
}
