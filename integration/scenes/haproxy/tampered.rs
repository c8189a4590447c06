//! What is live in HAProxy drifts by somebody's hand, at its runtime socket or by a reload: it is put right.

use std::time::Instant;

use backchat::demo::{Driver, plane::haproxy};

use crate::scenes::{
    restarts::NOTICED,
    world::{World, none_failed},
};

async fn tell(world: &World, command: &str) {
    let socket = world.plane("proxy").path(haproxy::SOCKET);
    haproxy::ask(&socket, command).await.unwrap();
}

/// A server of HAProxy's as its commands name it.
async fn named(world: &World, server: &str) -> Option<String> {
    let servers = haproxy::servers(&world.plane("proxy").path(haproxy::SOCKET)).await.ok()?;
    let found = servers.into_iter().find(|known| known.name == server)?;
    Some(format!("{}/{}", found.backend, found.name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_deleted_by_hand_comes_back() {
    let world = World::with(Driver::Haproxy, &["web1", "web2"]).await;
    let web1 = named(&world, "web1").await.expect("web1 is there");
    tell(&world, &format!("set server {web1} state maint")).await;
    tell(&world, &format!("del server {web1}")).await;
    let back = || async { named(&world, "web1").await.is_some() };
    world.eventually("web1 is back", back).await;
    world.serves(&["web1", "web2"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_and_states_changed_by_hand_are_put_right() {
    let world = World::with(Driver::Haproxy, &["web1", "web2"]).await;
    let plane = world.plane("proxy");
    let before = plane.state().await;
    for (server, what) in [("web1", "state drain"), ("web2", "weight 7")] {
        let server = named(&world, server).await.expect("it is there");
        tell(&world, &format!("set server {server} {what}")).await;
    }
    let back = || async { plane.state().await == before };
    world.eventually("the servers are as before", back).await;
}

/// The new worker knows what the file says, and from then on it is the one that is read back and driven: what is
/// changed there by hand is put right.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_a_reload_by_hand_is_put_right() {
    let world = World::with(Driver::Haproxy, &["web1", "web2"]).await;
    world.converges().await;
    let (traffic, plane) = (world.traffic(), world.plane("proxy"));
    let (before, running) = (plane.state().await, plane.running().await);
    let begun = Instant::now();
    plane.reload().await;
    let another = || async { plane.running().await.is_some_and(|now| Some(now) != running) };
    world.eventually("another worker answers", another).await;
    assert_eq!(plane.state().await, before);
    let web1 = named(&world, "web1").await.expect("web1 is there");
    tell(&world, &format!("set server {web1} weight 7")).await;
    world.eventually("its weight is put right", || async { plane.state().await == before }).await;
    assert!(begun.elapsed() < NOTICED, "after {:?}", begun.elapsed());
    none_failed(traffic).await;
}
