//! Agents that ask whether they are let go of, or served again.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_agent_is_told_once_it_is_drained_and_idle() {
    let mut draining = member("a", 1);
    draining.record.as_mut().unwrap().state = State::Draining;
    let others = [member("b", 2), member("c", 3)];
    let world = World { busy: BTreeSet::from(["web/a".to_owned()]), ..holding(&[member("a", 1), others[0].clone()]) };
    let rig = Rig::start(world, snapshot(others.clone().into_iter().chain([draining]), true));
    let mut told = rig.ask("a").await;
    rig.pass(Duration::from_secs(5)).await;
    assert!(told.try_recv().is_err(), "a request is in flight");
    rig.world.lock().unwrap().busy.clear();
    rig.pass(Duration::from_millis(100)).await;
    assert_eq!(told.try_recv(), Ok(true));
}

/// The member a with a second service `api`, and in its second version `web` drained by hand.
fn two_services(version: u64) -> Member {
    let mut a = member("a", 1);
    let record = a.record.as_mut().unwrap();
    let api = RawOffer { name: "api".into(), port: 81, ..record.services[0].clone() };
    record.services.push(api);
    record.version = version;
    if version == 2 {
        record.by_hand.services.insert("web".into());
    }
    a
}

#[tokio::test(start_paused = true)]
async fn one_service_is_let_go_while_the_other_serves() {
    let busy = BTreeSet::from(["web/a".to_owned(), "api/a".to_owned()]);
    let world = World { busy, ..holding(&[two_services(1), member("b", 2)]) };
    let rig = Rig::start(world, snapshot([two_services(1), member("b", 2)], true));
    let mut early = rig.ask_from("a", 2, false).await;
    rig.pass(Duration::from_secs(1)).await;
    assert!(early.try_recv().is_err(), "that version has not come");
    rig.members.send_replace(snapshot([two_services(2), member("b", 2)], true));
    rig.pass(Duration::from_secs(1)).await;
    assert!(early.try_recv().is_err(), "a request is in flight");
    rig.world.lock().unwrap().busy.remove("web/a");
    rig.pass(Duration::from_millis(100)).await;
    assert_eq!(early.try_recv(), Ok(true), "that api is busy is none of web's business");
    let web_and_api = |rig: &Rig| {
        let live = rig.world.lock().unwrap().live.clone();
        ["web/a", "api/a"].map(|id| live.endpoints().find(|(known, _)| known.to_string() == id).map(|(_, e)| e.state))
    };
    assert_eq!(web_and_api(&rig), [Some(EndpointState::Drain), Some(EndpointState::Ready)]);

    // Back by hand: who asks whether it serves is told once it does.
    let mut back = rig.ask_from("a", 3, true).await;
    rig.pass(Duration::from_millis(100)).await;
    assert!(back.try_recv().is_err(), "that version has not come");
    rig.members.send_replace(snapshot([two_services(3), member("b", 2)], true));
    rig.pass(Duration::from_millis(300)).await;
    assert_eq!(back.try_recv(), Ok(true));
    assert_eq!(web_and_api(&rig), [Some(EndpointState::Ready); 2]);
}

/// What is refused here, or fails the data plane's check, does not serve: no word until it does.
#[tokio::test(start_paused = true)]
async fn nobody_is_told_that_it_serves_before_it_does() {
    let rig = Rig::start(holding(&[]), snapshot([member("a", 1)], true));
    rig.world.lock().unwrap().mute = true;
    let mut told = rig.ask_from("a", 1, true).await;
    rig.pass(Duration::from_secs(5)).await;
    assert!(told.try_recv().is_err(), "the data plane does not answer");
    rig.world.lock().unwrap().mute = false;
    rig.pass(Duration::from_secs(10)).await;
    assert_eq!(told.try_recv(), Ok(true));
}

#[tokio::test(start_paused = true)]
async fn one_service_that_fails_holds_back_no_leave_and_no_change() {
    let mut draining = member("a", 1);
    draining.record.as_mut().unwrap().state = State::Draining;
    let world = World { fails: true, ..holding(&[member("a", 1), member("b", 2)]) };
    let rig = Rig::start(world, snapshot([member("a", 1), member("b", 2)], true));
    // Long enough for the backoff to be at its longest.
    rig.pass(Duration::from_secs(60)).await;
    assert!(rig.status.borrow().error.is_some());
    rig.members.send_replace(snapshot([draining, member("b", 2)], true));
    let mut told = rig.ask("a").await;
    rig.pass(Duration::from_millis(300)).await;
    assert_eq!(told.try_recv(), Ok(true));
}
