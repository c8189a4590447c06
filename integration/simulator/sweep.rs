//! Nobody healthy is removed: sizes, losses, and members that stand still now and then.
//!
//! Minutes of it in every run of the tests, an hour of each in `make sweep`.

use std::{fmt::Write, time::Duration};

use backchat::{
    cluster::node::Effect,
    model::{EndpointState, Kind, Moment},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    report::{Job, Line, Table},
    world::{World, ms, secs},
};

/// How long a node stands still and how long it then runs, in milliseconds: at any moment every twentieth
/// stands still.
const STALL: std::ops::Range<u64> = 1000..3000;
const BETWEEN: std::ops::Range<u64> = 20_000..56_000;
/// How long after a stall its node may still be taken for one that stands still.
const AFTER: Duration = ms(500);
/// The shares of packets that are lost.
const LOSSES: [f64; 4] = [0.05, 0.1, 0.2, 0.3];

const HEAD: &[&str] =
    &["nodes", "loss", "time", "stalls", "removed", "removed, stalled", "drained", "drained, stalled"];

/// The table of all of them, each for this long.
pub(super) fn table(time: Duration) -> Table {
    let cells = [3, 10, 100].into_iter().flat_map(|size| LOSSES.map(|loss| Cell { size, loss, time }));
    Table { head: HEAD, jobs: cells.map(|cell| -> Job { Box::new(move || cell.line()) }).collect() }
}

/// A cluster, its network, and for how long.
#[derive(Clone, Copy, Debug)]
struct Cell {
    size: usize,
    loss: f64,
    time: Duration,
}

/// A node that stood still.
#[derive(Clone, Copy, Debug)]
struct Stall {
    node: usize,
    from: Moment,
    to: Moment,
}

/// How often something was done to a node that ran, and to one that stood still.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    healthy: usize,
    stalled: usize,
}

/// What came of a cell.
#[derive(Debug, Default)]
struct Tally {
    stalls: usize,
    /// Endpoints that a balancer took out.
    removed: Count,
    /// Endpoints that it gave no new requests for a moment.
    drained: Count,
    /// Nodes that somebody declared down, and that began a new life.
    renewed: Count,
    /// The removals and new lives, for people.
    log: String,
}

impl Cell {
    fn run(self) -> Tally {
        let mut world = World::new(1);
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
        let stalls = self.pass(&mut world);
        Tally::of(&world, &stalls)
    }

    /// Lets the time pass, with stalls.
    fn pass(self, world: &mut World) -> Vec<Stall> {
        let (mut rng, end) = (StdRng::seed_from_u64(0x57a0), world.now + self.time);
        let first = |_| world.now + ms(rng.random_range(0..BETWEEN.end));
        let mut next: Vec<Moment> = (0..self.size).map(first).collect();
        let mut stalls = Vec::new();
        while let Some((node, from)) = next.iter().copied().enumerate().min_by_key(|(_, at)| *at) {
            if from > end {
                break;
            }
            world.run(from.saturating_sub(world.now));
            let time = ms(rng.random_range(STALL));
            world.stall(node, time);
            stalls.push(Stall { node, from, to: from + time });
            next[node] = from + time + ms(rng.random_range(BETWEEN));
        }
        world.run(end.saturating_sub(world.now));
        stalls
    }

    /// The cell's row of the README's table.
    fn row(self, tally: &Tally) -> String {
        let Tally { stalls, removed, drained, .. } = tally;
        format!(
            "| {} | {} % | {} min | {stalls} | {} | {} | {} | {} |",
            self.size,
            self.loss * 100.0,
            self.time.as_secs() / 60,
            removed.healthy,
            removed.stalled,
            drained.healthy,
            drained.stalled,
        )
    }

    /// The same, measured, and what is wrong with it.
    fn line(self) -> Line {
        let tally = self.run();
        Line { row: self.row(&tally), wrong: tally.wrong() }
    }

    #[track_caller]
    fn check(self) {
        let line = self.line();
        println!("{}", line.row);
        assert_eq!(line.wrong, None, "{self:?}");
    }
}

impl Tally {
    fn of(world: &World, stalls: &[Stall]) -> Self {
        let mut tally = Self { stalls: stalls.len(), ..Self::default() };
        for (i, host) in world.hosts.iter().enumerate() {
            for change in host.plane.iter().flat_map(|plane| &plane.changes) {
                let node = world.hosts.iter().position(|other| other.name == change.node).unwrap();
                let stall = around(stalls, node, change.at);
                match change.state {
                    None => {
                        tally.removed.add(stall.is_some());
                        writeln!(tally.log, "{:?} n{i} removed n{node}: {stall:?}", change.at).unwrap();
                    }
                    Some(EndpointState::Drain) => tally.drained.add(stall.is_some()),
                    Some(EndpointState::Ready) => {}
                }
            }
            for (at, _) in host.fate.iter().filter(|(_, fate)| matches!(fate, Effect::Renewed { .. })) {
                let stall = around(stalls, i, *at);
                tally.renewed.add(stall.is_some());
                writeln!(tally.log, "{at:?} n{i} was declared down: {stall:?}").unwrap();
            }
        }
        tally
    }

    /// Who was taken for dead, if anybody. Not even those may be that stood still: three seconds are less than a
    /// suspicion lasts.
    fn wrong(&self) -> Option<String> {
        let gone = [self.removed, self.renewed].iter().any(|count| count.healthy + count.stalled > 0);
        gone.then(|| self.log.clone())
    }
}

impl Count {
    fn add(&mut self, stalled: bool) {
        *(if stalled { &mut self.stalled } else { &mut self.healthy }) += 1;
    }
}

/// The stall of a node at that moment, or just before.
fn around(stalls: &[Stall], node: usize, at: Moment) -> Option<Stall> {
    stalls.iter().copied().find(|stall| stall.node == node && stall.from <= at && at <= stall.to + AFTER)
}

#[test]
fn three_keep_one_another() {
    for loss in LOSSES {
        Cell { size: 3, loss, time: secs(600) }.check();
    }
}

#[test]
fn ten_keep_one_another() {
    for loss in LOSSES {
        Cell { size: 10, loss, time: secs(60) }.check();
    }
}

#[test]
fn a_hundred_keep_one_another() {
    Cell { size: 100, loss: 0.2, time: secs(15) }.check();
}
