//! Joining, leaving, failing, coming back: what every node must come to see.

use backchat::{
    cluster::{
        identity::{Identity, first_epoch},
        node::Effect,
        profile::Profile,
    },
    model::{Kind, Liveness},
};

use super::{
    host::Host,
    world::{World, ms, secs},
};

#[test]
fn a_hundred_nodes_converge_under_20_percent_loss() {
    let mut world = World::with(1, 100, |world| world.network.loss = 0.2);
    let took = world.until(secs(10), World::converged);
    println!("100 nodes at 20% loss converged in {took:?}");
    // And they stay so: nobody is declared down, or has to begin a new life.
    world.run(secs(3));
    assert_eq!(renewed(&world), 0);
    world.until(secs(5), World::converged);
}

/// How many lives were begun anew.
fn renewed(world: &World) -> usize {
    let fates = world.hosts.iter().flat_map(|host| &host.fate);
    fates.filter(|(_, fate)| matches!(fate, Effect::Renewed { .. })).count()
}

#[test]
fn loss_removes_nobody() {
    for (seed, size, loss) in [(1, 3, 0.1), (2, 10, 0.3), (3, 10, 0.2)] {
        let mut world = World::with(seed, size, |world| world.network.loss = loss);
        world.until(secs(10), World::converged);
        world.hosts.iter_mut().for_each(|host| host.watched = true);
        world.run(secs(100));
        let failed = |host: &Host| host.seen.iter().any(|(_, _, seen)| *seen == Liveness::Failed);
        assert!(!world.hosts.iter().any(failed), "{size} nodes at {loss}");
        assert_eq!(renewed(&world), 0, "{size} nodes at {loss}");
    }
}

/// What a crash and a dead host take at the most in each profile, and that loss takes nobody.
#[test]
fn every_profile_keeps_to_its_times() {
    for (profile, crash, dead) in
        [(Profile::LOCAL, ms(600), secs(3)), (Profile::LAN, secs(1), secs(5)), (Profile::WAN, secs(3), secs(12))]
    {
        let mut world = World::with(1, 10, |world| (world.profile, world.network.loss) = (profile, 0.1));
        world.until(secs(10), World::converged);
        world.hosts.iter_mut().for_each(|host| host.watched = true);
        world.run(secs(60));
        let failed = |host: &Host| host.seen.iter().any(|(_, _, seen)| *seen == Liveness::Failed);
        assert!(!world.hosts.iter().any(failed), "{}", profile.name);
        assert_eq!(renewed(&world), 0, "{}", profile.name);
        world.kill(4);
        let crashed = world.until(crash, |w| w.sees(0, 4) == Some(Liveness::Failed));
        world.kill(5);
        world.hosts[5].up = false;
        let gone = world.until(dead, |w| w.running().iter().all(|i| w.sees(*i, 5) == Some(Liveness::Failed)));
        println!("{}: a crash took {crashed:?}, a dead host {gone:?}", profile.name);
    }
}

#[test]
fn a_split_pair_heals_by_itself() {
    let mut world = World::cluster(1, 2);
    world.until(secs(5), World::converged);
    world.hosts[1].joins.clear();
    let other = world.hosts[1].addr;
    world.network.split(1, [other]);
    world.until(secs(10), |w| w.sees(0, 1) == Some(Liveness::Failed) && w.sees(1, 0) == Some(Liveness::Failed));
    world.run(secs(60));
    world.network.heal();
    let took = world.until(secs(5), World::converged);
    println!("a split pair healed in {took:?}");
}

#[test]
fn halves_heal_and_nobody_fails_in_its_own_half() {
    let mut world = World::cluster(1, 10);
    world.until(secs(5), World::converged);
    world.hosts.iter_mut().for_each(|host| host.joins.clear());
    let half: Vec<_> = world.hosts[5..].iter().map(|host| host.addr).collect();
    world.network.split(1, half);
    let apart = |w: &World| {
        (0..10).all(|i| (0..10).all(|j| i == j || (w.sees(i, j) == Some(Liveness::Failed)) == ((i < 5) != (j < 5))))
    };
    world.until(secs(20), apart);
    world.run(secs(20));
    world.hosts.iter_mut().for_each(|host| host.watched = true);
    world.network.heal();
    let healed = world.now;
    let took = world.until(secs(15), World::converged);
    println!("halves healed in {took:?}");
    for (i, host) in world.hosts.iter().enumerate() {
        let own_half = |name: &str| (i < 5) == (name[1..].parse::<usize>().unwrap() < 5);
        let failed = |(at, name, seen): &(_, _, _)| {
            *at > healed && *seen == Liveness::Failed && own_half(backchat::model::NodeName::as_str(name))
        };
        assert!(!host.seen.iter().any(failed), "n{i}: {:?}", host.seen);
    }
}

