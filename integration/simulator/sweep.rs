//! Nobody healthy is removed: loss, and members that stand still for a while, for an hour of virtual time.

use std::time::Duration;

use backchat::{
    cluster::node::Effect,
    model::{EndpointState, Kind, Moment},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    world::{World, ms, secs},
};

/// How long a stall lasts, in milliseconds; at any moment every twentieth node stands still.
const STALL: std::ops::Range<u64> = 1000..3000;
const STALL_EVERY: std::ops::Range<u64> = 20_000..56_000;

/// What is run.
#[derive(Clone, Copy, Debug)]
struct Cell {
    seed: u64,
    size: usize,
    loss: f64,
    stalls: bool,
    time: Duration,
}

/// A node that stood still.
#[derive(Clone, Copy, Debug)]
struct Stall {
    node: usize,
    from: Moment,
    to: Moment,
}

/// What came of it.
#[derive(Debug, Default)]
struct Tally {
    stalls: usize,
    /// Removals and drains at a balancer, and lives that were begun anew: of the healthy, and of those that
    /// stood still, with how long they did.
    healthy: [usize; 3],
    stalled: [Vec<Duration>; 3],
    packets: u64,
    events: Vec<String>,
}

impl Cell {
    fn run(self) -> Tally {
        let mut world = World::new(self.seed);
        world.network.loss = self.loss;
        let balancers = if self.size > 5 { 2 } else { 1 };
        for i in 0..self.size {
            let kind = if i < balancers { Kind::Balancer } else { Kind::Agent };
            world.host(&format!("n{i}"), kind);
            world.start(i, 1000);
        }
        world.until(secs(30), World::converged);
        for i in 0..balancers {
            world.equip(i);
        }
        let packets = world.packets;
        let stalls = self.pass(&mut world);
        let mut tally = Tally { stalls: stalls.len(), packets: world.packets - packets, ..Tally::default() };
        tally.count(&world, &stalls);
        tally
    }

    /// Lets the time pass, with stalls.
    fn pass(self, world: &mut World) -> Vec<Stall> {
        let end = world.now + self.time;
        let mut rng = StdRng::seed_from_u64(self.seed ^ 0x57a1);
        let mut next: Vec<Moment> = (0..self.size).map(|_| world.now + ms(rng.random_range(0..STALL_EVERY.end))).collect();
        let mut stalls = Vec::new();
        while self.stalls {
            let Some((node, at)) = next.iter().copied().enumerate().min_by_key(|(_, at)| *at) else { break };
            if at > end {
                break;
            }
            world.run(at.saturating_sub(world.now));
            let time = ms(rng.random_range(STALL));
            world.stall(node, time);
            stalls.push(Stall { node, from: at, to: at + time });
            next[node] = at + time + ms(rng.random_range(STALL_EVERY));
        }
        world.run(end.saturating_sub(world.now));
        stalls
    }
}

impl Tally {
    fn count(&mut self, world: &World, stalls: &[Stall]) {
        for (b, host) in world.hosts.iter().enumerate() {
            for change in host.plane.iter().flat_map(|plane| &plane.changes) {
                let node = world.hosts.iter().position(|host| host.name == change.node).unwrap();
                match change.state {
                    None => self.note(0, "removed", b, node, change.at, stalls),
                    Some(EndpointState::Drain) => self.note(1, "drained", b, node, change.at, stalls),
                    Some(EndpointState::Ready) => {}
                }
            }
        }
        for (i, host) in world.hosts.iter().enumerate() {
            for (at, fate) in &host.fate {
                if matches!(fate, Effect::Renewed { .. }) {
                    self.note(2, "renewed", i, i, *at, stalls);
                }
            }
        }
    }

    fn note(&mut self, what: usize, word: &str, by: usize, node: usize, at: Moment, stalls: &[Stall]) {
        let stall = stalls.iter().rev().find(|s| s.node == node && s.from <= at && at <= s.to + ms(500));
        match stall {
            Some(stall) => self.stalled[what].push(stall.to - stall.from),
            None => self.healthy[what] += 1,
        }
        let own = stalls.iter().rev().find(|s| s.node == by && s.from <= at);
        self.events.push(format!("{at:?}: n{node} {word} by n{by}; its stall {stall:?}, the other's {own:?}"));
    }
}

#[test]
#[ignore = "explore"]
fn explore() {
    let env = |name: &str, default: &str| std::env::var(name).unwrap_or(default.into());
    let list = |name: &str, default: &str| -> Vec<f64> {
        env(name, default).split(',').map(|x| x.parse().unwrap()).collect()
    };
    for size in list("SIZES", "3,10,100") {
        for loss in list("LOSSES", "0.05,0.1,0.2,0.3") {
            for stalls in list("STALLS", "0,1") {
                let start = std::time::Instant::now();
                let time = secs(list("SECS", "3600")[0] as u64);
                let seed = list("SEED", "1")[0] as u64;
                let cell = Cell { seed, size: size as usize, loss, stalls: stalls > 0.0, time };
                let tally = cell.run();
                println!(
                    "{size} nodes, loss {loss}, {} stalls: removed/drained/renewed healthy {:?} stalled {:?} packets {} in {:?}",
                    tally.stalls,
                    tally.healthy,
                    tally.stalled.iter().map(Vec::len).collect::<Vec<_>>(),
                    tally.packets,
                    start.elapsed(),
                );
                let shown = list("SHOW", "0")[0] as usize;
                tally.events.iter().filter(|e| !e.contains("drained")).take(shown).for_each(|event| println!("  {event}"));
                for what in [0, 2] {
                    let mut times = tally.stalled[what].clone();
                    times.sort();
                    println!("  shortest stalls {:?}", times.iter().take(5).collect::<Vec<_>>());
                }
            }
        }
    }
}
