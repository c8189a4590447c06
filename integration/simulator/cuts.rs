//! Cuts and mass deaths as the balancer's loop judges them: gossip, desired set and guard together, on the virtual
//! clock. The data plane is a variable that takes every set at once.

use std::{collections::BTreeSet, time::Duration};

use backchat::model::{
    Cut, Desired, EndpointState, Evidence, Flapping, Held, Ledger, Liveness, Moment, Policy, Windows, desired, guard,
};

use super::world::{World, ms, secs};

/// The cluster, and the loop of the balancer, which is host 0.
struct Balancer {
    world: World,
    live: Desired,
    ledger: Ledger,
    held: Vec<Held>,
    cut: Cut,
    /// Who was taken out, and who was drained, as often as it happened.
    removed: Vec<String>,
    drained: Vec<String>,
}

impl Balancer {
    /// A balancer with so many agents, all of them serving.
    fn with(agents: usize) -> Self {
        Self::new(1, agents)
    }

    fn new(seed: u64, agents: usize) -> Self {
        let mut world = World::cluster(seed, agents + 1);
        world.until(secs(20), World::converged);
        // With the data plane's checks and without: they make nothing worse.
        if seed % 2 == 1 {
            world.check(0);
        }
        let (live, ledger, held, cut) = Default::default();
        let mut balancer = Self { world, live, ledger, held, cut, removed: Vec::new(), drained: Vec::new() };
        balancer.run(secs(2));
        assert_eq!(balancer.ready().len(), agents);
        balancer
    }

    fn look(&mut self) {
        let (known, now) = ([self.world.snapshot(0)], self.world.now);
        let (next, mut ledger, _) = desired(&known, &Policy::default(), &self.ledger, now);
        let times = (Moment::ZERO, now);
        let evidence = Evidence::gather(
            &known,
            &self.live,
            (self.held.clone(), self.cut),
            BTreeSet::new(),
            times,
            Windows::default(),
        );
        let (next, held) = guard(&self.live, next, &evidence);
        ledger.keep(&next, &self.ledger, &self.live);
        for (id, was) in self.live.endpoints() {
            match next.endpoint(&id) {
                None => self.removed.push(id.endpoint.to_string()),
                Some(is) if is.state == EndpointState::Drain && was.state != is.state => {
                    self.drained.push(id.endpoint.to_string());
                }
                Some(_) => {}
            }
        }
        (self.live, self.ledger, self.held, self.cut) = (next, ledger, held, evidence.cut);
    }

    /// Looks every 10 ms at first, for what is new comes then, and every second later.
    fn run(&mut self, time: Duration) {
        let end = self.world.now + time;
        let busy = (self.world.now + secs(20)).min(end);
        while self.world.now < end {
            self.world.run(if self.world.now < busy { ms(10) } else { secs(1) });
            self.look();
        }
    }

    /// The agents that are sent new requests.
    fn ready(&self) -> BTreeSet<String> {
        let ready = self.live.endpoints().filter(|(_, e)| e.state == EndpointState::Ready);
        ready.map(|(id, _)| id.endpoint.to_string()).collect()
    }

    /// The agents that the guard keeps.
    fn kept(&self) -> usize {
        self.held.iter().map(|held| held.endpoints.len()).sum()
    }

    fn flapping(&self) -> Vec<Flapping> {
        self.ledger.flaps.report(self.world.now)
    }

    /// These agents' hosts from here on are out of reach.
    fn cut(&mut self, agents: impl Iterator<Item = usize>) {
        let addrs: Vec<_> = agents.map(|i| self.world.hosts[i].addr).collect();
        self.world.network.split(1, addrs);
    }

    /// These die; their hosts stay up, and refuse, or go down with them.
    fn die(&mut self, agents: impl Iterator<Item = usize>, host_stays: bool) {
        for i in agents {
            self.world.kill(i);
            self.world.hosts[i].up = host_stays;
        }
    }

    /// Whether everybody that lives is known to be alive again.
    fn healed(&mut self) {
        self.world.network.heal();
        self.run(secs(60));
        let seen = self.world.snapshot(0);
        let back =
            self.world.running().into_iter().filter(|i| {
                seen.members.get(&self.world.hosts[*i].name).is_some_and(|m| m.liveness == Liveness::Alive)
            });
        assert_eq!(back.count(), self.world.running().len(), "{}", self.world.picture());
        let living = |name: &&String| self.world.running().iter().any(|i| self.world.hosts[*i].name.as_str() == *name);
        assert_eq!(self.removed.iter().find(living), None, "it lives, and was removed");
    }
}

fn names(agents: impl Iterator<Item = usize>) -> BTreeSet<String> {
    agents.map(|i| format!("n{i}")).collect()
}

