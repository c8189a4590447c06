//! The lb and its HAProxy die, one at a time, and what is live drifts: requests keep flowing.

use std::path::PathBuf;

use backchat::demo::plane::ask;

use super::world::{World, none_failed};

fn socket(world: &World) -> PathBuf {
    world.run_dir("proxy").join("haproxy.sock")
}

pub(super) async fn show(world: &World, command: &str) -> String {
    ask(&socket(world), command).await.unwrap_or_default()
}

/// The process id of the HAProxy that answers on the socket.
async fn worker(world: &World) -> Option<u32> {
    worker_of(world, "proxy").await
}

pub(super) async fn worker_of(world: &World, balancer: &str) -> Option<u32> {
    let info = ask(&world.run_dir(balancer).join("haproxy.sock"), "show info").await.ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid: "))?.trim().parse().ok()
}

/// The lines of the servers, sorted, without what counts time: HAProxy lists them as they came, in the file or after it.
pub(super) async fn servers(world: &World) -> Vec<String> {
    let state = show(world, "show servers state").await;
    let stable = |line: &str| {
        let mut fields: Vec<_> = line.split(' ').collect();
        // srv_time_since_last_change, and the check's own running state.
        for counts in [9, 11, 12, 13, 10] {
            if let Some(field) = fields.get_mut(counts) {
                *field = "";
            }
        }
        fields.join(" ")
    };
    let mut lines: Vec<_> = state.lines().filter(|line| !line.is_empty()).map(stable).collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lb_is_killed_and_restarted_under_load_and_nothing_changes() {
    let mut world = World::with(&["web1", "web2"]).await;
    let traffic = world.traffic();
    let (before, pid) = (servers(&world).await, worker(&world).await);
    for _ in 0..3 {
        let lb = world.balancers.get_mut("proxy").unwrap();
        lb.process.kill().unwrap();
        lb.process.ended(super::world::PATIENCE).await.unwrap().expect("it was killed");
        assert_eq!(servers(&world).await, before, "without its lb, HAProxy serves on");
        world.restart_balancer("proxy");
        world.members("proxy", &[("web1", "alive"), ("web2", "alive")]).await;
        world.serves(&["web1", "web2"]).await;
        assert_eq!(servers(&world).await, before, "{}", world.last_words());
    }
    assert_eq!(worker(&world).await, pid, "HAProxy was adopted, neither reloaded nor restarted");
    none_failed(traffic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_haproxy_comes_back_with_all_its_servers() {
    let world = World::with(&["web1", "web2", "web3"]).await;
    let before = worker(&world).await.expect("HAProxy tells its pid");
    let master = backchat::demo::child::parent_of(before).expect("a worker has a master");
    for pid in [master, before] {
        backchat::demo::child::kill_pid(pid).expect("it runs");
    }
    let back = || async { worker(&world).await.is_some_and(|pid| pid != before) };
    world.eventually("another HAProxy runs", back).await;
    world.serves(&["web1", "web2", "web3"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_deleted_by_hand_comes_back() {
    let world = World::with(&["web1", "web2"]).await;
    let backend = backend_of(&world, "web1").await.expect("web1 is there");
    for command in ["set server {}/web1 state maint", "del server {}/web1"] {
        show(&world, &command.replace("{}", &backend)).await;
    }
    let back = || async { backend_of(&world, "web1").await.is_some() };
    world.eventually("web1 is back", back).await;
    world.serves(&["web1", "web2"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_and_states_changed_by_hand_are_put_right() {
    let world = World::with(&["web1", "web2"]).await;
    let before = servers(&world).await;
    let backend = backend_of(&world, "web1").await.expect("web1 is there");
    show(&world, &format!("set server {backend}/web1 state drain")).await;
    show(&world, &format!("set server {backend}/web2 weight 7")).await;
    let back = || async { servers(&world).await == before };
    world.eventually("the servers are as before", back).await;
}

pub(super) async fn backend_of(world: &World, server: &str) -> Option<String> {
    let state = show(world, "show servers state").await;
    let line = state.lines().find(|line| line.split(' ').nth(3) == Some(server))?;
    Some(line.split(' ').nth(1)?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_haproxy_too_and_keep_leaves_it() {
    let mut world = World::with(&["web1"]).await;
    let lb = world.balancers.get_mut("proxy").unwrap();
    lb.process.terminate().unwrap();
    let status = lb.process.ended(super::world::PATIENCE).await.unwrap();
    assert_eq!(status.and_then(|s| s.code()), Some(0), "{}", world.last_words());
    assert_eq!(worker(&world).await, None);

    world.start_balancer("kept", &["--on-exit", "keep"]).await;
    world.restart_agent("web1", &[]);
    world.serves_at("kept", &["web1"]).await;
    let before = worker_of(&world, "kept").await.expect("HAProxy runs");
    let kept = world.balancers.get_mut("kept").unwrap();
    kept.process.terminate().unwrap();
    kept.process.ended(super::world::PATIENCE).await.unwrap().expect("it ends");
    assert_eq!(worker_of(&world, "kept").await, Some(before));
    world.serves_at("kept", &["web1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_fails_leaves_haproxy_serving() {
    let mut world = World::with(&["web1"]).await;
    let before = worker(&world).await.expect("HAProxy runs");
    let lb = world.balancers.get_mut("proxy").unwrap();
    lb.process.kill().unwrap();
    lb.process.ended(super::world::PATIENCE).await.unwrap().expect("it was killed");
    let nowhere = backchat::demo::ports::free().unwrap().to_string();
    world.restart_balancer_with("proxy", &["--join", &nowhere, "--join-timeout", "500ms"]);
    let lb = world.balancers.get_mut("proxy").unwrap();
    let status = lb.process.ended(super::world::PATIENCE).await.unwrap();
    assert_eq!(status.and_then(|s| s.code()), Some(1), "{}", world.last_words());
    assert_eq!(worker(&world).await, Some(before));
    world.serves(&["web1"]).await;
}
