//! A plan is for the process that was read: whoever reloads HAProxy in between makes it void.

use backchat_contract::{Driver, Mode, Report, Step};

use super::HaproxyRig;
use crate::conformance::{bench::Bench, rig::Rig, web::Web, words::Wanted};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_not_carried_over_a_reload() {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let wanted = Wanted::default().ready("web", "one", one.addr).route("a.example", "/", "web");
    let mut bench = Bench::<HaproxyRig>::with(&wanted).await;
    let (wanted, observed) = (wanted.ready("web", "two", two.addr), bench.observe().await);
    let Step::Change(plan) = bench.driver.plan(&wanted.0, &observed, Mode::default()) else { panic!("nothing to do") };
    let before = (bench.rig.processes(), bench.rig.file());
    bench.rig.reload();
    // For a moment the old worker still answers on the socket, and takes what is for it.
    bench
        .eventually("it answers", async || {
            let said = super::ask(&bench.rig.paths().socket, "show info").await;
            !before.0.iter().any(|pid| said.contains(&format!("Pid: {pid}\n")))
        })
        .await;
    let report = bench.driver.apply(plan).await.unwrap();
    assert_eq!(report, Report { stale: true, ..Report::default() });
    assert_eq!(bench.rig.file(), before.1, "nothing was written either");
    bench.settle(&wanted).await;
    bench.spreads_over("a.example", &["one", "two"]).await;
}
