//! Endpoints: who gets requests, from when, and until when.

use backchat_contract::{Driver, EndpointId, EndpointState, Idle, Mode, Step};

use super::{
    bench::Bench,
    rig::Rig,
    web::{self, Reserved, Web},
    words::Wanted,
};

const HOST: &str = "www.example.com";

fn web_service() -> Wanted {
    Wanted::default().service("web").route(HOST, "/", "web")
}

/// Endpoints come and go, requests follow, and nothing is reloaded for it.
pub(crate) async fn come_and_go<R: Rig>() {
    let (one, two, three) = (Web::start("one").await, Web::start("two").await, Web::start("three").await);
    let mut bench = Bench::<R>::with(&web_service()).await;
    let mut way = bench.converge(&web_service().ready("web", "one", one.addr).ready("web", "two", two.addr)).await;
    bench.spreads_over(HOST, &["one", "two"]).await;
    let wanted = web_service().ready("web", "two", two.addr).ready("web", "three", three.addr);
    way.reports.extend(bench.converge(&wanted).await.reports);
    bench.spreads_over(HOST, &["three", "two"]).await;
    way.reports.extend(bench.converge(&web_service()).await.reports);
    assert_eq!(bench.get(HOST, "/").await.0, 503);
    assert!(!R::ENDPOINTS_WITHOUT_RELOAD || way.reloads() == 0, "{} reloads", way.reloads());
}

/// An address is an address, whatever its family.
pub(crate) async fn both_families<R: Rig>() {
    let (four, six) = (Web::start("four").await, Web::on("six", "[::1]:0").await);
    let mut bench = Bench::<R>::with(&web_service()).await;
    bench.converge(&web_service().ready("web", "six", six.addr)).await;
    bench.spreads_over(HOST, &["six"]).await;
    bench.converge(&web_service().ready("web", "six", six.addr).ready("web", "four", four.addr)).await;
    bench.spreads_over(HOST, &["four", "six"]).await;
    // From one family to the other.
    let moved = web_service().ready("web", "six", four.addr);
    bench.converge(&moved).await;
    bench.spreads_over(HOST, &["four"]).await;
    bench.converge(&web_service().ready("web", "six", six.addr)).await;
    bench.spreads_over(HOST, &["six"]).await;
}

/// Requests follow the weights; 0 gets none.
pub(crate) async fn weigh<R: Rig>() {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let ready = EndpointState::Ready;
    let weights = |first, second| {
        let wanted = web_service().endpoint("web", "one", one.addr, first, ready);
        wanted.endpoint("web", "two", two.addr, second, ready)
    };
    let mut bench = Bench::<R>::with(&weights(100, 100)).await;
    bench.spreads_over(HOST, &["one", "two"]).await;
    bench.converge(&weights(0, 100)).await;
    bench.spreads_over(HOST, &["two"]).await;
    bench.converge(&weights(30, 10)).await;
    bench.spreads_over(HOST, &["one", "two"]).await;
    let before = (one.begun(), two.begun());
    for _ in 0..80 {
        assert_eq!(bench.get(HOST, "/").await.0, 200);
    }
    let (first, second) = (one.begun() - before.0, two.begun() - before.1);
    assert!((50..=70).contains(&first) && first + second == 80, "{first} and {second}");
}

/// What drains gets nothing new, ends what it has, and only then is idle; then it goes, or comes back.
pub(crate) async fn drain_without_loss<R: Rig>() {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let mut bench = Bench::<R>::with(&web_service().ready("web", "one", one.addr)).await;
    bench.spreads_over(HOST, &["one"]).await;
    let http = bench.rig.http();
    let request = tokio::spawn(async move { web::get(http, HOST, "/hold").await });
    one.holds(1).await;
    let both = web_service().ready("web", "one", one.addr).ready("web", "two", two.addr);
    bench.converge(&both).await;
    bench.spreads_over(HOST, &["one", "two"]).await;

    let draining = web_service().draining("web", "one", one.addr).ready("web", "two", two.addr);
    bench.until(&draining, Mode::default(), |step| matches!(step, Step::Waiting { .. })).await;
    assert_eq!(bench.live().await, draining.0);
    bench.spreads_over(HOST, &["two"]).await;
    let id = EndpointId { service: "web".parse().unwrap(), endpoint: "one".parse().unwrap() };
    let observed = bench.observe().await;
    assert_ne!(bench.driver.idle(&observed, &id), Idle::Yes);

    one.release();
    assert_eq!(request.await.unwrap(), (200, "one".to_owned()));
    bench.converge(&draining).await;
    let observed = bench.observe().await;
    assert_ne!(bench.driver.idle(&observed, &id), Idle::No);
    bench.converge(&both).await;
    bench.spreads_over(HOST, &["one", "two"]).await;
    bench.converge(&both.without("web", "one")).await;
    bench.spreads_over(HOST, &["two"]).await;
}

/// A server that goes with requests in flight ends them first.
pub(crate) async fn move_without_loss<R: Rig>() {
    let (old, new) = (Web::start("old").await, Web::start("new").await);
    let mut bench = Bench::<R>::with(&web_service().ready("web", "one", old.addr)).await;
    bench.spreads_over(HOST, &["old"]).await;
    let http = bench.rig.http();
    let request = tokio::spawn(async move { web::get(http, HOST, "/hold").await });
    old.holds(1).await;
    bench.converge(&web_service().ready("web", "one", new.addr)).await;
    bench.comes_to(HOST, "/", 200, "new").await;
    bench.spreads_over(HOST, &["new"]).await;
    old.release();
    assert_eq!(request.await.unwrap(), (200, "old".to_owned()));
}

/// A server that is announced before it listens gets nothing until it does.
pub(crate) async fn only_listeners_get_requests<R: Rig>() {
    let (one, late) = (Web::start("one").await, Reserved::new());
    let mut bench = Bench::<R>::with(&web_service().ready("web", "one", one.addr)).await;
    bench.spreads_over(HOST, &["one"]).await;
    bench.converge(&web_service().ready("web", "one", one.addr).ready("web", "late", late.addr())).await;
    for _ in 0..50 {
        assert_eq!(bench.get(HOST, "/").await, (200, "one".to_owned()));
    }
    let late = late.listen("late");
    bench.spreads_over(HOST, &["late", "one"]).await;
    assert!(late.begun() > 0);
}

/// All servers replaced at once: the old ones serve until a new one can.
pub(crate) async fn swap_without_a_gap<R: Rig>() {
    let (old, new) = (Web::start("old").await, Web::start("new").await);
    let mut bench = Bench::<R>::with(&web_service().ready("web", "old", old.addr)).await;
    bench.spreads_over(HOST, &["old"]).await;
    let http = bench.rig.http();
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let client = tokio::spawn(async move {
        let mut failed = Vec::new();
        while !*stopped.borrow_and_update() {
            let (status, body) = web::get(http, HOST, "/").await;
            if status != 200 {
                failed.push((status, body));
            }
        }
        failed
    });
    bench.converge(&web_service().ready("web", "new", new.addr)).await;
    bench.spreads_over(HOST, &["new"]).await;
    stop.send(true).unwrap();
    assert_eq!(client.await.unwrap(), []);
}
