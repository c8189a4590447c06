//! A node whose address is another while it lives.

use super::*;

#[test]
fn a_move_is_the_next_life_at_another_place() {
    let mut lone = Lone::new(Kind::Agent);
    let web = id("web", 1);
    lone.packet(&web, &id("me", 1000), &[]);
    let to = "10.0.9.9:7946".parse().unwrap();
    let effects = lone.input(Input::Moved(to));
    let moved = id("me", 1001).at(to);
    assert!(effects.contains(&Effect::Renewed { epoch: 1001, moved: Some(to) }), "{effects:?}");
    assert_eq!((lone.node.identity(), lone.node.record().epoch), (&moved, 1001));
    assert_eq!(lone.liveness("web"), Some(Liveness::Alive));
    assert!(!lone.input(Input::Moved(to)).iter().any(|effect| matches!(effect, Effect::Renewed { .. })));
    // What is still said of the life before is answered, and takes nothing away.
    let before = Member::new(id("me", 1000), 0, State::Down);
    lone.packet(&web, &moved, &[before]);
    assert_eq!(lone.node.identity(), &moved);
}

#[test]
fn who_moved_is_found_where_it_is_now() {
    let mut lone = Lone::new(Kind::Balancer);
    let (me, before) = (id("me", 1000), id("web", 1));
    let now = before.renewed(None).at("10.0.9.9:7946".parse().unwrap());
    lone.packet(&before, &me, &[]);
    lone.packet(&now, &me, &[]);
    let known = lone.node.known(before.name()).unwrap();
    assert_eq!((known.identity, known.liveness), (now, Liveness::Alive));
}
