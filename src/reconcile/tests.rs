//! The loop over a data plane that is a variable, on a paused clock.

mod flapping;
mod holds;
mod leaving;
mod rig;
mod shown;

use std::{collections::BTreeSet, time::Duration};

use backchat_contract::EndpointState;
use tokio::sync::oneshot;

use super::*;
use crate::model::{Desired, Liveness, Member, Moment, Policy, RawOffer, Snapshot, State, Verdict};

use self::rig::{Rig, World, holding, live, member, snapshot};

#[tokio::test(start_paused = true)]
async fn what_is_live_is_adopted_and_stays_until_all_is_synced() {
    let both = [member("a", 1), member("b", 2)];
    let rig = Rig::start(holding(&both), snapshot([both[0].clone()], false));
    rig.pass(Duration::from_secs(120)).await;
    assert_eq!(rig.served(), ["a", "b"]);
    assert_eq!(rig.world.lock().unwrap().applies, 0, "adopting changes nothing");
    rig.members.send_replace(snapshot([both[0].clone(), member("c", 3)], false));
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.served(), ["a", "b", "c"], "additions apply all the same");
    rig.members.send_replace(snapshot([both[0].clone(), member("c", 3), member("d", 4)], true));
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.served(), ["a", "c", "d"], "synced, and b is a minority of what was");
}

#[tokio::test(start_paused = true)]
async fn a_data_plane_that_is_mute_is_not_up() {
    let rig = Rig::start(holding(&[member("a", 1)]), snapshot([member("a", 1)], true));
    rig.pass(Duration::from_secs(2)).await;
    assert!(rig.status.borrow().plane_up && rig.status.borrow().converged);
    rig.world.lock().unwrap().mute = true;
    rig.pass(Duration::from_secs(2)).await;
    assert!(!rig.status.borrow().plane_up && !rig.status.borrow().converged);
    rig.world.lock().unwrap().mute = false;
    rig.pass(Duration::from_secs(10)).await;
    assert!(rig.status.borrow().plane_up && rig.status.borrow().error.is_none());
}

#[tokio::test(start_paused = true)]
async fn drift_is_repaired() {
    let rig = Rig::start(holding(&[member("a", 1)]), snapshot([member("a", 1)], true));
    rig.pass(Duration::from_secs(5)).await;
    let wanted = rig.world.lock().unwrap().live.clone();
    rig.world.lock().unwrap().live = Desired { routes: wanted.routes.clone(), ..Desired::default() };
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!(rig.world.lock().unwrap().live, wanted);
}

/// Where the data plane itself makes sure of it, a change does not wait for another look.
#[tokio::test(start_paused = true)]
async fn a_change_is_made_over_what_was_read() {
    let all = [member("a", 1), member("b", 2)];
    let world = World { conditional: true, ..holding(&all[..1]) };
    let rig = Rig::start(world, snapshot(all[..1].to_vec(), true));
    rig.pass(Duration::from_secs(2)).await;
    rig.world.lock().unwrap().far = Duration::from_secs(10);
    // The step that is under way, and its look.
    rig.pass(Duration::from_secs(15)).await;
    let looks = rig.world.lock().unwrap().observations;
    rig.members.send_replace(snapshot(all.clone(), true));
    rig.pass(Duration::from_secs(11)).await;
    assert_eq!(rig.served(), ["a", "b"]);
    assert!(rig.world.lock().unwrap().observations <= looks + 2, "it waited for a look");
    rig.pass(Duration::from_secs(60)).await;
    let status = rig.status.borrow().clone();
    assert!(status.converged);
    // It is told once.
    assert_eq!((rig.world.lock().unwrap().applies, status.tally.applies), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_change_over_what_is_there_no_more_is_made_after_another_look() {
    let all = [member("a", 1), member("b", 2)];
    let world = World { conditional: true, ..holding(&all[..1]) };
    let rig = Rig::start(world, snapshot(all[..1].to_vec(), true));
    rig.pass(Duration::from_secs(2)).await;
    let wanted = live(&all);
    rig.world.lock().unwrap().live = Desired::default();
    rig.members.send_replace(snapshot(all, true));
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!(rig.world.lock().unwrap().live, wanted);
    assert!(rig.status.borrow().converged);
}

/// People who ask without end, each for a look that takes longer than changes are gathered.
#[tokio::test(start_paused = true)]
async fn whoever_asks_without_end_does_not_keep_the_loop_from_its_steps() {
    let all = [member("a", 1), member("b", 2)];
    let world = World { far: Duration::from_millis(5), ..holding(&all[..1]) };
    let rig = Rig::start(world, snapshot(all[..1].to_vec(), true));
    rig.pass(Duration::from_secs(1)).await;
    let (queries, questions) = (rig.queries.clone(), rig.questions.clone());
    let asks = async move {
        loop {
            let (answer, _told) = oneshot::channel();
            queries.send(Query::Plan { assume: Vec::new(), answer }).await.unwrap();
        }
    };
    let nags = async move {
        loop {
            let (answer, told) = oneshot::channel();
            let question = Question { node: "a".parse().unwrap(), age: (1, 99), serves: false, answer };
            questions.send(question).await.unwrap();
            // It waits a little, and asks again.
            let _late = tokio::time::timeout(Duration::from_millis(1), told).await;
        }
    };
    let (asks, nags) = (tokio::spawn(asks), tokio::spawn(nags));
    rig.pass(Duration::from_secs(1)).await;
    let steps = rig.status.borrow().steps;
    rig.members.send_replace(snapshot(all, true));
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.served(), ["a", "b"]);
    assert!(rig.status.borrow().steps - steps >= 5, "{steps} and then {}", rig.status.borrow().steps);
    asks.abort();
    nags.abort();
}

/// An apply hangs for a while. What changes in the meantime, here and there, is seen before anything else is done.
#[tokio::test(start_paused = true)]
async fn no_plan_outlives_what_it_was_made_from() {
    let (a, b, c) = (member("a", 1), member("b", 2), member("c", 3));
    let world = World { slow: Duration::from_secs(5), ..holding(std::slice::from_ref(&a)) };
    let rig = Rig::start(world, snapshot([a.clone(), b.clone()], true));
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.world.lock().unwrap().bases.len(), 1, "it is under way");
    let gone = Member { liveness: Liveness::Left, ..b };
    rig.members.send_replace(snapshot([a, gone, c], true));
    rig.pass(Duration::from_secs(60)).await;
    assert_eq!(rig.served(), ["a", "c"]);
    let bases = rig.world.lock().unwrap().bases.clone();
    assert!(bases.iter().all(|(planned, begun)| planned == begun), "{bases:?}");
    assert!(bases.windows(2).all(|pair| pair[0].1 < pair[1].0), "two plans of one observation: {bases:?}");
    // The same where each apply fails after its work was done.
    rig.world.lock().unwrap().fails = true;
    rig.pass(Duration::from_secs(60)).await;
    let bases = rig.world.lock().unwrap().bases.clone();
    assert!(bases.windows(2).all(|pair| pair[0].1 < pair[1].0), "two plans of one observation: {bases:?}");
}
