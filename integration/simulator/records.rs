//! Records reach everybody who should have them, and nothing else passes for one.

use backchat::{
    cluster::{
        exchange::Exchange,
        identity::Identity,
        message::{Announce, Message, Push, RecordId},
        node::Input,
        records,
    },
    model::{Kind, RawRecord, Snapshot},
};
use bytes::Bytes;

use super::{
    host::{record, record_of},
    world::{World, ms, secs},
};

/// Whether `i` has the newest record of `j`.
fn has(world: &World, i: usize, j: usize) -> bool {
    let name = world.node(j).identity().name().clone();
    let record = |k| world.snapshot(k).members.get(&name).and_then(|member| member.record.clone());
    record(i) == record(j)
}

fn all_have(world: &World, j: usize) -> bool {
    world.running().into_iter().all(|i| has(world, i, j))
}

#[test]
fn a_change_reaches_the_balancer_at_once_and_all_soon() {
    for loss in [0.0, 0.2] {
        let mut world = World::with(1, 30, |world| world.network.loss = loss);
        world.until(secs(10), World::converged);
        world.input(5, Input::Record(record(Kind::Agent, 9090)));
        let direct = world.until(ms(400), |w| has(w, 0, 5));
        let all = world.until(secs(3), |w| all_have(w, 5));
        println!("loss {loss}: a record at the balancer after {direct:?}, everywhere {all:?} later");
        assert!(loss > 0.0 || direct <= ms(10), "{direct:?}");
    }
}

#[test]
fn the_same_again_is_no_change() {
    let mut world = World::cluster(1, 2);
    world.until(secs(5), World::converged);
    let packets = world.packets;
    let version = |w: &World| w.snapshot(1).members[&w.hosts[1].name].record.as_ref().unwrap().version;
    let before = version(&world);
    world.input(1, Input::Record(record(Kind::Agent, 8080)));
    assert_eq!((world.packets, version(&world)), (packets, before));
}

#[test]
fn records_of_every_size_reach_all() {
    for size in [200, 1000, 1024, 1100, 1300, 1390, 2000, 4000] {
        let mut world = World::with(1, 10, |world| world.profile.exchange_period = secs(10_000));
        world.until(secs(5), World::converged);
        world.input(5, Input::Record(record_of(size)));
        let direct = world.until(ms(100), |w| has(w, 0, 5));
        let all = world.until(secs(4), |w| all_have(w, 5));
        println!("{size} B: at the balancer after {direct:?}, everywhere {all:?} later");
    }
}

#[test]
fn a_record_that_is_too_long_is_not_told() {
    let mut world = World::cluster(1, 2);
    world.until(secs(5), World::converged);
    world.input(1, Input::Record(record_of(5000)));
    world.run(secs(1));
    assert!(world.converged());
    assert_eq!(world.node(1).refused()["own record too long"], 1);
}

#[test]
fn who_comes_late_has_all_records() {
    let mut world = World::cluster(1, 20);
    world.until(secs(5), World::converged);
    world.input(5, Input::Record(record_of(3000)));
    world.run(secs(60));
    let late = world.host("late", Kind::Balancer);
    world.start(late, 1000);
    let took = world.until(ms(200), |w| (0..20).all(|j| has(w, late, j)));
    println!("late, and all records after {took:?}");
    world.until(secs(2), World::converged);
}

/// A field of a later version goes through a node that does not know it.
#[test]
fn unknown_fields_are_handed_on() {
    let mut world = World::cluster(1, 3);
    world.until(secs(5), World::converged);
    let from = Identity::new("n9".parse().unwrap(), 1000, "10.9.9.9:7946".parse().unwrap());
    // A record of name, epoch, version, and field 99: "later".
    let mut bytes = vec![0xA4, 0, 0x62, b'n', b'9', 1, 0x19, 0x03, 0xE8, 2, 5, 0x18, 99, 0x65];
    bytes.extend_from_slice(b"later");
    let push = Message::Push(Push { from: from.clone(), record: bytes.as_slice().into() }).encode();
    world.input(0, Input::Datagram { from: from.addr(), payload: &push });
    world.until(secs(2), |w| w.snapshot(2).members.get(from.name()).is_some_and(|m| m.record.is_some()));
    let blank =
        Exchange { records: Vec::new(), ages: std::collections::BTreeMap::new(), ..world.node(2).open_exchange() };
    assert!(world.node(2).answer_exchange(&blank).records.contains(&Bytes::from(bytes)));
}

