//! foca's ills, each shown with its cure switched off, and gone with it on.

use backchat::{
    cluster::node::{Cures, Effect, Input},
    model::{Kind, Liveness},
};

use super::{
    host::{record, record_of},
    world::{World, ms, secs},
};

/// `ails` says whether the ill shows: it must without the cure, and must not with it.
#[track_caller]
fn check(without: Cures, ails: impl Fn(Cures) -> bool) {
    check_beside(Cures::default(), without, ails);
}

/// The same, with another cure off in both, which would hide the ill.
#[track_caller]
fn check_beside(with: Cures, without: Cures, ails: impl Fn(Cures) -> bool) {
    assert!(ails(without), "the cure is not needed");
    assert!(!ails(with), "not cured");
}

/// Agents only, so that nothing is told to a balancer directly, and no exchange but at the join;
/// those that are down are not greeted.
fn agents(seed: u64, size: usize, cures: Cures, loss: f64) -> World {
    let mut world = World::new(seed);
    world.cures = cures;
    world.network.loss = loss;
    world.profile.exchange_period = secs(100_000);
    world.profile.announce_down = secs(100_000);
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

/// A suspect answers while the one that suspects it stands still, and its answers are lost.
#[test]
fn sleepers_that_judge() {
    check(Cures { overslept: false, ..Cures::default() }, |cures| {
        (0..20).any(|seed| {
            let mut world = agents(seed, 3, cures, 0.0);
            let addrs: Vec<_> = world.hosts.iter().map(|host| host.addr).collect();
            world.stall(1, ms(1200));
            let until = world.now + ms(1200);
            while world.sees(0, 1) == Some(Liveness::Alive) && world.now < until {
                world.run(ms(10));
            }
            // It sleeps a little longer than it lets suspects refute, and not so long as to be declared down.
            let sleeps = world.profile.suspicion_for(3) + ms(50);
            addrs[1..].iter().for_each(|addr| world.network.cut(*addr, addrs[0]));
            world.stall(0, sleeps);
            world.run(sleeps.saturating_sub(ms(1)));
            world.network.heal();
            world.run(secs(6));
            renewed(&world)
        })
    });
}

/// A node that was declared down while it stood still renews itself, and its first packets are lost.
#[test]
fn mute_rejoins() {
    check(Cures { mute_rejoin: false, ..Cures::default() }, |cures| {
        let mut world = agents(1, 3, cures, 0.0);
        world.hosts[2].joins.clear();
        world.stall(2, secs(4));
        world.until(secs(4), |w| w.sees(0, 2) == Some(Liveness::Failed) && w.sees(1, 2) == Some(Liveness::Failed));
        world.network.loss = 1.0;
        world.until(secs(4), renewed);
        world.run(ms(10));
        world.network.loss = 0.0;
        world.run(secs(2));
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

/// A node that left is probed for one who has not heard of it, by one who has: so it hears that it is
/// down, and rejoins.
#[test]
fn leavers_that_listen() {
    check(Cures { deaf_leaver: false, ..Cures::default() }, |cures| {
        (0..20).any(|seed| {
            let mut world = agents(seed, 5, cures, 0.0);
            let addrs: Vec<_> = world.hosts.iter().map(|host| host.addr).collect();
            addrs[1..].iter().for_each(|addr| world.network.cut(*addr, addrs[0]));
            world.leave(4);
            world.run(ms(500));
            world.node(4).identity().epoch() > 1000
        })
    });
}

/// The suspect itself is told last.
#[test]
fn suspects_that_do_not_know() {
    let with = Cures { probe_twice: false, ..Cures::default() };
    check_beside(with, Cures { suspect_again: false, ..with }, |cures| {
        let mut world = agents(1, 10, cures, 0.3);
        world.run(secs(80));
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
        world.input(3, Input::Record(record_of(1310)));
        world.run(secs(10));
        !world.converged()
    });
}

/// foca tells three at once, and that is that: a burst of loss, and nobody has heard.
#[test]
fn leaves_that_nobody_hears_of() {
    check(Cures { tell_leave: false, ..Cures::default() }, |cures| {
        let mut world = agents(1, 5, cures, 0.0);
        world.network.loss = 1.0;
        world.leave(3);
        world.run(ms(20));
        world.network.loss = 0.0;
        world.run(ms(400));
        world.kill(3);
        ![0, 1, 2, 4].iter().all(|i| world.sees(*i, 3) == Some(Liveness::Left))
    });
}
