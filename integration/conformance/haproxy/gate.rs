//! Who gets requests after a reload: HAProxy itself would open every server of the new file at once.

use std::time::Duration;

use backchat_contract::{Mode, PlanView, Step};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};

use super::{HaproxyRig, ask, backend_of};
use crate::conformance::{
    bench::Bench,
    rig::Rig,
    web::{self, Web},
    words::Wanted,
};

/// More services than there are spares: only a reload brings them.
fn needs_a_reload(mut wanted: Wanted) -> Wanted {
    for n in 0..=HaproxyRig::SPARE_SERVICES {
        wanted = wanted.service(&format!("empty{n}"));
    }
    wanted
}

/// How often HAProxy chose a server, with success or without.
async fn chosen(rig: &HaproxyRig, service: &str, server: &str) -> u64 {
    let backend = backend_of(&rig.paths().services, service);
    let stat = ask(&rig.paths().socket, "show stat").await;
    let columns: Vec<&str> = stat.lines().next().unwrap().split(',').collect();
    let at = columns.iter().position(|c| *c == "lbtot").unwrap();
    let row = stat.lines().find(|l| l.starts_with(&format!("{backend},{server},"))).unwrap();
    row.split(',').nth(at).unwrap().parse().unwrap()
}

/// A listener that takes no connection yet and refuses none: the first check of it lasts until its timeout.
async fn stuck() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(listener.local_addr().unwrap())).await
    {
        filling.push(stream.unwrap());
    }
    (listener, filling)
}

/// A newcomer that does not serve yet gets nothing though it came with a reload, and its share when it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_opens_no_newcomer() {
    let (one, (late, filling)) = (Web::start("one").await, stuck().await);
    let wanted = Wanted::default().ready("web", "one", one.addr).route("a.example", "/", "web");
    let mut bench = Bench::<HaproxyRig>::with(&wanted).await;
    bench.spreads_over("a.example", &["one"]).await;
    let http = bench.rig.http();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let client = tokio::spawn(async move {
        let mut answers = std::collections::BTreeMap::<_, usize>::new();
        while !*stopped.borrow() {
            *answers.entry(web::get(http, "a.example", "/").await).or_default() += 1;
        }
        answers
    });
    let wanted = needs_a_reload(wanted.ready("web", "late", late.local_addr().unwrap()));
    assert_eq!(bench.converge(&wanted).await.reloads(), 1);
    bench.spreads_over("a.example", &["one"]).await;
    stop.send(true).unwrap();
    let answers = client.await.unwrap();
    assert!(answers.keys().eq([&(200, "one".to_owned())]), "{answers:?}");
    assert_eq!(chosen(&bench.rig, "web", "late").await, 0);
    drop(filling);
    let _late = Web::listen("late", late);
    bench.spreads_over("a.example", &["late", "one"]).await;
}

/// All servers replaced by a reload: who serves goes on until a newcomer can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_leaves_no_service_empty() {
    // It has its port, and refuses until it listens.
    let (old, late) = (Web::start("old").await, TcpSocket::new_v4().unwrap());
    late.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let wanted = Wanted::default().service("web").route("a.example", "/", "web");
    let mut bench = Bench::<HaproxyRig>::with(&wanted.clone().ready("web", "old", old.addr)).await;
    bench.spreads_over("a.example", &["old"]).await;
    let http = bench.rig.http();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let client = tokio::spawn(async move {
        let mut failed = Vec::new();
        while !*stopped.borrow() {
            failed.push(web::get(http, "a.example", "/").await);
            failed.retain(|(status, _)| *status != 200);
        }
        failed
    });
    let wanted = needs_a_reload(wanted.ready("web", "late", late.local_addr().unwrap()));
    let reloads = |step: &Step<PlanView>| matches!(step, Step::Change(plan) if plan.reload.is_some());
    assert_eq!(bench.until(&wanted, Mode::default(), reloads).await.reloads(), 1);
    // Nothing has followed the reload yet: this is what it alone left.
    bench.spreads_over("a.example", &["old"]).await;
    assert_eq!(chosen(&bench.rig, "web", "late").await, 0);
    let _late = Web::listen("late", late.listen(64).unwrap());
    assert_eq!(bench.converge(&wanted).await.reloads(), 0);
    bench.spreads_over("a.example", &["late"]).await;
    stop.send(true).unwrap();
    assert_eq!(client.await.unwrap(), []);
}
