//! A plan that was shown is applied as it was shown, or not at all; what flows by itself is not asked about.

use super::*;
use crate::model::{Applied, Fingerprint, NoProposal, Proposal, RawRecord, Unapplied};

/// A member that offers another service than `web`.
fn other(name: &str, host: u8, service: &str) -> Member {
    let mut other = member(name, host);
    let record = other.record.as_mut().unwrap();
    record.services[0].name = service.into();
    other
}

impl Rig {
    async fn plan(&self) -> Proposal {
        self.try_plan().await.unwrap()
    }

    async fn try_plan(&self) -> Result<Proposal, NoProposal> {
        let (answer, told) = oneshot::channel();
        self.queries.send(Query::Plan { assume: Vec::new(), answer }).await.unwrap();
        told.await.unwrap().map(|proposal| *proposal)
    }

    async fn apply(&self, shown: &Fingerprint) -> Result<Applied, Unapplied> {
        let (answer, told) = oneshot::channel();
        self.queries.send(Query::Apply { shown: Box::new(shown.clone()), answer }).await.unwrap();
        told.await.unwrap()
    }

    /// Why structure waits, if any does.
    fn waits(&self) -> Option<String> {
        self.status.borrow().approval.as_ref().map(|approval| approval.why.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn structure_waits_until_it_is_applied_and_endpoints_flow() {
    let a = member("a", 1);
    let rig = Rig::approving(holding(std::slice::from_ref(&a)), snapshot([a.clone()], true));
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!((rig.waits(), rig.status.borrow().converged), (None, true));
    rig.members.send_replace(snapshot([a.clone(), member("b", 2), other("s", 3, "shop")], true));
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!((rig.served(), rig.waits()), (vec!["a".into(), "b".into()], Some("new: shop".into())));
    let since = rig.status.borrow().approval.as_ref().unwrap().since;

    let shown = rig.plan().await;
    assert!(shown.waits && shown.view.changes.iter().any(|change| change.id == "shop/s"), "{:?}", shown.view);
    // Meanwhile an endpoint comes, which asks nobody.
    rig.members.send_replace(snapshot([a, member("b", 2), member("c", 4), other("s", 3, "shop")], true));
    let applied = rig.apply(&Fingerprint::of(&shown)).await.unwrap();
    assert_eq!(applied.done.map(|done| done.changes > 0), Some(true));
    assert_eq!((rig.served(), rig.waits()), (["s", "a", "b", "c"].map(String::from).into(), None));
    assert!(rig.status.borrow().converged, "it was read back, and is told");
    let again = rig.apply(&Fingerprint::of(&shown)).await;
    assert_eq!(again.map(|applied| applied.done), Ok(None), "it was done, by the reload that was shown");

    // What comes next waits anew.
    let before = rig.world.lock().unwrap().live.clone();
    let all = [member("a", 1), member("b", 2), member("c", 4), other("s", 3, "shop"), other("n", 5, "new")];
    rig.members.send_replace(snapshot(all, true));
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!((&rig.world.lock().unwrap().live, rig.waits()), (&before, Some("new: new".into())));
    assert!(rig.status.borrow().approval.as_ref().unwrap().since >= since);
}

#[tokio::test(start_paused = true)]
async fn what_has_moved_is_named_and_nothing_is_done() {
    let a = member("a", 1);
    let rig = Rig::approving(holding(std::slice::from_ref(&a)), snapshot([a.clone(), other("s", 3, "shop")], true));
    rig.pass(Duration::from_secs(1)).await;
    let shown = Fingerprint::of(&rig.plan().await);
    rig.members.send_replace(snapshot([a.clone(), other("s", 3, "shop"), other("n", 5, "new")], true));
    let applies = rig.world.lock().unwrap().applies;
    let Err(Unapplied::Moved(moved)) = rig.apply(&shown).await else { panic!("it was applied") };
    assert!(moved.contains(&"new/n: is to be added, which was not shown".to_owned()), "{moved:?}");
    rig.members.send_replace(snapshot([a], true));
    let Err(Unapplied::Moved(moved)) = rig.apply(&shown).await else { panic!("it was applied") };
    assert!(moved.contains(&"shop/s: was to be added, is not any more".to_owned()), "{moved:?}");
    assert_eq!(rig.world.lock().unwrap().applies, applies);
    assert_eq!(rig.served(), ["a"]);
    let foreign = Fingerprint { driver: "nginx".into(), ..shown };
    let why = "the plan is for nginx, and what is driven here is fake";
    assert_eq!(rig.apply(&foreign).await, Err(Unapplied::Foreign(why.into())));
}

/// A daemon that waits for nobody may do anything by itself: the person who applies does what was shown, or nothing.
#[tokio::test(start_paused = true)]
async fn what_was_not_shown_is_not_done_by_who_applies() {
    let all = [member("a", 1), member("b", 2), member("c", 3)];
    let rig = Rig::start(holding(&[all[0].clone(), all[2].clone()]), snapshot([all[0].clone(), all[2].clone()], true));
    rig.pass(Duration::from_secs(1)).await;
    rig.members.send_replace(snapshot(all.clone(), true));
    let shown = Fingerprint::of(&rig.plan().await);
    let [a, b, c] = all;
    rig.members.send_replace(snapshot([a, b, Member { liveness: Liveness::Left, ..c }], true));
    let Err(Unapplied::Moved(moved)) = rig.apply(&shown).await else { panic!("it was applied") };
    assert!(moved.contains(&"web/c: is to be removed, which was not shown".to_owned()), "{moved:?}");
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.served(), ["a", "b"], "by itself it goes on");
}

/// The answer to who asked behind a long step comes too late: they were told so, and nothing is done behind their back.
#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_any_more_is_not_applied() {
    let (a, shop) = (member("a", 1), other("s", 3, "shop"));
    let rig = Rig::approving(holding(std::slice::from_ref(&a)), snapshot([a.clone(), shop.clone()], true));
    rig.pass(Duration::from_secs(1)).await;
    let shown = Box::new(Fingerprint::of(&rig.plan().await));
    rig.world.lock().unwrap().slow = Duration::from_secs(5);
    rig.members.send_replace(snapshot([a, member("b", 2), shop], true));
    rig.pass(Duration::from_secs(1)).await;
    let (answer, told) = oneshot::channel();
    rig.queries.send(Query::Apply { shown, answer }).await.unwrap();
    drop(told);
    rig.pass(Duration::from_secs(60)).await;
    assert_eq!((rig.served(), rig.waits()), (vec!["a".into(), "b".into()], Some("new: shop".into())));
}

#[tokio::test(start_paused = true)]
async fn a_data_plane_that_is_mute_has_no_plan() {
    let rig = Rig::start(holding(&[member("a", 1)]), snapshot([member("a", 1)], true));
    rig.pass(Duration::from_secs(1)).await;
    rig.world.lock().unwrap().mute = true;
    let refused = rig.try_plan().await.map(|proposal| proposal.view);
    assert!(matches!(&refused, Err(NoProposal::Unreachable(why)) if why.starts_with("failed to ")), "{refused:?}");
}

/// A daemon that waits for nobody has done by then what it showed, or does it now.
#[tokio::test(start_paused = true)]
async fn what_was_done_meanwhile_is_nothing_left_to_do() {
    let a = member("a", 1);
    let rig = Rig::start(holding(std::slice::from_ref(&a)), snapshot([a.clone()], true));
    rig.pass(Duration::from_secs(1)).await;
    let empty = Fingerprint::of(&rig.plan().await);
    assert_eq!(rig.apply(&empty).await.unwrap().done, None);
    rig.members.send_replace(snapshot([a.clone(), member("b", 2)], true));
    let shown = Fingerprint::of(&rig.plan().await);
    assert!(shown.changes.iter().any(|change| change.id == "web/b"));
    let applied = rig.apply(&shown).await.unwrap();
    assert_eq!(applied.done.map(|done| done.changes > 0), Some(true));
    let applied = rig.apply(&shown).await.unwrap();
    assert_eq!((applied.done, rig.served()), (None, vec!["a".into(), "b".into()]));
    rig.world.lock().unwrap().mute = true;
    assert!(matches!(rig.apply(&shown).await, Err(Unapplied::Unreachable(_))));
    // An older record alone is no change of what is managed.
    let old = RawRecord { version: 9, ..a.record.clone().unwrap() };
    rig.world.lock().unwrap().mute = false;
    rig.members.send_replace(snapshot([Member { record: Some(old), ..a }, member("b", 2)], true));
    assert_eq!(rig.apply(&shown).await.map(|applied| applied.done), Ok(None));
}
