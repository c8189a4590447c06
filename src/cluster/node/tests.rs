//! One node by itself: what it makes of single inputs. Clusters are simulated in `integration/simulator`.

mod doubts;
mod moves;

use std::time::Duration;

use foca::{Member, State};

use super::{packet::write, *};
use crate::{
    cluster::{exchange::Exchange, message, profile::Profile},
    model::{Kind, State as RecordState},
};

fn id(name: &str, epoch: u64) -> Identity {
    let host = name.bytes().map(u32::from).sum::<u32>() % 250 + 1;
    Identity::new(name.parse().unwrap(), epoch, format!("10.0.0.{host}:7946").parse().unwrap())
}

/// A node on a clock that stands still, unless it is told otherwise.
struct Lone {
    node: Node,
    now: Moment,
}

impl Lone {
    fn new(kind: Kind) -> Self {
        Self::with(kind, false)
    }

    fn with(kind: Kind, joins: bool) -> Self {
        Self::begin(kind, joins, Profile::LAN)
    }

    fn profiled(kind: Kind, profile: Profile) -> Self {
        Self::begin(kind, false, profile)
    }

    fn begin(kind: Kind, joins: bool, profile: Profile) -> Self {
        let config = NodeConfig {
            identity: id("me", 1000),
            profile,
            record: RawRecord { kind, ..RawRecord::default() },
            joins,
            max_payload: 1331,
            cures: Cures::default(),
        };
        Self { node: Node::new(config, StdRng::seed_from_u64(1), Moment::ZERO).unwrap(), now: Moment::ZERO }
    }

    fn input(&mut self, input: Input<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.node.handle(self.now, input, &mut effects);
        effects
    }

    fn message(&mut self, from: &Identity, message: &Message<'_>) -> Vec<Effect> {
        self.input(Input::Datagram { from: from.addr(), payload: &message.encode() })
    }

    /// A packet of foca's from `from` to `to`.
    fn packet(&mut self, from: &Identity, to: &Identity, says: &[Member<Identity>]) -> Vec<Effect> {
        let message = foca::Message::Gossip;
        let header = foca::Header { src: from.clone(), src_incarnation: 0, dst: to.clone(), message };
        self.message(from, &Message::Foca(&write(&header, says)))
    }

    fn at(&mut self, now: Moment) -> Vec<Effect> {
        self.now = now;
        let mut effects = Vec::new();
        self.node.tick(now, &mut effects);
        effects
    }

    fn liveness(&self, name: &str) -> Option<Liveness> {
        self.node.known(&name.parse().unwrap()).map(|known| known.liveness)
    }
}

#[test]
fn members_are_bounded() {
    let mut lone = Lone::new(Kind::Agent);
    let forged = |nth: usize| Member::alive(id(&format!("forged{nth}"), 1));
    for nth in 0..15 {
        lone.packet(forged(nth).id(), &id("me", 1000), &[]);
    }
    let all: Vec<_> = (0..50).map(forged).collect();
    lone.packet(all[0].id(), &id("me", 1000), &all);
    let told = Exchange { from: all[0].id().clone(), members: all.clone(), ..lone.node.open_exchange() };
    lone.input(Input::Exchange(&told));
    lone.packet(all[49].id(), &id("me", 1000), &[]);
    assert_eq!(lone.node.snapshot().members.len(), 21);
    assert_eq!(lone.node.refused()["too many members"], 30 + 30 + 1);
}

#[test]
fn only_who_is_asked_answers() {
    let mut lone = Lone::new(Kind::Agent);
    let (me, asker) = (id("me", 1000), id("lb", 1));
    let mut ask = |to: Identity| {
        let effects = lone.message(&asker, &Message::Ping(message::Ping { to, token: 7 }));
        effects.iter().any(|effect| matches!(effect, Effect::Send { to, .. } if *to == asker.addr()))
    };
    assert!(ask(me.clone()));
    assert!(ask(id("me", 500)), "an earlier life is answered for by the later one, under its own name");
    assert!(!ask(id("other", 1000)));
}

/// The pong of a later life is no answer of the one that was asked.
#[test]
fn another_life_is_no_answer() {
    let mut lone = Lone::new(Kind::Balancer);
    let (me, web) = (id("me", 1000), id("web", 1000));
    let effects = lone.packet(&id("a", 1), &me, &[Member::new(web.clone(), 0, State::Suspect)]);
    let token = effects.iter().find_map(|effect| match effect {
        Effect::Send { to, payload } if *to == web.addr() => match Message::decode(payload) {
            Ok(Message::Ping(ping)) => Some(ping.token),
            _ => None,
        },
        _ => None,
    });
    let token = token.expect("a suspect is asked");
    let verdict = |lone: &Lone| lone.node.snapshot().members[&"web".parse().unwrap()].verdict;
    for (from, token) in [(id("web", 2000), token), (web.clone(), token ^ 1), (id("other", 1), token)] {
        lone.message(&from, &Message::Pong(message::Pong { from: from.clone(), token }));
        assert_eq!(verdict(&lone), Verdict::Unasked, "{from}");
    }
    lone.message(&web, &Message::Pong(message::Pong { from: web.clone(), token }));
    assert_eq!(verdict(&lone), Verdict::Answered);
}

