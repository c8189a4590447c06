//! A suspicion is a question: what a balancer makes of suspects.

use backchat::{
    cluster::{exchange::Exchange, node::Input},
    model::{Kind, Liveness, Verdict},
};

use rand::RngExt;

use super::world::{World, ms, secs};

#[test]
fn a_refused_connection_ends_it_for_all() {
    let mut world = World::cluster(1, 10);
    world.until(secs(5), World::converged);
    world.kill(4);
    let took = world.until(secs(2), |w| w.sees(0, 4) == Some(Liveness::Failed));
    assert_eq!(world.verdict(0, 4), Verdict::Refused);
    let all = world.until(secs(1), |w| w.running().iter().all(|i| w.sees(*i, 4) == Some(Liveness::Failed)));
    println!("refused: gone after {took:?}, for all {all:?} later");
}

/// A balancer looks after everybody itself: there is no long tail.
#[test]
fn a_killed_one_is_out_within_a_second() {
    for seed in 0..30 {
        let mut world = World::with(seed, 10, |world| world.network.loss = 0.05);
        world.until(secs(5), World::converged);
        world.run(ms(seed * 37));
        world.kill(4);
        world.until(ms(1000), |w| w.sees(0, 4) == Some(Liveness::Failed));
    }
}

/// Nothing follows from one that does not answer a balancer that looks after it, unless it is refused.
#[test]
fn looking_after_them_raises_no_suspicion() {
    let mut world = World::cluster(1, 10);
    world.until(secs(5), World::converged);
    world.hosts[0].watched = true;
    let (balancer, other) = (world.hosts[0].addr, world.hosts[4].addr);
    // It lives, as all others know: their probes go through.
    world.network.cut(balancer, other);
    world.network.cut(other, balancer);
    world.run(secs(20));
    let failed = |(_, _, seen): &(_, _, Liveness)| *seen == Liveness::Failed;
    assert!(!world.hosts[0].seen.iter().any(failed), "{:?}", world.hosts[0].seen);
}

/// A suspicion that its suspect never heard of, at one who set no timer for it.
#[test]
fn suspicions_end() {
    let mut world = World::new(1);
    for i in 0..3 {
        world.host(&format!("n{i}"), Kind::Agent);
        world.start(i, 1000);
    }
    world.until(secs(5), World::converged);
    let n2 = foca::Member::new(world.node(2).identity().clone(), 0, foca::State::Suspect);
    let told = Exchange { members: vec![n2], ..world.node(0).open_exchange() };
    world.network.loss = 1.0;
    world.input(1, Input::Exchange(&told));
    assert_eq!(world.sees(1, 2), Some(Liveness::Suspect));
    world.run(ms(250));
    world.network.loss = 0.0;
    world.until(secs(4), World::converged);
}

#[test]
fn a_silent_one_is_drained_first_and_fails_in_time() {
    let mut world = World::cluster(1, 10);
    world.until(secs(5), World::converged);
    world.kill(4);
    world.hosts[4].up = false;
    let suspect = world.until(secs(2), |w| w.sees(0, 4) == Some(Liveness::Suspect));
    let silent = world.until(ms(400), |w| w.verdict(0, 4) == Verdict::Silent);
    let failed = world.until(secs(4), |w| w.sees(0, 4) == Some(Liveness::Failed));
    println!("silent: suspect after {suspect:?}, {silent:?} more to know, {failed:?} more to fail");
    assert_eq!(world.verdict(0, 4), Verdict::Silent);
    // The guard waits for this: the path is there again, and nobody listens.
    world.hosts[4].up = true;
    world.until(secs(6), |w| w.verdict(0, 4) == Verdict::Refused);
}

/// One that others cannot reach, but the balancer can: it answers, and stays.
#[test]
fn one_that_answers_is_said_to_answer() {
    let mut world = World::cluster(1, 10);
    world.until(secs(5), World::converged);
    let (balancer, suspect) = (world.hosts[0].addr, world.hosts[4].addr);
    let others: Vec<_> = world.hosts[1..].iter().map(|host| host.addr).filter(|addr| *addr != suspect).collect();
    for other in others {
        world.network.cut(suspect, other);
        world.network.cut(other, suspect);
    }
    world.until(secs(10), |w| w.sees(0, 4) == Some(Liveness::Suspect) && w.verdict(0, 4) == Verdict::Answered);
    assert!(world.network.connects(balancer, suspect));
}

