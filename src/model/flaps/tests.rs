//! Lives that come and go, on a clock of seconds.

use super::{
    damping::{CRASH, GRACEFUL},
    *,
};
use crate::model::{Kind, Liveness, RawRecord, State, Verdict};

const MOST: Duration = Duration::from_secs(300);

fn secs(n: u64) -> Moment {
    Duration::from_secs(n)
}

fn n() -> Target {
    Target { node: "n".parse().unwrap(), service: None }
}

/// A cluster of one member, `n`, and what is known of its flaps.
#[derive(Default)]
struct Seen {
    flaps: Flaps,
    epoch: u64,
    now: Moment,
}

impl Seen {
    /// One that serves at 0 s.
    fn new() -> Self {
        let mut seen = Self { epoch: 1, ..Self::default() };
        seen.look(Liveness::Alive, State::Serving);
        seen
    }

    fn member(&self, liveness: Liveness, said: (u64, State)) -> Member {
        let record = RawRecord { node: "n".into(), epoch: said.0, state: said.1, ..RawRecord::default() };
        Member {
            name: "n".parse().unwrap(),
            epoch: self.epoch,
            addr: "10.0.0.1:7946".parse().unwrap(),
            liveness,
            verdict: Verdict::Unasked,
            since: Moment::ZERO,
            record: Some(record),
            refused: None,
        }
    }

    fn look(&mut self, liveness: Liveness, state: State) {
        self.look_at(self.member(liveness, (self.epoch, state)));
    }

    fn look_at(&mut self, member: Member) {
        let members = [(member.name.clone(), member)].into();
        let snapshot = Snapshot { source: "gossip".into(), synced: true, members, ..Snapshot::default() };
        self.flaps = self.flaps.seen(&[snapshot], MOST, self.now);
    }

    fn crash(&mut self) {
        self.look(Liveness::Failed, State::Serving);
        self.epoch += 1;
        self.look(Liveness::Alive, State::Serving);
    }

    fn restart(&mut self) {
        self.look(Liveness::Alive, State::Draining);
        self.look(Liveness::Left, State::Left);
        self.epoch += 1;
        self.look(Liveness::Alive, State::Serving);
    }

    /// For how many seconds it is held down.
    fn held(&self) -> u64 {
        self.flaps.report(self.now).first().map_or(0, |f| f.left.as_secs())
    }

    fn at(&mut self, now: u64) -> &mut Self {
        self.now = secs(now);
        self
    }
}

#[test]
fn three_crashes_are_forgiven_and_then_the_time_doubles() {
    let mut seen = Seen::new();
    let mut held = Vec::new();
    for nth in 1..=12 {
        seen.at(nth).crash();
        held.push(seen.held());
    }
    assert_eq!(held, [0, 0, 0, 5, 10, 20, 40, 80, 160, 300, 300, 300]);
    let flapping = seen.flaps.report(secs(13)).remove(0);
    assert_eq!((flapping.times, flapping.within, flapping.left), (12, secs(12), secs(299)));
    assert_eq!((seen.flaps.next(secs(13)), seen.flaps.next(secs(312))), (Some(secs(299)), None));
}

#[test]
fn a_crash_now_and_then_is_no_flapping() {
    let mut seen = Seen::new();
    for nth in 1..100 {
        seen.at(nth * 41).crash();
        assert_eq!(seen.held(), 0, "three in two minutes");
    }
    seen.at(99 * 41 + 1).crash();
    assert_eq!(seen.held(), 5);
}

/// A rolling restart each 10 s, for hours.
#[test]
fn deployments_are_no_flapping_unless_there_is_no_end_of_them() {
    let mut seen = Seen::new();
    for nth in 1..1000 {
        seen.at(nth * 10).restart();
        assert_eq!(seen.held(), 0);
    }
    let mut seen = Seen::new();
    let held = |seen: &mut Seen, nth: u64| {
        seen.at(nth * 2).restart();
        seen.held()
    };
    let first = (1..=100).find(|nth| held(&mut seen, *nth) > 0);
    assert_eq!(first, Some(40), "forty in two minutes are");
}

#[test]
fn quiet_time_takes_it_back() {
    let after = |quiet: u64| {
        let mut seen = Seen::new();
        (1..=6).for_each(|_| seen.at(1).crash());
        assert_eq!(seen.held(), 20);
        seen.at(21 + quiet).crash();
        seen.held()
    };
    assert_eq!([0, 119, 120, 240, 359].map(after), [40, 40, 20, 10, 10]);
    assert_eq!(after(360), 0, "as if nothing had been");
    let mut seen = Seen::new();
    (1..=6).for_each(|_| seen.at(1).crash());
    seen.at(21 + 360).look(Liveness::Alive, State::Serving);
    assert!(seen.flaps.all.is_empty(), "and forgotten");
}