#[test]
fn hostile_records_are_counted_and_change_nothing() {
    let mut world = World::cluster(1, 3);
    world.until(secs(5), World::converged);
    let n1 = world.node(1).identity().clone();
    let of = |node: &str, epoch, version| RawRecord { node: node.into(), epoch, version, ..record(Kind::Agent, 666) };
    let encoded = |record: &RawRecord| records::encode(record).unwrap();
    let push =
        |from: &Identity, record: &[u8]| Message::Push(Push { from: from.clone(), record: record.into() }).encode();

    let long = vec![0; 5000];
    let stranger = Identity::new("evil".parse().unwrap(), 1, n1.addr());
    let cases = [
        (push(&n1, &long), "record too long"),
        (push(&n1, b"\xff\xff garbage"), "malformed record"),
        (push(&n1, b""), "malformed record"),
        (push(&n1, &encoded(&of("n2", 1000, 99))), "record of another node"),
        (push(&n1, &encoded(&of("n1", 9999, 99))), "record of another node"),
        (push(&n1, &encoded(&of("a;b\n", 1000, 99))), "record of nobody"),
        (push(&stranger, &encoded(&of("n1", 1000, 99))), "record of another node"),
        (announce(&n1, "n2", 1000), "record of another node"),
        (Bytes::from_static(b"\x01\xff"), "malformed message"),
        (Bytes::from_static(b""), "malformed message"),
        (Bytes::from_static(b"\xee"), "unknown message"),
        (Bytes::from_static(b"\x00"), "malformed packet"),
        (Bytes::from_static(b"\x00garbage garbage garbage"), "malformed packet"),
    ];
    for (payload, reason) in cases {
        let before = (world.snapshot(0), world.node(0).refused().get(reason).copied().unwrap_or_default());
        world.input(0, Input::Datagram { from: n1.addr(), payload: &payload });
        let after = (world.snapshot(0), world.node(0).refused().get(reason).copied().unwrap_or_default());
        assert_eq!(
            (but_for_refusals(after.0), after.1),
            (but_for_refusals(before.0), before.1 + 1),
            "{reason}: {payload:?}"
        );
    }
    world.run(secs(5));
    assert!(world.converged(), "{}", world.picture());
}

/// What is known, without what is told of bad records: see `a_bad_record_is_told_of_its_member`.
fn but_for_refusals(mut snapshot: Snapshot) -> Snapshot {
    snapshot.members.values_mut().for_each(|member| member.refused = None);
    snapshot
}

fn announce(from: &Identity, node: &str, epoch: u64) -> Bytes {
    Message::Announce(Announce { from: from.clone(), id: RecordId { node: node.into(), epoch, version: 99 } }).encode()
}

/// Records that come by exchange: of members in known lives only, whatever the peer says.
#[test]
fn exchanged_records_of_strangers_are_refused() {
    let mut world = World::cluster(1, 3);
    world.until(secs(5), World::converged);
    let before = world.snapshot(0);
    let of = |node: &str, epoch, version| RawRecord { node: node.into(), epoch, version, ..record(Kind::Agent, 666) };
    let records = [of("ghost", 1, 1), of("n2", 9999, 1), of("n1", 1000, 0)];
    let records: Vec<Bytes> = records.iter().map(|record| records::encode(record).unwrap().into()).collect();
    let exchange =
        Exchange { records: [records, vec![Bytes::from_static(b"\xff")]].concat(), ..world.node(1).open_exchange() };
    world.input(0, Input::Exchange(&exchange));
    assert_eq!(but_for_refusals(world.snapshot(0)), before);
    assert_eq!(world.node(0).refused()["record of an unknown node"], 2);
    assert_eq!(world.node(0).refused()["malformed record"], 1);
}