#[test]
fn agents_ask_nobody() {
    let mut world = World::new(1);
    for i in 0..5 {
        world.host(&format!("n{i}"), Kind::Agent);
        world.start(i, 1000);
    }
    world.until(secs(5), World::converged);
    world.kill(4);
    world.until(secs(5), |w| w.sees(0, 4) == Some(Liveness::Failed));
    assert_eq!(world.verdict(0, 4), Verdict::Unasked);
}

/// Standing still for less than the suspicion lasts costs nobody its life.
#[test]
fn a_short_stall_is_survived() {
    for seed in 0..10 {
        let mut world = World::with(seed, 10, |world| world.network.loss = 0.2);
        world.until(secs(5), World::converged);
        world.hosts[0].watched = true;
        world.stall(4, ms(2900));
        world.run(secs(8));
        let failed = |(_, _, seen): &(_, _, Liveness)| *seen == Liveness::Failed;
        assert!(!world.hosts[0].seen.iter().any(failed), "seed {seed}");
        world.until(secs(2), World::converged);
    }
}

/// A balancer that stood still itself finds everybody alive.
#[test]
fn a_stalled_balancer_removes_nobody() {
    for seed in 0..10 {
        let mut world = World::with(seed, 10, |world| world.network.loss = 0.2);
        world.until(secs(5), World::converged);
        world.hosts[0].watched = true;
        world.stall(0, ms(2900));
        world.run(secs(8));
        let failed = |(_, _, seen): &(_, _, Liveness)| *seen == Liveness::Failed;
        assert!(!world.hosts[0].seen.iter().any(failed), "seed {seed}");
    }
}

/// Ten minutes without gossip: what is live stays, and all is as before once the cut is healed.
#[test]
fn a_balancer_alone_removes_nobody() {
    let mut world = World::cluster(1, 10);
    world.until(secs(5), World::converged);
    world.hosts.iter_mut().for_each(|host| host.joins.clear());
    world.equip(0);
    let balancer = world.hosts[0].addr;
    world.network.split(1, [balancer]);
    world.run(secs(600));
    let removed = |w: &World| w.hosts[0].plane.as_ref().unwrap().changes.iter().filter(|c| c.state.is_none()).count();
    assert!(world.hosts[0].plane.as_ref().unwrap().holds(), "nothing is held");
    assert_eq!(removed(&world), 0);
    world.network.heal();
    let healed = world.until(secs(30), |w| {
        let plane = w.hosts[0].plane.as_ref().unwrap();
        w.converged() && !plane.holds() && w.hosts[1..].iter().all(|host| plane.serves(&host.name))
    });
    println!("ten minutes alone, and all as before {healed:?} after");
    world.run(secs(20));
    assert_eq!(removed(&world), 0);
}

/// One that is given its processor in pieces asks as any other does, and finds that all are there.
#[test]
fn a_starved_balancer_changes_nothing() {
    for loss in [0.0, 0.2] {
        let mut world = World::with(1, 10, |world| world.network.loss = loss);
        world.until(secs(5), World::converged);
        world.equip(0);
        let end = world.now + secs(60);
        while world.now < end {
            let (sleeps, runs) = (world.rng.random_range(20..600), world.rng.random_range(1..30));
            world.stall(0, ms(sleeps));
            world.run(ms(sleeps + runs));
        }
        let changes = &world.hosts[0].plane.as_ref().unwrap().changes;
        assert!(changes.is_empty(), "at a loss of {loss}: {changes:?}");
    }
}

/// Checks that fail although their members live, come and go: they are asked, and that is all.
#[test]
fn checks_that_fail_for_nothing_change_nothing() {
    let mut world = World::with(1, 10, |world| world.network.loss = 0.2);
    world.until(secs(5), World::converged);
    world.equip(0);
    world.check(0);
    let packets = world.packets;
    for _ in 0..60 {
        let wrong = (1..10).filter(|_| world.rng.random_bool(0.5)).collect();
        world.hosts[0].checks.as_mut().unwrap().wrong = wrong;
        world.run(secs(1));
    }
    let removed = world.hosts[0].plane.as_ref().unwrap().changes.iter().filter(|c| c.state.is_none()).count();
    assert_eq!(removed, 0);
    println!("{} packets in a minute", world.packets - packets);
}