#[test]
fn only_who_comes_back_comes_back() {
    let mut seen = Seen::new();
    let quiet = seen.flaps.clone();
    for liveness in [Liveness::Alive, Liveness::Suspect, Liveness::Alive] {
        seen.at(1).look(liveness, State::Serving);
        assert_eq!(seen.flaps, quiet, "a suspicion is none");
    }
    seen.look(Liveness::Alive, State::Draining);
    seen.look(Liveness::Alive, State::Serving);
    assert_eq!(seen.flaps, quiet, "nor is a drain taken back");
    // Down and up within one life counts, as a source may say so without lives.
    seen.look(Liveness::Failed, State::Serving);
    assert_ne!(seen.flaps, quiet);
    seen.look(Liveness::Alive, State::Serving);
    assert_eq!(seen.flaps.all[&n()].times, 1);
    seen.look(Liveness::Alive, State::Serving);
    assert_eq!(seen.flaps.all[&n()].times, 1, "once");
}

/// No look fell into the time between: the new life is known, and the old one's last word.
#[test]
fn what_happened_between_two_looks_is_made_out() {
    let weighs = |said: State| {
        let mut seen = Seen::new();
        seen.epoch = 2;
        seen.look_at(seen.member(Liveness::Alive, (1, said)));
        seen.flaps.all[&n()].returns[0].1
    };
    assert_eq!([State::Serving, State::Draining, State::Left].map(weighs), [CRASH, GRACEFUL, GRACEFUL]);
}

#[test]
fn the_return_after_a_cut_weighs_little() {
    let mut seen = Seen::new();
    for nth in 1..30 {
        seen.at(nth).look(Liveness::Failed, State::Serving);
        seen.flaps.excuse(&["n".parse().unwrap()].into());
        seen.look(Liveness::Failed, State::Serving);
        seen.epoch += 1;
        seen.look(Liveness::Alive, State::Serving);
        assert_eq!(seen.held(), 0);
    }
}

#[test]
fn a_release_lets_in_until_the_next_time() {
    let mut seen = Seen::new();
    (1..=4).for_each(|_| seen.at(1).crash());
    let id = seen.flaps.report(seen.now)[0].id.clone();
    assert!(id.starts_with('f') && id.len() == 5, "{id}");
    assert!(!seen.flaps.release("f", seen.now), "another id");
    assert!(seen.flaps.release(&id, seen.now));
    assert_eq!(seen.held(), 0);
    assert!(!seen.flaps.release(&id, seen.now), "not twice");
    seen.at(2).crash();
    assert_eq!(seen.held(), 10, "what was before counts on");
}

#[test]
fn balancers_and_newcomers_are_not_looked_at_and_zero_means_never() {
    let mut seen = Seen::new();
    for _ in 0..10 {
        seen.epoch += 1;
        let mut balancer = seen.member(Liveness::Alive, (seen.epoch, State::Serving));
        balancer.record.as_mut().unwrap().kind = Kind::Balancer;
        seen.look_at(balancer);
    }
    assert_eq!(seen.flaps, Flaps::default());
    let mut seen = Seen::new();
    for epoch in 2..20 {
        seen.epoch = epoch;
        let member = seen.member(Liveness::Alive, (epoch, State::Serving));
        let members = [(member.name.clone(), member)].into();
        let snapshot = Snapshot { source: "gossip".into(), synced: true, members, ..Snapshot::default() };
        seen.flaps = seen.flaps.seen(&[snapshot], Duration::ZERO, seen.now);
    }
    assert_eq!(seen.held(), 0);
}

/// Over a restart of the balancer, which takes 7 s.
#[test]
fn what_is_kept_counts_on_in_another_life() {
    let mut seen = Seen::new();
    (1..=6).for_each(|_| seen.at(100).crash());
    seen.at(103);
    let text = serde_json::to_string(&seen.flaps.kept(seen.now)).unwrap();
    let kept = serde_json::from_str(&text).unwrap();
    (seen.flaps, seen.now) = (Flaps::recalled(kept, secs(7), secs(2)), secs(2));
    let flapping = seen.flaps.report(seen.now).remove(0);
    assert_eq!((flapping.times, flapping.within, flapping.left), (6, secs(10), secs(10)), "{text}");
    seen.look(Liveness::Alive, State::Serving);
    seen.crash();
    assert_eq!(seen.held(), 40);
    let hostile: Vec<KeptFlap> = serde_json::from_str(r#"[{"node":"n","level":1,"left_ms":999999999999}]"#).unwrap();
    assert_eq!(Flaps::recalled(hostile, secs(0), secs(2)).report(secs(2))[0].left, secs(10));
}