#[test]
fn a_killed_node_fails_and_its_next_life_wins() {
    let mut world = World::cluster(1, 5);
    world.until(secs(5), World::converged);
    world.kill(3);
    let took = world.until(secs(3), |w| [0, 1, 2, 4].iter().all(|i| w.sees(*i, 3) == Some(Liveness::Failed)));
    println!("killed, gone for all after {took:?}");
    world.start(3, 2000);
    world.until(secs(2), World::converged);
    assert_eq!(world.node(0).known(&world.hosts[3].name).unwrap().identity.epoch(), 2000);
}

#[test]
fn a_quick_restart_is_a_new_life() {
    let mut world = World::cluster(1, 5);
    world.until(secs(5), World::converged);
    world.kill(3);
    world.run(ms(50));
    world.start(3, 2000);
    world.until(secs(2), World::converged);
    assert_eq!(renewed(&world), 0);
}

/// Nobody to join and nothing kept: those whom it forgot tell it that they are there.
#[test]
fn a_restarted_seed_is_found_by_those_it_forgot() {
    let mut world = World::cluster(1, 10);
    world.until(secs(5), World::converged);
    world.kill(0);
    world.run(ms(50));
    world.start(0, 2000);
    let took = world.until(secs(1), World::converged);
    println!("a restarted seed knew all after {took:?}");
}

/// The clock stepped back, nothing was kept, and no join address was there to say so.
#[test]
fn a_life_with_too_low_an_epoch_begins_again_above() {
    for dead_first in [false, true] {
        let mut world = World::cluster(1, 5);
        world.until(secs(5), World::converged);
        world.kill(3);
        if dead_first {
            world.until(secs(5), |w| w.sees(0, 3) == Some(Liveness::Failed));
        }
        world.start(3, 7);
        world.until(secs(5), World::converged);
        assert_eq!(world.node(3).identity().epoch(), 1001, "dead first: {dead_first}");
        assert!(world.hosts[3].fate.iter().any(|(_, fate)| *fate == Effect::Renewed { epoch: 1001, moved: None }));
    }
}

#[test]
fn the_handshake_tells_of_earlier_lives() {
    let mut world = World::cluster(1, 3);
    world.until(secs(5), World::converged);
    world.kill(2);
    let known = world.node(0).known(&world.hosts[2].name).unwrap();
    let epoch = first_epoch(500, None, Some(known.identity.epoch()));
    world.start(2, epoch);
    world.until(secs(2), World::converged);
    assert_eq!((epoch, renewed(&world)), (1001, 0));
}

#[test]
fn a_node_may_come_back_at_another_address() {
    let mut world = World::cluster(1, 5);
    world.until(secs(5), World::converged);
    world.kill(3);
    let moved = world.host("n3", Kind::Agent);
    world.start(moved, 2000);
    world.until(secs(5), |w| w.sees(0, 3) == Some(Liveness::Alive) && w.converged());
    assert_eq!(world.node(0).known(&world.hosts[3].name).unwrap().identity.addr(), world.hosts[moved].addr);
}

/// Two nodes of one name: the later life has it, the other is told by whom and ends.
#[test]
fn of_two_namesakes_one_ends() {
    let mut world = World::cluster(1, 5);
    world.until(secs(5), World::converged);
    world.hosts[0].watched = true;
    let namesake = world.host("n3", Kind::Agent);
    world.start(namesake, 2000);
    let winner = Identity::new(world.hosts[3].name.clone(), 2000, world.hosts[namesake].addr);
    let lost = Effect::NameLost { by: winner.clone() };
    world.until(secs(5), |w| w.hosts[3].fate.iter().any(|(_, fate)| *fate == lost));
    world.kill(3);
    world.until(secs(5), World::converged);
    world.run(secs(10));
    assert!(world.converged());
    assert_eq!(*world.node(namesake).identity(), winner, "the winner was disturbed");
    let failed = |(_, name, seen): &(_, _, Liveness)| *name == world.hosts[3].name && *seen == Liveness::Failed;
    assert!(!world.hosts[0].seen.iter().any(failed), "the name was seen to fail: {:?}", world.hosts[0].seen);
}

