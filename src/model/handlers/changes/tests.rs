//! Each turn of a member, and what is told of it.

use proptest::prelude::*;

use super::*;
use crate::model::{RawRecord, State, Verdict};

/// A member as a handler is told of it.
pub(in crate::model::handlers) fn seen(name: &str) -> Seen {
    super::seen(&member(name), None)
}

/// One that is there, with the tag `role=web` and the service `web`.
fn member(name: &str) -> Member {
    let service = RawOffer {
        name: "web".into(),
        port: 8080,
        hosts: Vec::new(),
        path: None,
        weight: None,
        protocol: None,
        healthy: true,
    };
    let record = RawRecord {
        node: name.into(),
        epoch: 7,
        tags: [("role".into(), "web".into())].into(),
        services: vec![service],
        ..RawRecord::default()
    };
    Member {
        name: name.parse().unwrap(),
        epoch: 7,
        addr: ([10, 0, 0, 7], 7946).into(),
        liveness: Liveness::Alive,
        verdict: Verdict::Unasked,
        since: Moment::ZERO,
        record: Some(record),
        refused: None,
    }
}

fn record(member: &mut Member) -> &mut RawRecord {
    member.record.as_mut().unwrap()
}

fn snapshot(members: impl IntoIterator<Item = Member>) -> Snapshot {
    let members = members.into_iter().map(|member| (member.name.clone(), member)).collect();
    Snapshot { members, ..Snapshot::default() }
}

fn words(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|change| format!("{} {}", change.event.as_str(), change.member.name)).collect()
}

/// Tells all, and what that was.
fn tell(told: &mut Told, now: &Snapshot) -> Vec<String> {
    let changes = changes(told, now);
    changes.iter().for_each(|change| told.take(change));
    assert_eq!(super::changes(told, now), [], "told twice");
    words(&changes)
}

/// What is told of one member as it turns into each of these, one after the other; `None` is forgotten.
fn check(turns: &[Option<Member>], expected: &[&[&str]]) {
    let mut told = Told::default();
    let said: Vec<_> = turns.iter().map(|turn| tell(&mut told, &snapshot(turn.clone()))).collect();
    assert_eq!(said, expected);
}

fn with(change: impl FnOnce(&mut Member)) -> Option<Member> {
    let mut member = member("a");
    change(&mut member);
    Some(member)
}

#[test]
fn a_members_turns_are_told() {
    let here = || Some(member("a"));
    let failed = || with(|m| m.liveness = Liveness::Failed);
    let left = || with(|m| (m.liveness, record(m).state) = (Liveness::Left, State::Left));
    let (join, fails, leaves, updates, reaps) =
        (["member-join a"], ["member-failed a"], ["member-leave a"], ["member-update a"], ["member-reap a"]);

    check(&[here(), left(), None], &[&join, &leaves, &reaps]);
    check(&[here(), failed(), here(), failed(), None], &[&join, &fails, &join, &fails, &reaps]);
    check(&[here(), failed(), left(), failed()], &[&join, &fails, &leaves, &[]]);
    // A suspicion is a question.
    check(&[here(), with(|m| m.liveness = Liveness::Suspect), here()], &[&join, &[], &[]]);
    // What was gone before is no news, nor that it is forgotten.
    check(&[failed(), None], &[&[], &[]]);
    check(&[left(), here()], &[&[], &join]);
    // All of this at once is not forgotten either.
    check(&[here(), None], &[&join, &["member-failed a", "member-reap a"]]);

    let tagged = with(|m| drop(record(m).tags.insert("version".into(), "2".into())));
    let moved = with(|m| record(m).services[0].port = 9090);
    check(&[here(), tagged.clone(), tagged, moved], &[&join, &updates, &[], &updates]);
    let ill = with(|m| record(m).services[0].healthy = false);
    let drains = with(|m| record(m).state = State::Draining);
    check(&[ill, here(), drains], &[&join, &[], &[]]);
}

