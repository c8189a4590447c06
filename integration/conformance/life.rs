//! The life of a data plane: left alone, tampered with, killed, handed from one daemon to the next.

use std::time::Duration;

use backchat_contract::{Driver, EndpointState, Mode, Step};
use tokio::time::timeout;

use super::{
    bench::Bench,
    rig::Rig,
    web::{LONG, Web},
    words::Wanted,
};

async fn three() -> (Vec<Web>, Wanted) {
    let servers = vec![Web::start("one").await, Web::start("two").await, Web::start("three").await];
    let wanted = Wanted::default()
        .ready("web", "one", servers[0].addr)
        .endpoint("web", "two", servers[1].addr, 50, EndpointState::Ready)
        .draining("web", "three", servers[2].addr)
        .service("empty")
        .route("a.example", "/", "web")
        .route("*.a.example", "/x", "empty");
    (servers, wanted)
}

/// A set that is there already costs no command, no file and no reload.
pub(crate) async fn nothing_to_do_is_nothing_done<R: Rig>() {
    let (_servers, wanted) = three().await;
    let mut bench = Bench::<R>::with(&wanted).await;
    let before = (bench.rig.processes(), bench.rig.file());
    for _ in 0..3 {
        assert_eq!(bench.step(&wanted, Mode::default()).await, (Step::Converged, None));
    }
    assert_eq!((bench.rig.processes(), bench.rig.file()), before);
}

/// What somebody changed behind the driver's back is put right again, and nothing else is touched.
pub(crate) async fn drift_is_repaired<R: Rig>() {
    let (_servers, wanted) = three().await;
    let mut bench = Bench::<R>::with(&wanted).await;
    bench.spreads_over("a.example", &["one", "two"]).await;
    bench.rig.tamper("web", "one", "two").await;
    let way = bench.converge(&wanted).await;
    assert!(!R::ENDPOINTS_WITHOUT_RELOAD || way.reloads() == 0);
    assert!(!way.commands().iter().any(|c| c.contains("/three")), "{:?}", way.commands());
    bench.spreads_over("a.example", &["one", "two"]).await;
}

/// A data plane that was killed is started again and has all its servers before anything is planned.
pub(crate) async fn a_killed_plane_comes_back<R: Rig>() {
    let (_servers, wanted) = three().await;
    let mut bench = Bench::<R>::with(&wanted).await;
    let before = bench.rig.processes();
    bench.rig.kill();
    timeout(LONG, bench.driver.attention()).await.expect("its end is heard");
    let again = timeout(Duration::from_millis(50), bench.driver.attention()).await;
    assert!(again.is_err(), "told twice: a loop that listens would spin");
    bench.driver.ensure().await.unwrap();
    bench.spreads_over("a.example", &["one", "two"]).await;
    let way = bench.converge(&wanted).await;
    assert_eq!(way.reloads(), 0);
    assert!(bench.rig.processes().iter().all(|pid| !before.contains(pid)));
}

/// A data plane that somebody else reloaded has new processes; what is done from then on is done to them.
pub(crate) async fn a_foreign_reload_is_seen<R: Rig>() {
    let (servers, wanted) = three().await;
    let mut bench = Bench::<R>::with(&wanted).await;
    let before = bench.rig.processes();
    bench.rig.reload();
    bench.eventually("new processes", async || bench.rig.processes().iter().any(|pid| !before.contains(pid))).await;
    bench.spreads_over("a.example", &["one", "two"]).await;
    bench.settle(&wanted).await;
    bench.settle(&wanted.ready("web", "three", servers[2].addr)).await;
    bench.spreads_over("a.example", &["one", "three", "two"]).await;
}

/// Another driver on the same folder takes over what runs, as it is.
pub(crate) async fn another_driver_adopts<R: Rig>() {
    let (_servers, wanted) = three().await;
    let mut bench = Bench::<R>::with(&wanted).await;
    let before = (bench.rig.processes(), bench.rig.file());
    bench.driver = bench.rig.driver();
    bench.driver.ensure().await.unwrap();
    assert_eq!(bench.live().await, wanted.0);
    assert_eq!(bench.step(&wanted, Mode::default()).await, (Step::Converged, None));
    assert_eq!((bench.rig.processes(), bench.rig.file()), before);
}

/// The file says what runs, as soon as it runs.
pub(crate) async fn the_file_holds_the_set<R: Rig>() {
    let (servers, wanted) = three().await;
    let mut bench = Bench::<R>::with(&wanted).await;
    assert!(bench.rig.file().contains(&servers[0].addr.to_string()));
    bench.converge(&wanted.without("web", "one")).await;
    assert!(!bench.rig.file().contains(&servers[0].addr.to_string()));
}