#[test]
fn a_leaver_takes_nothing_in() {
    let mut lone = Lone::new(Kind::Agent);
    let (me, a) = (id("me", 1000), id("a", 1));
    lone.packet(&a, &me, &[]);
    lone.input(Input::Leave);
    let told = Exchange { from: id("b", 1), ..lone.node.open_exchange() };
    lone.input(Input::Exchange(&told));
    lone.packet(&id("c", 1), &me, &[]);
    assert_eq!((lone.liveness("a"), lone.liveness("b"), lone.liveness("c")), (Some(Liveness::Alive), None, None));
    let effects: Vec<_> = (1..20).flat_map(|nth| lone.at(Duration::from_millis(nth * 50))).collect();
    assert_eq!(effects.iter().filter(|effect| **effect == Effect::Left).count(), 1);
    assert_eq!(lone.node.next_deadline(), None);
    assert_eq!(lone.node.record().state, RecordState::Left);
}

#[test]
fn an_earlier_life_of_ours_is_answered_for() {
    let mut lone = Lone::new(Kind::Balancer);
    let effects = lone.packet(&id("a", 1), &id("me", 999), &[]);
    assert_eq!(lone.liveness("a"), Some(Liveness::Alive));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Send { to, .. } if *to == id("a", 1).addr())));
    lone.packet(&id("b", 1), &id("other", 1), &[]);
    assert_eq!(lone.liveness("b"), None, "a packet for another node");
}

/// What was sent to `to`, as messages.
fn sent(effects: &[Effect], to: &Identity) -> Vec<Bytes> {
    let to_it = |effect: &Effect| match effect {
        Effect::Send { to: addr, payload } if *addr == to.addr() => Some(payload.clone()),
        _ => None,
    };
    effects.iter().filter_map(to_it).collect()
}

/// One that never heard of it would be a suspect for ever.
#[test]
fn a_suspect_is_told_in_the_end() {
    let mut lone = Lone::new(Kind::Agent);
    let (a, b) = (id("a", 1), id("b", 1));
    lone.packet(&a, &id("me", 1000), &[Member::new(b.clone(), 0, State::Suspect)]);
    let told = |effects: &[Effect]| {
        sent(effects, &b).iter().any(|payload| match Message::decode(payload) {
            // foca counts its own probes from 1.
            Ok(Message::Foca(bytes)) => packet::Packet::parse(bytes).unwrap().header.message == foca::Message::Ping(0),
            _ => false,
        })
    };
    // One and a half times the suspicion of three.
    assert!(!told(&lone.at(Duration::from_millis(4400))), "while it may refute by itself");
    assert!(told(&lone.at(Duration::from_millis(4600))));
}

/// One that answers neither the balancer nor those who ask for it; once, there is one who had an answer.
#[test]
fn who_answers_nobody_is_suspected() {
    for vouched in [false, true] {
        // So rare are foca's own probes that this is the balancer's doing.
        let mut lone =
            Lone::profiled(Kind::Balancer, Profile { probe_period: Duration::from_secs(10), ..Profile::LAN });
        let (me, web, helper) = (id("me", 1000), id("web", 1000), id("helper", 1));
        lone.packet(&helper, &me, &[Member::alive(web.clone())]);
        let mut asked = 0;
        for step in 1..=800 {
            let effects = lone.at(Duration::from_millis(step * 20));
            for payload in sent(&effects, &helper) {
                match Message::decode(&payload) {
                    Ok(Message::Ping(message::Ping { token, .. })) => {
                        let pong = Message::Pong(message::Pong { from: helper.clone(), token });
                        lone.message(&helper, &pong);
                    }
                    Ok(Message::Foca(bytes)) => {
                        let header = packet::Packet::parse(bytes).unwrap().header;
                        let foca::Message::PingReq { target, probe_number: 0 } = header.message else { continue };
                        assert_eq!(target, web);
                        asked += 1;
                        if vouched {
                            let message = foca::Message::ForwardedAck { origin: web.clone(), probe_number: 0 };
                            let header =
                                foca::Header { src: helper.clone(), src_incarnation: 0, dst: me.clone(), message };
                            lone.message(&helper, &Message::Foca(&write(&header, &[])));
                        }
                    }
                    _ => {}
                }
            }
        }
        let seen = lone.node.snapshot().members[web.name()].clone();
        let expected = if vouched { (Liveness::Alive, Verdict::Unasked) } else { (Liveness::Suspect, Verdict::Silent) };
        assert_eq!((seen.liveness, seen.verdict), expected);
        assert!(asked > 0, "nobody was asked");
    }
}