/// The same, where neither knew of the other until two halves met.
#[test]
fn namesakes_of_two_halves_end_as_one() {
    for (first, second) in [(1000, 2000), (2000, 1000), (1000, 1000)] {
        let mut world = World::cluster(1, 4);
        let namesake = world.host("n3", Kind::Agent);
        let seed = world.host("n5", Kind::Balancer);
        let half = [world.hosts[namesake].addr, world.hosts[seed].addr];
        world.network.split(1, half);
        world.kill(3);
        world.start(3, first);
        world.start(namesake, second);
        world.start(seed, 1000);
        world.hosts[namesake].joins = vec![half[1]];
        world.run(secs(5));
        world.network.heal();
        let done = |fate: &(_, Effect)| matches!(fate.1, Effect::NameLost { .. });
        world.until(secs(10), |w| [3, namesake].iter().any(|i| w.hosts[*i].fate.iter().any(done)));
        let ended: Vec<_> = [3, namesake].into_iter().filter(|i| world.hosts[*i].fate.iter().any(done)).collect();
        let loser = if (first, world.hosts[3].addr) < (second, world.hosts[namesake].addr) { 3 } else { namesake };
        assert_eq!(ended, [loser], "{first} {second}");
        world.kill(loser);
        world.until(secs(10), World::converged);
    }
}

#[test]
fn a_leaver_has_left_at_once_and_for_good() {
    let mut world = World::with(1, 30, |world| world.network.loss = 0.1);
    world.until(secs(10), World::converged);
    let gone = 7;
    world.leave(gone);
    let at_balancer = world.until(ms(500), |w| w.sees(0, gone) == Some(Liveness::Left));
    world.until(secs(1), |w| w.hosts[gone].fate.iter().any(|(_, fate)| *fate == Effect::Left));
    world.kill(gone);
    let others: Vec<_> = (0..30).filter(|i| *i != gone).collect();
    let left = |w: &World| others.iter().all(|i| w.sees(*i, gone) == Some(Liveness::Left));
    let everywhere = world.until(secs(1), left);
    println!("left: at the balancer after {at_balancer:?}, everywhere {everywhere:?} after it was done");
    for _ in 0..20 {
        world.run(secs(1));
        assert!(left(&world), "{}", world.picture());
    }
    world.start(gone, 2000);
    world.until(secs(2), World::converged);
}

#[test]
fn a_node_alone_leaves_at_once() {
    let mut world = World::cluster(1, 1);
    world.leave(0);
    assert!(matches!(world.hosts[0].fate[..], [(_, Effect::Left)]));
}

#[test]
fn who_has_somebody_to_join_is_synced_after_an_exchange() {
    let mut world = World::new(1);
    let (seed, late) = (world.host("n0", Kind::Balancer), world.host("n1", Kind::Balancer));
    world.start(late, 1000);
    world.run(secs(10));
    assert!(!world.snapshot(late).synced, "synced with nobody there");
    world.start(seed, 1000);
    assert!(world.snapshot(seed).synced, "nobody to join, but not synced");
    world.until(secs(2), |w| w.snapshot(late).synced);
    assert_eq!(world.snapshot(late).members.len(), 2);
}

#[test]
fn the_failed_and_the_left_are_forgotten_in_time() {
    let mut world = World::cluster(1, 4);
    world.until(secs(5), World::converged);
    world.leave(2);
    world.run(secs(1));
    world.kill(2);
    world.kill(3);
    world.until(secs(5), |w| w.sees(0, 3) == Some(Liveness::Failed));
    world.run(secs(3500));
    assert_eq!((world.sees(0, 2), world.sees(0, 3)), (Some(Liveness::Left), Some(Liveness::Failed)));
    world.run(secs(300));
    assert_eq!((world.sees(0, 2), world.sees(0, 3)), (None, Some(Liveness::Failed)));
}
