//! Members and services that come and go: held down, and let in again.

use super::*;

/// `a` crashes and comes back four times, a second apart; then it is left alone.
async fn flap(rig: &Rig, others: &[Member]) {
    for epoch in 2..=5 {
        let gone = Member { epoch: epoch - 1, liveness: Liveness::Failed, verdict: Verdict::Refused, ..member("a", 1) };
        let back = Member { epoch, ..member("a", 1) };
        for a in [gone, back] {
            rig.members.send_replace(snapshot(others.iter().cloned().chain([a]), true));
            rig.pass(Duration::from_millis(500)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_flaps_is_let_in_when_its_time_is_over() {
    let all = [member("a", 1), member("b", 2), member("c", 3)];
    let rig = Rig::start(holding(&all), snapshot(all.clone(), true));
    rig.pass(Duration::from_secs(1)).await;
    flap(&rig, &all[1..]).await;
    assert_eq!(rig.served(), ["b", "c"]);
    let flapping = rig.status.borrow().flapping[0].clone();
    assert_eq!((flapping.node.as_str(), flapping.times, flapping.endpoints.len()), ("a", 4, 1));
    assert!(rig.status.borrow().converged, "nothing is left to do meanwhile");
    // It came back half a second ago. The loop wakes by itself then, and not only when it looks around each second:
    // a change has it do that at other times.
    rig.pass(Duration::from_millis(300)).await;
    rig.members.send_modify(|_| {});
    rig.pass(Duration::from_millis(4190)).await;
    assert_eq!(rig.served(), ["b", "c"]);
    rig.pass(Duration::from_millis(20)).await;
    assert_eq!(rig.served(), ["a", "b", "c"]);
    assert!(rig.status.borrow().flapping.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_flaps_is_let_in_by_hand() {
    let all = [member("a", 1), member("b", 2), member("c", 3)];
    let rig = Rig::start(holding(&all), snapshot(all.clone(), true));
    rig.pass(Duration::from_secs(1)).await;
    flap(&rig, &all[1..]).await;
    let id = rig.status.borrow().flapping[0].id.clone();
    assert!(rig.let_go(id.clone()).await);
    rig.pass(Duration::from_millis(20)).await;
    assert_eq!(rig.served(), ["a", "b", "c"]);
    assert!(!rig.let_go(id).await, "there is nothing to release any more");
}

/// Its agent lives on, the service behind it does not: four times, a second apart.
#[tokio::test(start_paused = true)]
async fn a_service_that_flaps_behind_a_living_agent_is_held_down() {
    let all = [member("a", 1), member("b", 2), member("c", 3)];
    let rig = Rig::start(holding(&all), snapshot(all.clone(), true));
    rig.pass(Duration::from_secs(1)).await;
    for _ in 0..4 {
        for healthy in [false, true] {
            let mut a = all[0].clone();
            a.record.as_mut().unwrap().services[0].healthy = healthy;
            rig.members.send_replace(snapshot([a, all[1].clone(), all[2].clone()], true));
            rig.pass(Duration::from_millis(500)).await;
        }
    }
    assert_eq!(rig.served(), ["b", "c"]);
    let flapping = rig.status.borrow().flapping[0].clone();
    assert_eq!((flapping.who().to_string().as_str(), flapping.times, flapping.endpoints.len()), ("a/web", 4, 1));
    assert!(rig.let_go(flapping.id).await);
    rig.pass(Duration::from_millis(20)).await;
    assert_eq!(rig.served(), ["a", "b", "c"]);
}

/// The guard keeps all of them, for it may be this node that is cut off; so their return is not their doing.
#[tokio::test(start_paused = true)]
async fn who_returns_after_a_cut_does_not_flap() {
    let all = [member("a", 1), member("b", 2), member("c", 3)];
    let rig = Rig::start(holding(&all), snapshot(all.clone(), true));
    for epoch in 2..12 {
        let lost =
            |m: &Member| Member { epoch: epoch - 1, liveness: Liveness::Failed, verdict: Verdict::Silent, ..m.clone() };
        rig.members.send_replace(snapshot(all.iter().map(lost), true));
        rig.pass(Duration::from_millis(500)).await;
        rig.members.send_replace(snapshot(all.iter().map(|m| Member { epoch, ..m.clone() }), true));
        rig.pass(Duration::from_millis(500)).await;
        assert_eq!(rig.served(), ["a", "b", "c"]);
        assert!(rig.status.borrow().flapping.is_empty());
    }
}