/// One that answers though it was declared down does not know of it.
#[test]
fn one_that_failed_and_answers_is_greeted() {
    let mut lone = Lone::new(Kind::Balancer);
    let (web, helper, me) = (id("web", 1), id("helper", 1), id("me", 1000));
    lone.packet(&web, &me, &[]);
    let mut effects = lone.packet(&helper, &me, &[Member::new(web.clone(), 0, State::Down)]);
    effects.extend(lone.at(Duration::from_millis(20)));
    assert_eq!(lone.liveness("web"), Some(Liveness::Failed));
    let token = |payload: &Bytes| match Message::decode(payload) {
        Ok(Message::Ping(ping)) => Some(ping.token),
        _ => None,
    };
    let token = sent(&effects, &web).iter().find_map(token).expect("it is asked");
    let effects = lone.message(&web, &Message::Pong(message::Pong { from: web.clone(), token }));
    let greets = |payload: &Bytes| match Message::decode(payload) {
        Ok(Message::Foca(bytes)) => packet::Packet::parse(bytes).unwrap().header.message == foca::Message::Announce,
        _ => false,
    };
    assert!(sent(&effects, &web).iter().any(greets));
}

#[test]
fn a_balancer_is_told_until_it_acknowledges() {
    for acknowledges in [false, true] {
        let mut lone = Lone::new(Kind::Agent);
        let lb = id("lb", 1);
        let record =
            RawRecord { node: "lb".into(), epoch: 1, version: 1, kind: Kind::Balancer, ..RawRecord::default() };
        let bytes = records::encode(&record).unwrap();
        let push = message::Push { from: lb.clone(), record: bytes.as_slice().into() };
        let pushes = |effects: &[Effect]| {
            sent(effects, &lb).iter().filter(|p| matches!(Message::decode(p), Ok(Message::Push(_)))).count()
        };
        assert_eq!(pushes(&lone.message(&lb, &Message::Push(push))), 1, "once it is known to be one");
        if acknowledges {
            let id = message::RecordId { node: "me".into(), epoch: 1000, version: 1 };
            lone.message(&lb, &Message::Ack(message::Ack { from: lb.clone(), id }));
        }
        let later = [49, 51, 151, 351, 1000].map(|ms| pushes(&lone.at(Duration::from_millis(ms))));
        assert_eq!(later, if acknowledges { [0; 5] } else { [0, 1, 1, 1, 0] });
    }
}

/// An opening brings only its sender's record.
#[test]
fn an_opening_does_not_make_synced() {
    let mut lone = Lone::with(Kind::Balancer, true);
    let other = Lone::new(Kind::Agent).node;
    let opening = Exchange { from: id("a", 1), ..other.open_exchange() };
    lone.input(Input::Exchange(&opening));
    assert!(!lone.node.snapshot().synced);
    lone.input(Input::Exchange(&Exchange { complete: true, ..opening }));
    assert!(lone.node.snapshot().synced);
}

/// Hearsay of a failure is a suspicion: the other may be the one that was cut off.
#[test]
fn what_others_say_is_down_is_suspected() {
    let mut lone = Lone::new(Kind::Agent);
    let (me, a, b) = (id("me", 1000), id("a", 1), id("b", 1));
    lone.packet(&a, &me, &[Member::alive(b.clone())]);
    let members = vec![Member::down(b), Member::down(id("stranger", 1))];
    let told = Exchange { from: a, members, ..lone.node.open_exchange() };
    lone.input(Input::Exchange(&told));
    assert_eq!((lone.liveness("b"), lone.liveness("stranger")), (Some(Liveness::Suspect), None));
}

/// The record of `web` in this version, and what `me` says of it.
mod bad_records {
    use std::net::SocketAddr;

    use super::*;

    const GARBAGE: &[u8] = b"\xff\xff garbage";

    fn web() -> Identity {
        id("web", 1000)
    }

    fn record(node: &str, epoch: u64, version: u64) -> Bytes {
        let record = RawRecord { node: node.into(), epoch, version, ..RawRecord::default() };
        records::encode(&record).unwrap().into()
    }

    /// The same, cut off in the middle: who, and how new it is, can be made out.
    fn cut(node: &str, epoch: u64, version: u64) -> Bytes {
        let whole = record(node, epoch, version);
        whole.slice(..whole.len() - 3)
    }