/// Its record may come later than word of it.
#[test]
fn a_member_is_told_of_with_its_tags() {
    let bare = with(|m| m.record = None);
    let unread = with(|m| (m.record, m.refused) = (None, Some("malformed".into())));
    let stale = with(|m| m.epoch = 8);
    let renewed = with(|m| (m.epoch, record(m).epoch) = (8, 8));
    let failed = with(|m| m.liveness = Liveness::Failed);
    check(&[bare.clone(), Some(member("a"))], &[&[], &["member-join a"]]);
    check(&[bare, unread], &[&[], &["member-join a"]]);
    check(
        &[Some(member("a")), failed, stale.clone(), renewed.clone()],
        &[&["member-join a"], &["member-failed a"], &[], &["member-join a"]],
    );
    // A life that began unnoticed: nobody missed anything.
    check(&[Some(member("a")), stale, renewed], &[&["member-join a"], &[], &[]]);

    let mut told = Told::default();
    tell(&mut told, &snapshot([member("a")]));
    let gone = with(|m| (m.liveness, m.record) = (Liveness::Failed, None));
    assert_eq!(changes(&told, &snapshot(gone))[0].member.tags["role"], "web", "as it was told of last");
}

#[test]
fn who_moves_is_gone_at_its_old_address() {
    let mut told = Told::default();
    tell(&mut told, &snapshot([member("a")]));
    let moved = with(|m| (m.epoch, record(m).epoch, m.addr) = (8, 8, ([10, 0, 0, 8], 7946).into()));
    let changes = changes(&told, &snapshot(moved));
    assert_eq!(words(&changes), ["member-failed a", "member-join a"]);
    let ips: Vec<_> = changes.iter().map(|change| change.member.ip.to_string()).collect();
    assert_eq!(ips, ["10.0.0.7", "10.0.0.8"]);
}

#[test]
fn they_are_told_in_the_order_in_which_it_happened() {
    let at = |name: &str, since| Member { since: Moment::from_secs(since), ..member(name) };
    let now = snapshot([at("a", 3), at("b", 1), at("c", 2)]);
    assert_eq!(tell(&mut Told::default(), &now), ["member-join b", "member-join c", "member-join a"]);
}

fn any_member() -> impl Strategy<Value = Member> {
    let liveness = prop::sample::select(vec![Liveness::Alive, Liveness::Suspect, Liveness::Failed, Liveness::Left]);
    ("[a-c]", liveness, 7..9_u64, 7..9_u64, any::<bool>(), 1..3_u8, 0..2_u32).prop_map(
        |(name, liveness, epoch, of_record, has_record, ip, port)| {
            let mut member = Member { liveness, epoch, addr: ([10, 0, 0, ip], 7946).into(), ..member(&name) };
            record(&mut member).epoch = of_record;
            record(&mut member).services[0].port = port;
            member.record = member.record.filter(|_| has_record);
            member
        },
    )
}

proptest! {
    /// Whatever follows upon whatever: once all is told nothing is left to tell, and each name's events make sense.
    #[test]
    fn all_that_is_told_makes_sense(turns in prop::collection::vec(prop::collection::vec(any_member(), 0..4), 1..8)) {
        let mut told = Told::default();
        let mut there = BTreeMap::<NodeName, bool>::new();
        for now in turns {
            let now = snapshot(now);
            for change in changes(&told, &now) {
                told.take(&change);
                let was = there.get(&change.member.name).copied();
                let makes_sense = match change.event {
                    MemberEvent::Join => was != Some(true),
                    MemberEvent::Update | MemberEvent::Failed => was == Some(true),
                    MemberEvent::Leave => was.is_some(),
                    MemberEvent::Reap => was == Some(false),
                };
                prop_assert!(makes_sense, "{:?} after {:?}", change, was);
                let is_there = matches!(change.event, MemberEvent::Join | MemberEvent::Update);
                there.insert(change.member.name.clone(), is_there);
                if change.event == MemberEvent::Reap {
                    there.remove(&change.member.name);
                }
            }
            prop_assert_eq!(changes(&told, &now), []);
        }
    }
}
