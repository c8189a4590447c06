//! A member that lives, whose services come and go, on a clock of seconds.

use std::time::Duration;

use crate::model::{
    EndpointId, Liveness, Member, Moment, RawOffer, RawRecord, Snapshot, State, Target, Verdict,
    flaps::{Flaps, KeptFlap},
};

const MOST: Duration = Duration::from_secs(300);

/// What is known of `n`, which offers `web` at 80 and 81 and `api` at 90.
#[derive(Default)]
struct Seen {
    flaps: Flaps,
    record: RawRecord,
    now: Moment,
}

impl Seen {
    /// All of it is up.
    fn new() -> Self {
        let mut seen = Self::default();
        let offer = |(name, port): (&str, u32)| RawOffer {
            name: name.into(),
            port,
            hosts: Vec::new(),
            path: None,
            weight: None,
            protocol: None,
            healthy: true,
        };
        seen.record.services = [("web", 80), ("web", 81), ("api", 90)].map(offer).into();
        seen.record.epoch = 1;
        seen.look();
        seen
    }

    fn look(&mut self) {
        let member = Member {
            name: "n".parse().unwrap(),
            epoch: 1,
            addr: "10.0.0.1:7946".parse().unwrap(),
            liveness: Liveness::Alive,
            verdict: Verdict::Unasked,
            since: Moment::ZERO,
            record: Some(self.record.clone()),
            refused: None,
        };
        let members = [(member.name.clone(), member)].into();
        let snapshot = Snapshot { source: "gossip".into(), synced: true, members, ..Snapshot::default() };
        self.flaps = self.flaps.seen(&[snapshot], MOST, self.now);
    }

    fn says(&mut self, port: u32, healthy: bool) {
        self.record.services.iter_mut().filter(|o| o.port == port).for_each(|o| o.healthy = healthy);
        self.look();
    }

    /// What is offered at this port goes and comes back, so many times at once.
    fn flap(&mut self, port: u32, times: usize) {
        for _ in 0..times {
            self.says(port, false);
            self.says(port, true);
        }
    }

    /// For how many seconds an endpoint of this service is held down.
    fn held(&self, service: &str) -> u64 {
        self.flaps.holds(&"n".parse().unwrap(), &id(service), self.now).map_or(0, |left| left.as_secs())
    }

    /// How often `web` came back.
    fn times(&self) -> u32 {
        let web = Target { node: "n".parse().unwrap(), service: Some("web".parse().unwrap()) };
        self.flaps.all.get(&web).map_or(0, |flap| flap.times)
    }
}

fn id(service: &str) -> EndpointId {
    EndpointId { service: service.parse().unwrap(), endpoint: "n".parse().unwrap() }
}

#[test]
fn three_crashes_of_a_service_are_forgiven_and_then_its_time_doubles() {
    let mut seen = Seen::new();
    let mut held = Vec::new();
    for nth in 1..=6 {
        seen.now = Duration::from_secs(nth);
        seen.flap(80, 1);
        held.push(seen.held("web"));
        assert_eq!(seen.held("api"), 0, "the other one stays");
    }
    assert_eq!(held, [0, 0, 0, 5, 10, 20]);
    let flapping = seen.flaps.report(seen.now).remove(0);
    assert_eq!((flapping.who().to_string(), flapping.how_often()), ("n/web".into(), "6 times in 5 s".into()));
    assert_eq!(seen.flaps.next(seen.now), Some(Duration::from_secs(20)));
    assert!(seen.flaps.release(&flapping.id, seen.now));
    assert_eq!(seen.held("web"), 0);
}

#[test]
fn a_service_at_two_ports_is_one() {
    let mut seen = Seen::new();
    for (port, healthy) in [(80, false), (81, false), (80, true), (81, true)] {
        seen.says(port, healthy);
    }
    assert_eq!(seen.times(), 1);
    seen.says(81, false);
    seen.says(81, true);
    assert_eq!(seen.times(), 2, "it is up only where it is so at each");
}

#[test]
fn what_was_not_up_before_does_not_come_back() {
    let mut seen = Seen::new();
    for epoch in 2..10 {
        seen.record.epoch = epoch;
        seen.flap(80, 1);
    }
    assert_eq!(seen.times(), 0, "each new life begins with a service that is not checked yet");
    let offers = std::mem::take(&mut seen.record.services);
    seen.look();
    seen.record.services = offers;
    seen.look();
    assert_eq!(seen.times(), 0, "another configuration");
}

#[test]
fn what_is_drained_by_hand_does_not_flap() {
    let mut seen = Seen::new();
    for _ in 0..50 {
        seen.record.by_hand.services.insert("web".into());
        seen.flap(80, 2);
        seen.says(80, false);
        seen.record.by_hand.services.clear();
        seen.look();
        seen.says(80, true);
    }
    assert_eq!(seen.times(), 0);
    seen.says(80, false);
    seen.record.by_hand.services.insert("web".into());
    seen.look();
    seen.record.by_hand.services.clear();
    seen.says(80, true);
    assert_eq!(seen.times(), 0, "nor what is repaired by hand");
}

#[test]
fn what_goes_with_a_goodbye_weighs_a_tenth() {
    let mut seen = Seen::new();
    let mut restart = || {
        seen.record.state = State::Draining;
        seen.says(80, false);
        seen.record.state = State::Serving;
        seen.says(80, true);
        seen.held("web") > 0
    };
    assert_eq!((1..=100).find(|_| restart()), Some(40));
}

#[test]
fn what_is_remembered_of_a_member_is_bounded() {
    let mut seen = Seen::new();
    for nth in 0..200 {
        seen.record.services[0].name = format!("s{nth}");
        seen.look();
        seen.flap(80, 1);
    }
    assert!(seen.flaps.all.len() <= 65, "{}", seen.flaps.all.len());
}

#[test]
fn what_is_kept_of_a_service_counts_on_in_another_life() {
    let mut seen = Seen::new();
    seen.flap(80, 5);
    let text = serde_json::to_string(&seen.flaps.kept(seen.now)).unwrap();
    seen.flaps = Flaps::recalled(serde_json::from_str(&text).unwrap(), Duration::from_secs(3), seen.now);
    assert_eq!((seen.held("web"), seen.held("api")), (7, 0), "{text}");
    let old: Vec<KeptFlap> = serde_json::from_str(r#"[{"node":"n","level":1,"left_ms":5000}]"#).unwrap();
    seen.flaps = Flaps::recalled(old, Duration::ZERO, seen.now);
    assert_eq!((seen.held("web"), seen.held("api")), (5, 5), "a file of before knows members only");
}

/// Let in for the service's sake, it is not kept out for the member's.
#[test]
fn who_is_needed_is_let_in_for_both_sakes() {
    let mut seen = Seen::new();
    seen.flap(80, 4);
    let node = "n".parse().unwrap();
    seen.flaps.came_back(Target { node: "n".parse().unwrap(), service: None }, 100, MOST, seen.now);
    seen.flaps.note(&node, &id("web"), false, seen.now);
    assert_eq!((seen.held("web"), seen.held("api")), (0, 5));
    assert!(seen.flaps.report(seen.now).iter().all(|f| f.let_in));
}