    fn push(lone: &mut Lone, source: SocketAddr, from: &Identity, record: &[u8]) {
        let push = Message::Push(message::Push { from: from.clone(), record: record.into() });
        lone.input(Input::Datagram { from: source, payload: &push.encode() });
    }

    fn told(lone: &mut Lone, from: &Identity, record: Bytes) {
        let told =
            Exchange { from: from.clone(), members: Vec::new(), records: vec![record], ..lone.node.open_exchange() };
        lone.input(Input::Exchange(&told));
    }

    fn refused(lone: &Lone, name: &str) -> Option<String> {
        lone.node.snapshot().members.get(&name.parse().unwrap()).and_then(|member| member.refused.clone())
    }

    /// A node that has the fifth record of `web`.
    fn lone() -> Lone {
        let mut lone = Lone::new(Kind::Balancer);
        push(&mut lone, web().addr(), &web(), &record("web", 1000, 5));
        assert_eq!(refused(&lone, "web"), None);
        lone
    }

    #[test]
    fn are_told_until_a_better_one_comes() {
        let mut lone = lone();
        push(&mut lone, web().addr(), &web(), GARBAGE);
        assert!(refused(&lone, "web").unwrap().starts_with("malformed"), "{:?}", refused(&lone, "web"));
        let kept = lone.node.snapshot().members[web().name()].record.clone();
        assert_eq!(kept.unwrap().version, 5, "what it said before holds on");
        push(&mut lone, web().addr(), &web(), &record("web", 1000, 4));
        assert!(refused(&lone, "web").is_some(), "an older one is no better");
        push(&mut lone, web().addr(), &web(), &record("web", 1000, 6));
        assert_eq!(refused(&lone, "web"), None);
        told(&mut lone, &web(), Bytes::from(vec![0xa1; 5000]));
        assert_eq!(refused(&lone, "web").unwrap(), "5000 bytes: at most 4096");
        // Another life begins with a clean slate.
        lone.packet(&id("web", 2000), &id("me", 1000), &[]);
        assert_eq!(refused(&lone, "web"), None);
    }

    #[test]
    fn the_same_again_is_no_change() {
        let mut lone = lone();
        push(&mut lone, web().addr(), &web(), GARBAGE);
        let push = Message::Push(message::Push { from: web(), record: GARBAGE.into() }).encode();
        let effects = lone.input(Input::Datagram { from: web().addr(), payload: &push });
        assert!(!effects.contains(&Effect::Changed), "{effects:?}");
    }

    #[test]
    fn nobody_is_blamed_from_elsewhere() {
        let mut lone = lone();
        let elsewhere = SocketAddr::from(([10, 9, 9, 9], 7946));
        push(&mut lone, elsewhere, &web(), GARBAGE);
        push(&mut lone, web().addr(), &id("web", 2000), GARBAGE);
        push(&mut lone, web().addr(), &web(), &cut("me", 1000, 9));
        push(&mut lone, id("ghost", 1).addr(), &id("ghost", 1), GARBAGE);
        told(&mut lone, &id("other", 1), cut("ghost", 1, 1));
        assert_eq!(refused(&lone, "ghost"), None, "nor is one made up");
        // Of a life that is not known, or older than what is here: no news, whoever tells it.
        for stale in [cut("web", 1000, 5), cut("web", 1001, 9)] {
            told(&mut lone, &id("other", 1), stale);
        }
        assert_eq!(refused(&lone, "web"), None);
        assert_eq!(lone.node.refused()["malformed record"], 4 + 1 + 2, "counted all the same");
    }

    #[test]
    fn who_tells_it_of_another_is_named() {
        let mut lone = lone();
        told(&mut lone, &id("other", 1), cut("web", 1000, 6));
        let why = refused(&lone, "web").unwrap();
        assert!(why.starts_with("malformed") && why.ends_with("(as other tells it)"), "{why}");
        assert_eq!(refused(&lone, "other"), None);
        // One that says not even whose it is falls on its teller.
        told(&mut lone, &id("other", 1), Bytes::from_static(GARBAGE));
        assert!(refused(&lone, "other").is_some());
        assert!(why.chars().count() < 200);
    }
}

/// Whatever comes, nothing breaks.
mod any_input {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_survived(datagrams in proptest::collection::vec((0_u8..8, proptest::collection::vec(any::<u8>(), 0..120)), 0..40)) {
            let mut lone = Lone::new(Kind::Balancer);
            for (nth, (tag, mut bytes)) in datagrams.into_iter().enumerate() {
                bytes.insert(0, tag);
                lone.input(Input::Datagram { from: id("x", 1).addr(), payload: &bytes });
                lone.at(Duration::from_millis(100 * nth as u64));
            }
            prop_assert_eq!(lone.liveness("me"), Some(Liveness::Alive));
        }
    }
}
