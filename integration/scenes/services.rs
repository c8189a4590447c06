//! How the operator wants services balanced: said in the configuration, and done by the real program.

use std::{fs, net::SocketAddr, process::Command};

use backchat::demo::Driver;

use super::world::{PATIENCE, World, backchat, free};
use crate::conformance;

/// A request with these headers too.
async fn asked(to: SocketAddr, headers: &[(&str, &str)]) -> conformance::Answer {
    conformance::ask(to, "any.example", "/", headers).await
}

fn write(world: &World, text: &str) -> String {
    let path = world.folder.path().join("lb.toml");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Members with a tag serve a part of the traffic, and leave it as any others: without a request lost.
pub(super) async fn a_tag_makes_a_canary(driver: Driver) {
    let mut world = World::empty(driver);
    let config = write(
        &world,
        r#"
        [services.web]
        allow = ["127.0.0.0/8"]
        response-headers = { X-Served-By = "backchat" }
        [[services.web.canary]]
        tag = "version=2"
        header = "X-Try: canary"
        "#,
    );
    world.start_balancer("proxy", &["--config", &config]).await;
    world.start_agent("web1", &["--tag", "version=1"]).await;
    world.serves(&["web1"]).await;
    world.converges().await;
    let (text, _) = world.status_text().await;
    assert!(text.contains("web.canary: no endpoint answers, so its requests go to its service"), "{text}");
    world.start_agent("web2", &["--tag", "version=2"]).await;
    let http = world.proxy().http;
    let tries = async || asked(http, &[("X-Try", "canary")]).await;
    world.eventually("the canary is asked", || async { tries().await.body.trim() == "web2" }).await;
    world.converges().await;
    for _ in 0..10 {
        let answer = asked(http, &[]).await;
        assert_eq!((answer.body.trim(), answer.header("x-served-by")), ("web1", Some("backchat")));
    }
    let services = world.json("proxy", &["services"]).await.expect("services answers");
    let names: Vec<_> = services["services"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["web", "web.canary"], "{services:#}");
    let told = world.json("proxy", &["explain", "web2"]).await.expect("it explains");
    assert!(told.to_string().contains("web.canary"), "{told:#}");
    let told = world.json("proxy", &["explain", "http://any.example/"]).await.expect("it explains");
    let canary = &told["request"]["canaries"][0];
    assert_eq!(
        (&canary["service"], &canary["picks"]),
        (&"web.canary".into(), &"header x-try: canary".into()),
        "{told:#}"
    );
    assert_eq!(canary["by"][0]["name"], "web2", "{told:#}");
    assert_eq!(told["request"]["rules"][0], "others than 127.0.0.0/8 are answered 403", "{told:#}");

    // It leaves while it is asked.
    let load = tokio::spawn(async move {
        let mut seen = Vec::new();
        loop {
            let answer = asked(http, &[("X-Try", "canary")]).await;
            seen.push((answer.status, answer.body.trim().to_owned()));
            if seen.iter().rev().take(20).all(|(_, who)| who == "web1") && seen.len() > 40 {
                return seen;
            }
        }
    });
    let canary = world.agents.remove("web2").expect("it was there");
    assert!(canary.process.stop(PATIENCE).await.expect("it ends").success(), "{}", world.last_words());
    let seen = load.await.unwrap();
    assert!(seen.iter().all(|(status, _)| *status == 200), "{seen:?}");
}

/// What a data plane cannot do is an error that names it, with the status of a bad configuration, before anything is
/// bound or written.
pub(super) async fn what_cannot_be_done_is_said_before_anything_is_applied(driver: Driver) {
    let world = World::empty(driver);
    let refused = |text: &str, more: &[&str]| {
        let config = write(&world, text);
        let run_dir = world.folder.path().join("refused");
        let listen = free().to_string();
        let said = Command::new(backchat())
            .args(["lb", "--node", "refused", "--bind", "127.0.0.1:0", "--listen", &listen, "--config", &config])
            .args(["--driver", driver.name(), "--run-dir", &run_dir.display().to_string()])
            .args(more)
            .output()
            .unwrap();
        let error = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(78), "{error}");
        assert!(!run_dir.join("nginx.conf").exists() && !run_dir.join("haproxy.cfg").exists(), "something is written");
        error.lines().last().unwrap_or_default().to_owned()
    };
    let line = refused("\n[services.web]\nretrys = 1\n", &[]);
    assert!(line.contains("lb.toml:3:1: unknown field `retrys`"), "{line}");
    let line = refused("[services.web]\nredirect-https = true\n", &[]);
    assert!(line.contains("services.web: redirect-https needs --tls-listen"), "{line}");
    let line = refused("[services.db]\nsticky = 'a'\n", &["--tcp-listen", "127.0.0.1:1=db"]);
    assert!(line.contains("services.db: sticky is for HTTP"), "{line}");
    if driver != Driver::Haproxy {
        for (key, why) in [("slow-start = '5s'", "slow-start: "), ("check = { path = '/up' }", "check: ")] {
            let line = refused(&format!("[services.web]\n{key}\n"), &[]);
            assert!(line.contains("service web") && line.contains(why), "{line}");
        }
    }
    if driver == Driver::Openresty {
        let line = refused("", &["--tcp-listen", "127.0.0.1:1=db"]);
        assert!(line.contains("127.0.0.1:1=db") && line.contains("--openresty-mode reload"), "{line}");
    }
}
