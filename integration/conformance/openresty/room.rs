//! Shared memory: a table that does not fit is refused and changes nothing; one that needs more room gets it.

use backchat_contract::{Driver, EndpointState, Mode, Step};
use backchat_openresty::{ManagedSettings, OpenrestyDriver, config::ConfigSettings};

use super::OpenrestyRig;
use crate::conformance::{bench::Bench, rig::Rig, web::Web, words::Wanted};

/// So many servers that nobody asks, with long names.
fn nobody(wanted: Wanted, count: u16) -> Wanted {
    let long = "n".repeat(64);
    (0..count).fold(wanted, |wanted, n| {
        let addr = (std::net::Ipv4Addr::new(10, 0, 0, 1), n + 1).into();
        wanted.endpoint("web", &format!("{n}{long}"), addr, 0, EndpointState::Ready)
    })
}

/// A driver whose template gives the table only so much.
fn small(rig: &OpenrestyRig, kib: u64) -> OpenrestyDriver {
    let mut settings = rig.settings();
    let text = &mut settings.config.template.text;
    *text = text.replace("backchat_table {{ dicts.table }}k", &format!("backchat_table {kib}k"));
    OpenrestyDriver::managed(settings).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_refused_and_changes_nothing() {
    let one = Web::start("one").await;
    let rig = OpenrestyRig::new();
    let mut driver = small(&rig, 128);
    driver.ensure().await.unwrap();
    let mut bench = Bench { rig, driver };
    let wanted = Wanted::default().ready("web", "one", one.addr).route("a.example", "/", "web");
    bench.converge(&wanted).await;
    let before = (bench.rig.processes(), bench.rig.file());
    let large = nobody(wanted.clone(), 2_000);
    for _ in 0..2 {
        let observed = bench.observe().await;
        let Step::Change(plan) = bench.driver.plan(&large.0, &observed, Mode::default()) else {
            panic!("nothing to do")
        };
        let report = bench.driver.apply(plan).await.unwrap();
        let [refused] = &report.refused[..] else { panic!("{report:?}") };
        assert!(refused.command.starts_with("POST /table: version 3: + web/0n"), "{refused:?}");
        assert!(refused.reply.starts_with("507 "), "{refused:?}");
        assert_eq!((bench.live().await, bench.get("a.example", "/").await), (wanted.0.clone(), (200, "one".into())));
    }
    assert_eq!((bench.rig.processes(), bench.rig.file()), before);
    // What fits goes as ever.
    bench.converge(&nobody(wanted, 5)).await;
}

/// Where the template lets it, one reload makes room and brings the table; nobody is lost over it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn room_is_made_by_one_reload() {
    let one = Web::start("one").await;
    let rig = OpenrestyRig::new();
    let mut driver = small(&rig, 64);
    driver.ensure().await.unwrap();
    let mut bench = Bench { rig, driver };
    let wanted = Wanted::default().ready("web", "one", one.addr).route("a.example", "/", "web");
    bench.converge(&wanted).await;
    let boot = bench.observe().await.state.unwrap().boot;
    let settings = bench.rig.settings();
    let config = ConfigSettings { ..settings.config.clone() };
    bench.driver = OpenrestyDriver::managed(ManagedSettings { config, ..settings }).unwrap();
    let way = bench.converge(&nobody(wanted, 2_000)).await;
    assert_eq!((way.reloads(), way.plans[0].reload.as_deref()), (1, Some("shared memory of 64 KiB, 16384 needed")));
    let state = bench.observe().await.state.unwrap();
    assert!(state.boot != boot && state.capacity == 16 << 20, "{} {}", state.boot, state.capacity);
    bench.spreads_over("a.example", &["one"]).await;
}
