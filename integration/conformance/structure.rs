//! Structure: what needs a reload and what does not, and who may forbid it.

use backchat_contract::{Driver, Mode, Step, Structure};

use super::{bench::Bench, rig::Rig, web::Web, words::Wanted};

/// So many services, each with one server of its own.
async fn services(count: usize) -> (Vec<Web>, Wanted) {
    let mut servers = Vec::new();
    let mut wanted = Wanted::default();
    for n in 0..count {
        let name = format!("s{n}");
        let server = Web::start(&name).await;
        wanted = wanted.ready(&name, "one", server.addr).route(&format!("{name}.example"), "/", &name);
        servers.push(server);
    }
    (servers, wanted)
}

async fn all_answer<R: Rig>(bench: &Bench<R>, count: usize) {
    for n in 0..count {
        bench.comes_to(&format!("s{n}.example"), "/", 200, &format!("s{n}")).await;
    }
}

/// New services go without a reload as long as the data plane has room for them; going and coming back too.
pub(crate) async fn new_services_need_no_reload<R: Rig>() {
    let (_servers, wanted) = services(R::SPARE_SERVICES).await;
    let mut bench = Bench::<R>::start().await;
    let way = bench.converge(&wanted).await;
    all_answer(&bench, R::SPARE_SERVICES).await;
    assert_eq!(way.reloads(), 0, "{:?}", way.plans);
    if R::SPARE_SERVICES > 0 {
        let fewer = wanted.clone().without_service("s0");
        let way = bench.converge(&fewer).await;
        assert_eq!((way.reloads(), bench.get("s0.example", "/").await.0), (0, 404));
        assert_eq!(bench.converge(&wanted).await.reloads(), 0);
        bench.comes_to("s0.example", "/", 200, "s0").await;
    }
}

/// More services than that take one reload for all, and serve; the next ones have room again.
pub(crate) async fn more_services_than_spares<R: Rig>() {
    let count = R::SPARE_SERVICES + 8;
    let (_servers, wanted) = services(count + 1).await;
    let last = format!("s{count}");
    let mut bench = Bench::<R>::start().await;
    let way = bench.converge(&wanted.clone().without_service(&last)).await;
    all_answer(&bench, count).await;
    assert_eq!(way.reloads(), 1);
    let why = way.plans.iter().find_map(|p| p.reload.clone()).unwrap();
    assert!(!why.is_empty());
    let way = bench.converge(&wanted).await;
    all_answer(&bench, count + 1).await;
    assert_eq!(way.reloads(), usize::from(R::SPARE_SERVICES == 0));
}

/// A file that somebody edited is not written over; endpoints flow on, but where they come by this file; `--force` writes
/// over it.
pub(crate) async fn an_edited_file_blocks<R: Rig>() {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let wanted = Wanted::default().ready("web", "one", one.addr).route("a.example", "/", "web");
    let mut bench = Bench::<R>::with(&wanted).await;
    bench.rig.edit();
    let edited = bench.rig.file();
    let observed = bench.observe().await;
    assert!(bench.driver.plane(&observed).blocked.is_some());

    let (before, wanted) = (wanted.clone(), wanted.ready("web", "two", two.addr));
    bench
        .until(&wanted, Mode::default(), |step| matches!(step, Step::Waiting { recheck, .. } if recheck.as_secs() > 0))
        .await;
    let flows = R::ENDPOINTS_WITHOUT_RELOAD;
    assert_eq!(bench.live().await, if flows { wanted.0.clone() } else { before.0 });
    bench.spreads_over("a.example", if flows { &["one", "two"] } else { &["one"] }).await;
    assert_eq!(bench.rig.file(), edited);

    let forced = Mode { structure: Structure::Forced };
    bench.until(&wanted, forced, |step| *step == Step::Converged).await;
    assert_ne!(bench.rig.file(), edited);
    let observed = bench.observe().await;
    assert_eq!(bench.driver.plane(&observed).blocked, None);
    bench.converge(&wanted).await;
    bench.spreads_over("a.example", &["one", "two"]).await;
}

/// Held structure waits and says so; what needs none flows.
pub(crate) async fn held_structure_waits<R: Rig>() {
    let count = R::SPARE_SERVICES + 1;
    let (_servers, wanted) = services(count).await;
    let mut bench = Bench::<R>::start().await;
    let held = Mode { structure: Structure::Held };
    let stands = |step: &Step<_>| matches!(step, Step::Waiting { why, .. } if why.contains("approval"));
    let way = bench.until(&wanted, held, stands).await;
    assert_eq!(way.reloads(), 0);
    all_answer(&bench, R::SPARE_SERVICES.min(8)).await;
    assert_eq!(bench.converge(&wanted).await.reloads(), 1);
    all_answer(&bench, count).await;
}
