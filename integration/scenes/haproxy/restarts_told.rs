//! What HAProxy is asked over a hundred restarts of its lb: the lines themselves, taken down between the two, so that not
//! a single command is missed that would change anything, even back and forth.

use backchat::demo::Driver;

use crate::scenes::{
    recorder::Recorder,
    world::{World, none_failed},
};

/// How often the lb is killed.
const RESTARTS: usize = 100;

/// Killed at every point of its start and afterwards, under load.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_restarts_under_load_change_nothing() {
    let mut world = World::with(Driver::Haproxy, &["web1", "web2", "web3"]).await;
    world.eventually("all is settled", || world.is_settled(3)).await;
    world.kill_lb().await;
    let plane = world.plane("proxy");
    let socket = |name: &str| Recorder::before(&plane.path(name)).unwrap();
    let (runtime, master) = (socket("haproxy.sock"), socket("master.sock"));
    let before = (plane.state().await, plane.running().await, plane.files());
    let traffic = world.traffic();
    let (joined, asks) = (world.agents["web1"].gossip.to_string(), |lines: usize| move |now: usize| now >= lines);
    for round in 0..RESTARTS {
        let begun = runtime.count();
        world.restart_balancer_with("proxy", &["--join", &joined]);
        if round % 5 == 0 {
            world.eventually("it is settled again", || world.is_settled(3)).await;
            let status = world.status().await;
            assert!(status["last_apply"].is_null() && status["held"] == serde_json::json!([]), "{status}");
        } else {
            // After its first word, its second, and so on: beyond what it has to ask until it is settled.
            let said = asks(begun + 1 + round % 24);
            world.eventually("it has asked so much", || async { said(runtime.count()) }).await;
        }
        world.kill_lb().await;
    }
    let changing =
        |recorder: &Recorder| recorder.asked().into_iter().filter(|line| !plane.is_question(line)).collect::<Vec<_>>();
    assert_eq!((changing(&runtime), changing(&master)), (vec![], vec![]));
    assert_eq!((plane.state().await, plane.running().await, plane.files()), before);
    let counts = none_failed(traffic).await;
    eprintln!("{RESTARTS} restarts, {} questions, {counts}", runtime.count() + master.count());

    // The witness would have told: a change does pass through it.
    world.restart_balancer_with("proxy", &["--join", &joined]);
    world.start_agent("web4", &[]).await;
    world.serves(&["web1", "web2", "web3", "web4"]).await;
    assert!(changing(&runtime).iter().any(|line| line.starts_with("add server")), "{:?}", changing(&runtime));
}
