//! The lb dies at each step of an apply: the data plane serves on, one that is started alone from the files serves the
//! same, and the next lb comes to the truth. And an apply that is held up while the world changes.
//!
//! The program beside the tests has the drivers' failpoints: `FAILPOINTS=POINT=return` kills it there as SIGKILL does.

use std::{collections::BTreeSet, os::unix::process::ExitStatusExt as _, path::Path};

use backchat::demo::{Child, Driver};

use super::{
    plane::{endpoint_points, structure_points},
    world::{PATIENCE, World, free, get, none_failed},
};

/// The lb, started anew, is to do `words` at its failpoints.
pub(super) fn arm(world: &mut World, words: &str) {
    world.prefix("proxy", &["env", &format!("FAILPOINTS={words}")]);
}

fn disarm(world: &mut World) {
    world.prefixes.clear();
}

/// Waits until the lb has died at its failpoint.
pub(super) async fn dies(world: &mut World, point: &str) {
    let status = world.balancers.get_mut("proxy").unwrap().process.ended(PATIENCE).await.unwrap();
    let signal = status.and_then(|status| status.signal());
    assert_eq!(signal, Some(9), "it never came to {point}\n{}", world.last_words());
}

/// The data plane and its lb are gone, and somebody starts it from what is on disk: it serves these from its first
/// answer on, and may serve others.
async fn serves_alone(world: &World, point: &str, least: &[&str]) -> Child {
    let plane = world.plane("proxy");
    plane.kill();
    let http = world.proxy().http;
    world.eventually("it is gone", || async { get(http, "any.example").await.is_none() }).await;
    let alone = plane.alone().expect("it starts");
    world.eventually("it answers", || async { get(http, "any.example").await.is_some() }).await;
    let mut served = BTreeSet::new();
    for _ in 0..12 {
        let answer = get(http, "any.example").await;
        let Some((200, name)) = answer else { panic!("killed at {point}, the files on disk answer {answer:?}") };
        served.insert(name);
    }
    assert!(least.iter().all(|name| served.contains(*name)), "killed at {point}, the files on disk serve {served:?}");
    alone
}

/// All that must hold after the lb has died at a point: `before` serve, and in the end all of `after` do.
pub(super) async fn nothing_is_lost(world: &mut World, point: &str, before: &[&str], after: &[&str], flags: &[&str]) {
    let alone = serves_alone(world, point, before).await;
    let traffic = if flags.is_empty() { world.traffic() } else { world.traffic_over_a_reload() };
    disarm(world);
    world.restart_balancer_with("proxy", flags);
    world.serves(after).await;
    world.converges().await;
    let counts = traffic.stop().await;
    assert_eq!(counts.failures(), 0, "killed at {point}: {counts}\n{}", world.last_words());
    assert_eq!(leftovers(world), [""; 0], "killed at {point}");
    drop(alone);
}

/// The endpoints of service `web`, live or desired.
async fn endpoints(world: &World) -> Vec<String> {
    let services = world.json("proxy", &["services"]).await.unwrap_or_default();
    let endpoints = services["services"][0]["endpoints"].as_array().cloned().unwrap_or_default();
    endpoints.iter().filter_map(|endpoint| Some(endpoint["name"].as_str()?.to_owned())).collect()
}

/// What is in the run folder that should not be. One set beside the current and the last good one may wait there for
/// the next write, which sweeps it away.
fn leftovers(world: &World) -> Vec<String> {
    let names = |path: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let (run_dir, sets) = (world.run_dir("proxy"), world.run_dir("proxy").join("files"));
    let half_done = |name: &String| {
        let extension = Path::new(name).extension().unwrap_or_default();
        ["new", "staged", "keep"].into_iter().any(|half| extension == half)
    };
    let mut left: Vec<_> = names(&sets).into_iter().chain(names(&run_dir)).filter(half_done).collect();
    let numbered = names(&sets).into_iter().filter(|name| name.parse::<u64>().is_ok()).count();
    if numbered > 3 {
        left.push(format!("{numbered} sets"));
    }
    left
}