#[test]
fn a_balancer_without_gossip_changes_nothing_for_ten_minutes() {
    // In large clusters what is to be got wrong is so while their members are declared down, one after the other.
    for (agents, tens) in [(1, 60), (2, 60), (3, 60), (10, 60), (40, 2)] {
        let mut b = Balancer::with(agents);
        let before = b.live.clone();
        b.cut(1..=agents);
        for _ in 0..tens {
            b.run(secs(10));
            assert_eq!(b.live.endpoints().count(), agents, "one of {agents} is gone, {:?} after", b.world.now);
        }
        assert_eq!((&b.live, b.kept()), (&before, agents), "{agents}: {:?}", b.held);
        b.healed();
        assert_eq!((&b.removed[..], &b.drained[..]), (&[][..], &[][..] as &[String]), "{agents}, for a moment");
        assert_eq!((&b.live, b.kept(), b.flapping()), (&before, 0, vec![]), "{agents}");
    }
}

/// The first are back within a second of the heal, the last many seconds later, where nobody joins anew.
#[test]
fn nobody_goes_while_the_first_come_back() {
    for (agents, cut) in [(2, 2), (9, 9), (9, 6)] {
        for (seed, time) in (1..4).flat_map(|seed| [4, 12].map(|time| (seed, time))) {
            let mut b = Balancer::new(seed, agents);
            b.world.hosts.iter_mut().for_each(|host| host.joins.clear());
            b.cut(1..=cut);
            b.run(secs(time));
            b.healed();
            assert_eq!((b.ready().len(), b.kept()), (agents, 0), "{agents}, seed {seed}, {time} s");
            // Where another is heard it was not we who were cut off from the first who fell silent.
            assert!(cut < agents || b.drained.is_empty(), "{agents}, seed {seed}, {time} s: {:?}", b.drained);
        }
    }
}

/// Who died while it was out of reach, and whose host says nothing: known once the others had the time to return.
#[test]
fn who_died_behind_a_cut_goes_soon_after_the_heal() {
    for dead in [1, 4] {
        let mut b = Balancer::with(10);
        b.cut(1..=10);
        b.run(secs(5));
        b.die(1..=dead, false);
        b.run(secs(30));
        assert_eq!((b.ready().len(), b.kept()), (10, 10));
        b.world.network.heal();
        b.run(secs(15));
        assert_eq!((b.ready(), b.kept()), (names(dead + 1..11), 0), "{dead}");
    }
}

/// So many of ten die: which are out soon, and are any held?
fn check(dead: usize, host_stays: bool, held: bool) {
    let mut b = Balancer::with(10);
    let before = b.live.clone();
    b.die(1..=dead, host_stays);
    b.run(secs(12));
    if held {
        assert_eq!((&b.live, b.kept()), (&before, dead), "{dead}");
        b.run(secs(600));
        assert_eq!((&b.live, b.kept()), (&before, dead), "{dead}, ten minutes later");
    } else {
        assert_eq!((b.ready(), b.kept()), (names(dead + 1..11), 0), "{dead}");
    }
}

#[test]
fn agents_whose_hosts_refuse_are_out_however_many_they_are() {
    for dead in [1, 3, 6, 10] {
        check(dead, true, false);
    }
}

#[test]
fn hosts_that_fall_silent_are_out_while_most_answer_and_held_else() {
    for dead in [1, 3, 5] {
        check(dead, false, false);
    }
    for dead in [6, 10] {
        check(dead, false, true);
    }
}

#[test]
fn the_only_agent_that_crashes_is_out_and_its_silent_host_is_held() {
    for (host_stays, left) in [(true, 0), (false, 1)] {
        let mut b = Balancer::with(1);
        b.die(1..=1, host_stays);
        b.run(secs(12));
        assert_eq!((b.ready().len(), b.kept()), (left, left));
    }
}

/// Six of ten are out of reach; then some die on this side of the cut.
#[test]
fn deaths_on_this_side_of_a_cut() {
    for dead in [1, 2, 4] {
        let mut b = Balancer::with(10);
        b.cut(5..=10);
        b.run(secs(12));
        assert_eq!((b.ready().len(), b.kept()), (10, 6), "who is out of reach is held");
        b.die(1..=dead, true);
        b.run(secs(12));
        assert_eq!((b.ready(), b.kept()), (names(dead + 1..11), 6), "who refuses goes");
        b.healed();
        assert_eq!((b.ready(), b.kept(), b.flapping()), (names(dead + 1..11), 0, vec![]));
    }
}

/// Some of those out of reach die: nobody here can know, and nothing changes before the heal.
#[test]
fn deaths_on_that_side_of_a_cut() {
    for dead in [1, 2, 4, 6] {
        let mut b = Balancer::with(10);
        let before = b.live.clone();
        b.cut(5..=10);
        b.run(secs(5));
        b.die(5..5 + dead, true);
        b.run(secs(30));
        assert_eq!((&b.live, b.kept()), (&before, 6));
        b.healed();
        let living = names((1..5).chain(5 + dead..11));
        assert_eq!((b.ready(), b.kept(), b.flapping()), (living, 0, vec![]), "{dead}");
    }
}
