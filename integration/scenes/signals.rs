//! How people end a daemon: Ctrl-C, and a second signal where the first one takes too long.

use std::time::Duration;

use backchat::demo::Driver;
use rustix::process::Signal;
use tokio::time::Instant;

use super::{
    plane::ANY,
    world::{PATIENCE, World},
};
use crate::signal::send;

/// How the agent ended, by its exit status.
async fn ended(world: &mut World, name: &str) -> Option<i32> {
    let status = world.agents.get_mut(name).unwrap().process.ended(PATIENCE).await.unwrap();
    status.unwrap_or_else(|| panic!("it runs on\n{}", world.last_words())).code()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_agent_leaves_as_on_a_terminate() {
    let mut world = World::with(ANY, &["web1", "web2"]).await;
    send(world.agents["web1"].process.pid(), Signal::INT);
    assert_eq!(ended(&mut world, "web1").await, Some(0), "{}", world.last_words());
    world.members("proxy", &[("web1", "left")]).await;
    world.serves(&["web2"]).await;
}

pub(super) async fn an_interrupted_balancer_leaves_and_takes_its_data_plane_along(driver: Driver) {
    let mut world = World::with(driver, &["web1"]).await;
    let http = world.proxy().http;
    let lb = &mut world.balancers.get_mut("proxy").unwrap().process;
    send(lb.pid(), Signal::INT);
    let status = lb.ended(PATIENCE).await.unwrap();
    assert_eq!(status.and_then(|s| s.code()), Some(0), "{}", world.last_words());
    world.members("web1", &[("proxy", "left")]).await;
    assert!(super::world::get(http, "any.example").await.is_none(), "the data plane serves on");
}

/// A request that takes far longer than the test keeps the agent draining; the second signal does not wait for it.
pub(super) async fn a_second_signal_ends_a_drain_at_once(driver: Driver) {
    let mut world = World::new(driver).await;
    world.start_agent("web1", &["--drain-timeout", "10m"]).await;
    world.serves(&["web1"]).await;
    let before = served(&world);
    let slow = format!("http://{}/slow?ms=60000", world.proxy().http);
    let request = tokio::spawn(reqwest::get(slow));
    world.eventually("the slow request is under way", || async { served(&world) > before }).await;

    let pid = world.agents["web1"].process.pid();
    send(pid, Signal::TERM);
    let draining = || async { state(&world, "web1").await.as_deref() == Some("draining") };
    world.eventually("web1 drains", draining).await;
    assert!(world.agents.get_mut("web1").unwrap().process.is_running(), "it waits for the request");
    let second = Instant::now();
    send(pid, Signal::TERM);
    assert_eq!(ended(&mut world, "web1").await, Some(0), "{}", world.last_words());
    assert!(second.elapsed() < Duration::from_secs(6), "it took {:?}", second.elapsed());
    assert!(!request.is_finished(), "the request ended first: nothing was shown");
    world.members("proxy", &[("web1", "left")]).await;
    request.abort();
}

/// Requests that began at web1's web server.
fn served(world: &World) -> u64 {
    world.agents["web1"].web.as_ref().map_or(0, backchat::demo::Web::served)
}

/// What the member says of itself, as the balancer heard it.
async fn state(world: &World, name: &str) -> Option<String> {
    let answer = world.json("proxy", &["members"]).await?;
    let member = answer["members"].as_array()?.iter().find(|m| m["name"] == name)?;
    Some(member["state"].as_str()?.to_owned())
}
