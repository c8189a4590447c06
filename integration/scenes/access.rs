//! The access log over the life of an lb: written while none runs, and written on by the next.

use backchat::demo::Driver;
use serde_json::Value;

use super::world::{World, get};

/// Killed, its data plane logs on; started again, it goes on; and where the lines go elsewhere than they should, it says so.
pub(super) async fn the_access_log_goes_on_while_its_lb_is_dead(driver: Driver) {
    let mut world = World::empty(driver);
    let file = world.folder.path().join("access.log");
    let flags = ["--access-log", &file.display().to_string(), "--access-log-format", "json"].map(str::to_owned);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    world.start_balancer("proxy", &flags).await;
    world.start_agent("web1", &[]).await;
    world.serves(&["web1"]).await;
    world.converges().await;
    let http = world.proxy().http;
    let logged = |host: &'static str| {
        let file = file.clone();
        move || {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is an object"));
            let found = lines.filter(|line| line["host"] == host && line["service"] == "web").count();
            async move { found == 1 }
        }
    };
    assert_eq!(get(http, "before.example").await.map(|(status, _)| status), Some(200));
    world.eventually("it is logged", logged("before.example")).await;
    world.kill_lb().await;
    assert_eq!(get(http, "dead.example").await.map(|(status, _)| status), Some(200));
    world.eventually("it is logged without an lb", logged("dead.example")).await;
    let before = world.plane("proxy").running().await;
    let joined = world.agents["web1"].gossip.to_string();
    world.restart_balancer_with("proxy", &[&["--join", &joined], &flags[..]].concat());
    world.eventually("it is settled again", || world.is_settled(1)).await;
    assert_eq!(world.plane("proxy").running().await, before, "it was adopted as it was");
    assert_eq!(get(http, "after.example").await.map(|(status, _)| status), Some(200));
    world.eventually("it is logged on", logged("after.example")).await;

    // Rotated by a new name: nginx opens its files anew at a signal, HAProxy never does.
    std::fs::rename(&file, file.with_extension("1")).unwrap();
    let told = || async {
        let status = world.json("proxy", &["status"]).await;
        status.is_some_and(|s| s["access_log"].as_str().is_some_and(|why| why.contains("copytruncate")))
    };
    if driver == Driver::Haproxy {
        world.eventually("it says that the lines go elsewhere", told).await;
    } else {
        assert!(!told().await);
    }
}
