//! A data plane that is stopped, whose worker is killed, that is started again behind our back.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use backchat_contract::{Driver, EndpointId, Mode, Step, Structure};
use backchat_openresty::{ManagedSettings, OpenrestyDriver, config::ConfigSettings};
use rustix::process::Signal;

use super::OpenrestyRig;
use crate::conformance::{
    bench::{Bench, refusal},
    rig::Rig,
    web::{LONG, Reserved, Web},
    words::Wanted,
};
use crate::signal::{halt, send};

async fn serving(web: &Web) -> (Wanted, Bench<OpenrestyRig>) {
    let wanted = Wanted::default().ready("web", "one", web.addr).route("a.example", "/", "web");
    let bench = Bench::with(&wanted).await;
    (wanted, bench)
}

/// Nothing waits for ever: who is stopped is named, and what was wanted meanwhile comes when it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_plane_is_told_and_goes_on() {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let (wanted, mut bench) = serving(&one).await;
    let processes = bench.rig.processes();
    for pid in &processes {
        halt(*pid);
    }
    let error = refusal(bench.driver.ensure().await);
    assert!(error.contains(" is stopped; 'kill -CONT "), "{error}");
    // Somebody who asks all the same hears of it too, within the deadlines.
    assert!(bench.driver.observe().await.is_err());
    for pid in &processes {
        send(*pid, Signal::CONT);
    }
    bench.settle(&wanted.ready("web", "two", two.addr)).await;
    bench.spreads_over("a.example", &["one", "two"]).await;
    assert_eq!(bench.rig.processes(), processes);
}

/// A killed worker's place is taken by one that serves the same; nothing is to be done for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_costs_no_push() {
    let one = Web::start("one").await;
    let (wanted, mut bench) = serving(&one).await;
    let before = bench.rig.workers();
    for pid in &before {
        send(*pid, Signal::KILL);
    }
    bench
        .eventually("fresh workers", async || {
            let now = bench.rig.workers();
            now.len() == 2 && now.iter().all(|pid| !before.contains(pid))
        })
        .await;
    bench.eventually("they answer", async || bench.get("a.example", "/").await == (200, "one".into())).await;
    bench.spreads_over("a.example", &["one"]).await;
    assert_eq!(bench.step(&wanted, Mode::default()).await, (Step::Converged, None));
}

/// What was pushed and is not in the file any more when OpenResty is started again is pushed again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_from_an_older_file_is_pushed_again() {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let (wanted, mut bench) = serving(&one).await;
    let older = bench.rig.file();
    let both = wanted.ready("web", "two", two.addr);
    bench.converge(&both).await;
    let before = bench.observe().await.state.unwrap();
    std::fs::write(bench.rig.paths().config, older).unwrap();
    bench.rig.kill();
    bench.driver.attention().await;
    bench.driver.ensure().await.unwrap();
    bench.spreads_over("a.example", &["one"]).await;
    assert_ne!(bench.observe().await.state.unwrap().boot, before.boot);
    let way = bench.converge(&both).await;
    assert_eq!((way.reloads(), way.commands()), (0, vec!["POST /table: version 3: + web/two"]));
    bench.spreads_over("a.example", &["one", "two"]).await;
}

/// Who refuses is told to be down until it answers; nobody's request is lost over it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_server_is_down_until_it_answers() {
    let (one, late) = (Web::start("one").await, Reserved::new());
    let (wanted, mut bench) = serving(&one).await;
    bench.converge(&wanted.ready("web", "late", late.addr())).await;
    let id = EndpointId { service: "web".parse().unwrap(), endpoint: "late".parse().unwrap() };
    let deadline = Instant::now() + LONG;
    loop {
        assert_eq!(bench.get("a.example", "/").await, (200, "one".into()));
        let observed = bench.observe().await;
        if bench.driver.down(&observed) == BTreeSet::from([id.clone()]) {
            break;
        }
        assert!(Instant::now() < deadline, "never told");
    }
    let _late = late.listen("late");
    bench.spreads_over("a.example", &["late", "one"]).await;
    while !{
        let observed = bench.observe().await;
        bench.driver.down(&observed).is_empty()
    } {
        assert!(Instant::now() < deadline, "down for ever");
        bench.get("a.example", "/").await;
    }
}

/// Another setting takes a reload: held, it waits and endpoints flow; allowed, the table outlives it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_settings_wait_and_endpoints_flow() {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let (wanted, mut bench) = serving(&one).await;
    let settings = bench.rig.settings();
    let config = ConfigSettings { retire: Duration::from_secs(33), ..settings.config.clone() };
    bench.driver = OpenrestyDriver::managed(ManagedSettings { config, ..settings }).unwrap();
    let (held, both) = (Mode { structure: Structure::Held }, wanted.ready("web", "two", two.addr));
    let stands = |step: &Step<_>| matches!(step, Step::Waiting { why, .. } if why.contains("approval"));
    let way = bench.until(&both, held, stands).await;
    assert_eq!(way.reloads(), 0);
    bench.spreads_over("a.example", &["one", "two"]).await;
    let boot = bench.observe().await.state.unwrap().boot;
    let way = bench.converge(&both).await;
    assert_eq!((way.reloads(), way.plans[0].reload.as_deref()), (1, Some("settings or template changed")));
    assert_eq!(bench.observe().await.state.unwrap().boot, boot);
    assert!(bench.rig.file().contains("worker_shutdown_timeout 33s;"));
    bench.spreads_over("a.example", &["one", "two"]).await;
}
