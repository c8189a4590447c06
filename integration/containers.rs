//! Containers, on a real engine: the images of `packaging/docker`, the scene of its `compose.yaml`, and what operators do
//! to both. Where no engine answers, each test says so and passes.

mod elsewhere;
mod engine;
mod images;
mod scene;

use self::{
    engine::{docker, try_docker},
    scene::{Scene, eventually, none_failed},
};

/// Whether the engine is there. Where not, it is said aloud.
fn engine_is_there() -> bool {
    let missing = engine::missing();
    if let Some(why) = missing {
        eprintln!("SKIPPED: the tests of containers: {why}");
    }
    missing.is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_killed_and_scaled_webs_lose_no_request() {
    if !engine_is_there() {
        return;
    }
    let scene = Scene::up("scale").await;
    let words = || scene.last_words();
    let webs = scene.webs();

    let traffic = scene.traffic();
    docker(&["stop", &webs[1]]);
    none_failed("docker stop", traffic, words).await;
    scene.sees(&webs[1], "left").await;
    docker(&["start", &webs[1]]);
    scene.serves(&webs).await;

    let traffic = scene.traffic();
    docker(&["kill", &webs[1]]);
    scene.sees(&webs[1], "failed").await;
    scene.says("services", "the killed one is out", |all| all["services"][0]["total"] == 1).await;
    println!("docker kill: no new request after {:?}", scene.let_go_after(&webs[1]));
    none_failed("docker kill", traffic, words).await;
    docker(&["start", &webs[1]]);
    scene.serves(&webs).await;

    let traffic = scene.traffic();
    scene.scale(10);
    assert_eq!(scene.webs().len(), 10);
    scene.serves(&scene.webs()).await;
    scene.scale(2);
    scene.serves(&scene.webs()).await;
    none_failed("2 → 10 → 2", traffic, words).await;
    let status = scene.asks(&["status"]).expect("the balancer answers");
    assert_eq!(status["reloads"], 0, "{status:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_and_unplugged_containers_are_treated_as_the_guard_says() {
    if !engine_is_there() {
        return;
    }
    let scene = Scene::up("guard").await;
    let (network, webs, balancer) = (scene.network(), scene.webs(), scene.balancer());
    let traffic = scene.traffic();
    let gone = |all: &serde_json::Value| all["services"][0]["total"] == 1 && all["services"][0]["held"] == 0;

    // One of two: a minority of the members, which goes.
    docker(&["pause", &webs[1]]);
    scene.sees(&webs[1], "failed").await;
    scene.says("services", "the paused one is out", gone).await;
    scene.none_fails(&traffic).await;
    docker(&["unpause", &webs[1]]);
    scene.serves(&webs).await;
    scene.none_fails(&traffic).await;

    // Another container has taken its address when it is back.
    docker(&["network", "disconnect", &network, &webs[1]]);
    scene.says("services", "the unplugged one is out", gone).await;
    scene.none_fails(&traffic).await;
    scene.scale(3);
    docker(&["network", "connect", &network, &webs[1]]);
    scene.serves(&scene.webs()).await;
    scene.none_fails(&traffic).await;

    // The balancer itself: nobody answers it, so what it has stays.
    drop(traffic);
    docker(&["network", "disconnect", &network, &balancer]);
    let held = scene.says("status", "all are held", |status| held(status) == 3).await;
    let services = scene.asks(&["services"]).expect("the balancer answers");
    assert_eq!((&services["services"][0]["total"], &held["reloads"]), (&3.into(), &0.into()), "{services:#} {held:#}");
    docker(&["network", "connect", "--alias", "balancer", &network, &balancer]);
    let status = scene.says("status", "nobody is held", held_none).await;
    assert_eq!((&status["reloads"], &status["flapping"]), (&0.into(), &serde_json::json!([])), "{status:#}");
    scene.serves(&scene.webs()).await;
    scene.none_fails(&scene.traffic()).await;

    // Requests meanwhile fail, for nobody listens. It comes back with all that it had.
    docker(&["restart", &balancer]);
    scene.serves(&scene.webs()).await;
    scene.none_fails(&scene.traffic()).await;
}

/// How many endpoints the guard keeps.
fn held(status: &serde_json::Value) -> usize {
    let holds = status["held"].as_array().into_iter().flatten();
    holds.map(|hold| hold["endpoints"].as_array().map_or(0, Vec::len)).sum()
}

fn held_none(status: &serde_json::Value) -> bool {
    status["held"].as_array().is_some_and(Vec::is_empty)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_container_is_root_or_writes_and_each_says_how_it_is() {
    if !engine_is_there() {
        return;
    }
    let scene = Scene::up("rights").await;
    let all: Vec<_> = scene.webs().into_iter().chain([scene.balancer()]).collect();
    for id in &all {
        let healthy = || async { docker(&["inspect", "-f", "{{.State.Health.Status}}", id]) == "healthy" };
        eventually("a container is healthy", healthy, || scene.last_words()).await;
        assert_eq!(docker(&["exec", id, "id", "-u"]), "10001");
        let capabilities = docker(&["exec", id, "grep", "CapBnd", "/proc/1/status"]);
        assert!(capabilities.ends_with("0000000000000000"), "{capabilities}");
        let write = try_docker(&["exec", id, "touch", "/usr/bin/x", "/etc/x"]);
        assert!(String::from_utf8_lossy(&write.stderr).contains("Read-only file system"), "{write:?}");
    }
    // Its own word, not that of what it does: a web that is stopped there is unhealthy as soon as it is asked.
    let asked = try_docker(&["exec", &scene.balancer(), "backchat", "status", "--ready"]);
    assert!(asked.status.success(), "{asked:?}");
    let asked = try_docker(&["exec", &scene.balancer(), "backchat", "status", "--alive", "--admin", "unix:/none"]);
    assert_eq!(asked.status.code(), Some(69), "{asked:?}");
}
