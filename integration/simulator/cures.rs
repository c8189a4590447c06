//! foca's ills, each shown with its cure switched off, and gone with it on.

use std::time::Duration;

use backchat::{
    cluster::node::{Cures, Effect, Input},
    model::{Kind, Liveness},
};

use super::world::{World, ms, record, record_of, secs};

/// `ails` says whether the ill shows: it must without the cure, and must not with it.
#[track_caller]
fn check(without: Cures, ails: impl Fn(Cures) -> bool) {
    assert!(ails(without), "the cure is not needed");
    assert!(!ails(Cures::default()), "not cured");
}

/// Agents only, so that nothing is told to a balancer directly, and no exchange but at the join.
fn agents(seed: u64, size: usize, cures: Cures, loss: f64) -> World {
    let mut world = World::new(seed);
    world.cures = cures;
    world.network.loss = loss;
    world.profile.exchange_period = secs(100_000);
    for i in 0..size {
        world.host(&format!("n{i}"), Kind::Agent);
        world.start(i, 1000);
    }
    world.until(secs(30), World::converged);
    world
}

fn renewed(world: &World) -> bool {
    let fates = |i: usize| world.hosts[i].fate.iter().any(|(_, fate)| matches!(fate, Effect::Renewed { .. }));
    (0..world.hosts.len()).any(fates)
}

/// A node that stood still was suspected, refuted, and is told seconds later that it is dead.
#[test]
fn stale_suspicions() {
    check(Cures { stale_timers: false, ..Cures::default() }, |cures| {
        let mut world = agents(1, 5, cures, 0.0);
        world.stall(3, ms(1200));
        world.run(secs(8));
        renewed(&world)
    });
}

/// A node that was declared down renews itself, and its first packets are lost.
#[test]
fn mute_rejoins() {
    check(Cures { mute_rejoin: false, ..Cures::default() }, |cures| {
        let mut world = agents(1, 3, cures, 0.0);
        let addrs: Vec<_> = world.hosts.iter().map(|host| host.addr).collect();
        world.network.cut(addrs[2], addrs[0]);
        world.network.cut(addrs[2], addrs[1]);
        world.until(secs(10), renewed);
        world.run(ms(100));
        world.network.heal();
        world.hosts.iter_mut().for_each(|host| host.joins.clear());
        world.run(ms(1500));
        !world.converged()
    });
}

/// Two that lost one another have no timers left.
#[test]
fn idle_pairs() {
    check(Cures { idle: false, ..Cures::default() }, |cures| {
        let mut world = agents(1, 2, cures, 0.0);
        world.hosts[1].joins.clear();
        let addr = world.hosts[1].addr;
        world.network.split(1, [addr]);
        world.until(secs(10), |w| w.sees(0, 1) == Some(Liveness::Failed) && w.sees(1, 0) == Some(Liveness::Failed));
        world.network.heal();
        world.run(secs(60));
        !world.converged()
    });
}

/// Without any loss, an update misses somebody.
#[test]
fn too_few_transmissions() {
    check(Cures { transmissions: false, ..Cures::default() }, |cures| {
        let mut world = agents(1, 10, cures, 0.0);
        (0..30).any(|change| {
            let told = usize::try_from(change).unwrap() % 10;
            world.input(told, Input::Record(record(Kind::Agent, 9000 + change)));
            world.run(secs(2));
            !world.converged()
        })
    });
}

/// A node that left hears that it is down, and rejoins.
#[test]
fn leavers_that_listen() {
    check(Cures { deaf_leaver: false, ..Cures::default() }, |cures| {
        (0..20).any(|seed| {
            let mut world = agents(seed, 10, cures, 0.0);
            world.leave(4);
            world.run(ms(350));
            (0..10).any(|i| i != 4 && world.sees(i, 4) == Some(Liveness::Alive)) || world.node(4).identity().epoch() > 1000
        })
    });
}

/// The suspect itself is told last.
#[test]
fn suspects_that_do_not_know() {
    check(Cures { suspect_again: false, ..Cures::default() }, |cures| {
        let mut world = agents(1, 10, cures, 0.3);
        world.run(secs(240));
        renewed(&world)
    });
}

/// One lost packet makes a suspect.
#[test]
fn probes_sent_once() {
    let suspicions = |cures| -> usize {
        let mut world = agents(1, 10, cures, 0.1);
        world.hosts[0].watched = true;
        world.run(secs(120));
        world.hosts[0].seen.iter().filter(|(_, _, seen)| *seen == Liveness::Suspect).count()
    };
    let (once, twice) = (suspicions(Cures { probe_twice: false, ..Cures::default() }), suspicions(Cures::default()));
    println!("suspicions in two minutes: {once} with one probe, {twice} with two");
    assert!(twice * 4 < once, "{once} with one, {twice} with two");
}

/// A broadcast that never fits beside foca's own part never goes out.
#[test]
fn broadcasts_that_never_fit() {
    check(Cures { announce_large: false, ..Cures::default() }, |cures| {
        let mut world = agents(1, 5, cures, 0.0);
        world.input(3, Input::Record(record_of(1300)));
        world.run(secs(10));
        !world.converged()
    });
}

/// foca tells three, and that is that.
#[test]
fn leaves_that_nobody_hears_of() {
    check(Cures { tell_leave: false, ..Cures::default() }, |cures| {
        (0..20).any(|seed| {
            let mut world = agents(seed, 5, cures, 0.4);
            world.leave(3);
            world.run(ms(400));
            world.kill(3);
            world.run(Duration::from_millis(1000));
            ![0, 1, 2, 4].iter().all(|i| world.sees(*i, 3) == Some(Liveness::Left))
        })
    });
}
