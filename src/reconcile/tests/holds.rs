//! What is kept: by the guard, by a release that lasts, and by the ledger.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_balancer_that_hears_nobody_keeps_what_is_live() {
    let both = [member("a", 1), member("b", 2)];
    let rig = Rig::start(holding(&both), snapshot([], true));
    rig.pass(Duration::from_secs(900)).await;
    assert_eq!(rig.served(), ["a", "b"]);
    assert_eq!(rig.world.lock().unwrap().live, live(&both), "its hosts too, after --empty-service");
    assert_eq!(rig.status.borrow().held.len(), 1);
    // The cluster comes back without b: it gets the time to come, too.
    rig.members.send_replace(snapshot([both[0].clone(), member("c", 3)], true));
    rig.pass(Duration::from_secs(9)).await;
    assert_eq!((rig.served().len(), rig.status.borrow().held.len()), (3, 1));
    let why = rig.status.borrow().held[0].why.clone();
    assert_eq!(why, "1 of 3 endpoints of web: enough others are back; it may be on its way back too");
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!((rig.served(), rig.status.borrow().held.len()), (vec!["a".to_owned(), "c".into()], 0));
}

#[tokio::test(start_paused = true)]
async fn a_held_service_keeps_its_hosts_against_newcomers() {
    let all = [member("a", 1), member("b", 2), member("c", 3)];
    let rig = Rig::start(holding(&all), snapshot([], true));
    rig.pass(Duration::from_secs(900)).await;
    let mut newcomer = member("n", 4);
    let offer = &mut newcomer.record.as_mut().unwrap().services[0];
    (offer.name, offer.hosts) = ("other".into(), vec!["a.example".into()]);
    rig.members.send_replace(snapshot([newcomer], true));
    rig.pass(Duration::from_secs(900)).await;
    let live_now = rig.world.lock().unwrap().live.clone();
    let owners: BTreeSet<_> = live_now.routes.values().map(ToString::to_string).collect();
    assert_eq!((rig.served().len(), owners), (4, BTreeSet::from(["web".to_owned()])));
    assert_eq!(rig.status.borrow().rejections.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_release_lasts_while_the_endpoint_drains() {
    let failed = Member { liveness: Liveness::Failed, verdict: Verdict::Silent, ..member("a", 1) };
    let world = World { busy: BTreeSet::from(["web/a".to_owned()]), ..holding(&[member("a", 1)]) };
    let rig = Rig::start(world, snapshot([failed], true));
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.status.borrow().held.len(), 1);
    assert!(rig.release().await);
    rig.pass(Duration::from_secs(20)).await;
    let state = |rig: &Rig| rig.world.lock().unwrap().live.endpoints().map(|(_, e)| e.state).collect::<Vec<_>>();
    assert_eq!((state(&rig), rig.status.borrow().held.len()), (vec![EndpointState::Drain], 0));
    rig.world.lock().unwrap().busy.clear();
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!(state(&rig), []);
    assert!(!rig.release().await, "there is no hold any more");
}

/// The host of a service that has nobody yet, from what was kept alone: the data plane lost everything.
#[tokio::test(start_paused = true)]
async fn what_was_kept_holds_a_host_against_a_newcomer() {
    let asks = |name: &str, host: u8, service: &str| {
        let mut member = member(name, host);
        let offer = &mut member.record.as_mut().unwrap().services[0];
        (offer.name, offer.hosts) = (service.into(), vec!["shop.example".into()]);
        member
    };
    let (incumbent, newcomer) = (asks("a", 2, "shop"), Member { epoch: 0, ..asks("n", 1, "other") });
    let known = [Snapshot::clone(&snapshot([incumbent.clone()], true))];
    let (_, kept, _) =
        crate::model::desired(&known, &Policy::default(), &crate::model::Ledger::default(), Moment::ZERO);
    let rig = Rig::remembering(World::default(), snapshot([newcomer.clone()], false), kept.clone());
    rig.pass(Duration::from_secs(1)).await;
    rig.members.send_replace(snapshot([newcomer, incumbent], true));
    rig.pass(Duration::from_secs(1)).await;
    let owners: Vec<_> = rig.world.lock().unwrap().live.routes.values().map(ToString::to_string).collect();
    let status = rig.status.borrow();
    let refused: Vec<_> = status.rejections.iter().map(|r| (r.node.as_str(), r.why.as_str())).collect();
    assert_eq!((owners, refused), (vec!["shop".to_owned()], vec![("n", "a holds it")]));
    assert_eq!(status.ledger.as_ref().map(|l| &l.claims), Some(&kept.claims), "what is kept next");
}