/// A service on a spare backend gets one of its own with the next structure: every file changes, and the maps lead
/// elsewhere.
pub(super) async fn killed_at_each_step_of_a_new_structure(driver: Driver) {
    for point in structure_points(driver) {
        let mut world = World::with(driver, &["web1", "web2"]).await;
        world.converges().await;
        let traffic = world.traffic_over_a_reload();
        world.kill_lb().await;
        arm(&mut world, &format!("{point}=return"));
        let other = free().to_string();
        world.restart_balancer_with("proxy", &["--listen", &other]);
        dies(&mut world, point).await;
        none_failed(traffic).await;
        nothing_is_lost(&mut world, point, &["web1", "web2"], &["web1", "web2"], &["--listen", &other]).await;
    }
}

pub(super) async fn killed_at_each_step_of_a_push(driver: Driver) {
    for point in endpoint_points(driver) {
        let mut world = World::with(driver, &["web1", "web2"]).await;
        world.converges().await;
        let traffic = world.traffic();
        world.kill_lb().await;
        arm(&mut world, &format!("{point}=return"));
        world.restart_balancer("proxy");
        world.start_agent("web3", &[]).await;
        dies(&mut world, point).await;
        none_failed(traffic).await;
        nothing_is_lost(&mut world, point, &["web1", "web2"], &["web1", "web2", "web3"], &[]).await;
    }
}

/// It has told the data plane to reload and is killed: the next one, there before that is over, takes what comes of it for
/// what runs, and begins no other.
pub(super) async fn a_reload_that_a_killed_lb_began_is_not_begun_anew(driver: Driver) {
    // By chance it is over before the next one is there, and shows nothing.
    for _ in 0..3 {
        let mut world = World::with(driver, &["web1", "web2"]).await;
        let (traffic, other) = (world.traffic_over_a_reload(), free().to_string());
        world.kill_lb().await;
        arm(&mut world, "reload:sent=return");
        let flags: &[&str] = if world.plane("proxy").endpoints_reload() { &[] } else { &["--listen", &other] };
        world.restart_balancer_with("proxy", flags);
        world.start_agent("web3", &[]).await;
        dies(&mut world, "reload:sent").await;
        disarm(&mut world);
        world.restart_balancer_with("proxy", flags);
        let agents = ["web1", "web2", "web3"];
        world.members("proxy", &agents.map(|name| (name, "alive"))).await;
        world.serves(&agents).await;
        world.converges().await;
        assert_eq!(world.status().await["reloads"], 0, "{}", world.last_words());
        none_failed(traffic).await;
    }
}

/// A plan is made, and before it is applied the world changes: what it says is outdated, and does no harm.
pub(super) async fn a_plan_that_is_held_up_does_no_harm(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2"]).await;
    world.converges().await;
    let traffic = world.traffic();
    world.kill_lb().await;
    // Nothing is to be done after the restart: the first push is web3's.
    arm(&mut world, "push:begin=1*sleep(3000)");
    world.restart_balancer("proxy");
    world.members("proxy", &[("web1", "alive"), ("web2", "alive")]).await;
    world.start_agent("web3", &[]).await;
    world.members("proxy", &[("web3", "alive")]).await;
    world.crash("web3");
    let left = world.agents.get_mut("web2").unwrap();
    left.process.terminate().unwrap();
    left.process.ended(PATIENCE).await.unwrap().expect("it leaves");
    left.web = None;
    world.members("proxy", &[("web3", "failed"), ("web2", "left")]).await;
    world.eventually("web1 alone is in the set", || async { endpoints(&world).await == ["web1"] }).await;
    world.serves(&["web1"]).await;
    let counts = none_failed(traffic).await;
    assert_eq!(counts.by("web3"), 0, "it was dead before it was added");
}
