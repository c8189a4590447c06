//! The life of the process: killed, orphaned, stopped, found again.

use std::{fs, time::Duration};

use backchat_contract::{Driver, DriverError, Idle, Step};
use backchat_nginx::{NginxDriver, titles};
use rustix::process::Signal;
use tokio::time::{Instant, timeout};

use super::{
    rig::{Rig, draining, eventually, id, pid, signal_to, web as wanted},
    web::{self, LONG, Web},
};

/// Killed with all its workers it leaves a socket and a pid file, at which another nginx would fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_kill_leaves_is_no_obstacle() {
    let server = Web::start("one").await;
    let desired = wanted(&[("one", server.addr)]);
    let mut rig = Rig::with(&desired).await;
    let paths = rig.paths();
    rustix::process::kill_process_group(pid(rig.master().unwrap()).unwrap(), Signal::KILL).unwrap();
    timeout(LONG, rig.driver.attention()).await.expect("its end is heard");
    assert!(paths.control.exists() && paths.pid.exists());
    assert_eq!(rig.converge(&desired).await, 0);
    assert_eq!(rig.get("/").await, (200, "one".into()));
}

/// The master alone is killed: its workers serve on and hold the ports. They end what they have, and another nginx serves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphaned_workers_end_what_they_have() {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let desired = wanted(&[("one", one.addr)]);
    let mut rig = Rig::with(&desired).await;
    let http = rig.http;
    let asked = tokio::spawn(async move { web::ask(http, "GET", super::rig::HOST, "/hold").await });
    one.holds(1).await;
    let before = rig.serving();
    rig.signal(Signal::KILL);
    timeout(LONG, rig.driver.attention()).await.expect("its end is heard");
    assert_eq!(rig.converge(&desired).await, 0);
    assert!(rig.serving().iter().all(|pid| !before.contains(pid)));

    // What it may have is not idle, whoever asks.
    let next = draining(wanted(&[("one", one.addr), ("two", two.addr)]), "one");
    rig.until(&next, |step| matches!(step, Step::Waiting { .. })).await;
    for _ in 0..2 {
        let observed = rig.observe().await;
        assert_eq!((rig.driver.idle(&observed, &id("one")), observed.retiring()), (Idle::No, 1));
        rig.driver = NginxDriver::managed(rig.settings());
    }
    assert_eq!(rig.get("/").await, (200, "two".into()));
    one.release();
    assert_eq!(asked.await.unwrap(), (200, "one".into()));
    rig.converge(&next).await;
    let observed = rig.observe().await;
    assert_eq!((rig.driver.idle(&observed, &id("one")), observed.retiring()), (Idle::Yes, 0));
}

/// A worker bears its master's title until it has written its own. Where the master is killed in that moment, the worker
/// is not taken for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_just_born_is_no_master() {
    let server = Web::start("one").await;
    let desired = wanted(&[("one", server.addr)]);
    let mut rig = Rig::with(&desired).await;
    for _ in 0..10 {
        let (master, before) = (rig.master().unwrap(), rig.serving());
        signal_to(before[0], Signal::KILL);
        at_once("another worker", || titles::children(master).iter().any(|child| !before.contains(&child.pid)));
        signal_to(master, Signal::KILL);
        at_once("the master's end", || !titles::is_master(master));
        // Another daemon: one that had seen so many ends would wait before each start.
        rig.driver = NginxDriver::managed(rig.settings());
        rig.converge(&desired).await;
        assert_eq!(rig.get("/").await, (200, "one".into()));
        let now = rig.master().unwrap();
        assert!(now != master && rig.serving().iter().all(|pid| titles::parent(*pid) == Some(now)));
    }
}

/// Waits without a pause: what comes next is to come in the moment in which it holds.
fn at_once(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::yield_now();
    }
}

/// The check of a file makes an empty pid file where there is none: nginx is found all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_pid_file_hides_nobody() {
    let desired = wanted(&[]);
    let mut rig = Rig::with(&desired).await;
    let (paths, before) = (rig.paths(), rig.serving());
    fs::remove_file(&paths.pid).unwrap();
    let mut check = std::process::Command::new(super::rig::program());
    check.arg("-t").arg("-q").arg("-c").arg(&paths.config).arg("-e").arg(&paths.log);
    assert!(check.status().unwrap().success());
    assert_eq!(fs::read_to_string(&paths.pid).unwrap(), "", "this is what is guarded against");
    rig.driver = NginxDriver::managed(rig.settings());
    assert_eq!(rig.converge(&desired).await, 0);
    assert_eq!(rig.serving(), before);
}

/// Whatever of it is stopped, that is said at once, and it is driven again afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_process_is_told() {
    let server = Web::start("one").await;
    let (desired, next) = (wanted(&[]), wanted(&[("one", server.addr)]));
    let mut rig = Rig::with(&desired).await;
    for stopped in [rig.master().unwrap(), rig.serving()[0]] {
        signal_to(stopped, Signal::STOP);
        timeout(LONG, rig.driver.attention()).await.expect("it is seen");
        let error = rig.driver.ensure().await.unwrap_err();
        let DriverError::Unreachable { cause, .. } = &error else { panic!("{error}") };
        assert_eq!(*cause, format!("its process {stopped} is stopped; 'kill -CONT {stopped}' lets it go on"));
        signal_to(stopped, Signal::CONT);
        timeout(LONG, rig.driver.attention()).await.expect("it is seen");
    }
    assert_eq!(rig.converge(&next).await, 1);
}

/// Stopped in the middle of a step no wait is for ever, and whatever came of the reload is known afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_is_not_heard_ends() {
    let server = Web::start("one").await;
    let (desired, next) = (wanted(&[]), wanted(&[("one", server.addr)]));
    let mut rig = Rig::with(&desired).await;
    let mut settings = rig.settings();
    settings.limits.reload = Duration::from_millis(500);
    rig.driver = NginxDriver::managed(settings);
    let observed = rig.observe().await;
    let Step::Change(plan) = rig.driver.plan(&next, &observed, backchat_contract::Mode::default()) else { panic!() };
    let before = rig.file();
    let worker = rig.serving()[0];
    signal_to(worker, Signal::STOP);
    let begun = Instant::now();
    // The question may reach the one that is stopped, or the other.
    let done = rig.driver.apply(plan).await;
    assert!(begun.elapsed() < LONG, "{done:?}");
    signal_to(worker, Signal::CONT);
    eventually("the workers of before retire", async || !rig.serving().contains(&worker) || rig.file() == before).await;
    rig.converge(&next).await;
    assert_eq!(rig.get("/").await, (200, "one".into()));
}

/// A file cut in the middle, or one that nginx does not take: the last good one is started from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_good_file_is_started_from() {
    let (a, b) = (Web::start("a").await, Web::start("b").await);
    let mut rig = Rig::with(&wanted(&[("a", a.addr)])).await;
    rig.converge(&wanted(&[("b", b.addr)])).await;
    rig.driver.stop(Duration::from_secs(5)).await.unwrap();
    assert_eq!(titles::master_of(&rig.paths().config), None);
    let text = rig.file();
    fs::write(rig.paths().config, &text[..text.len() / 2]).unwrap();
    let observed = rig.observe().await;
    assert_eq!(rig.driver.live(&observed), wanted(&[("a", a.addr)]));
    assert_eq!(rig.get("/").await, (200, "a".into()));
}

/// What lies there and is not ours is not written over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_file_is_refused() {
    let mut rig = Rig::new();
    fs::write(rig.paths().config, "events {}\n").unwrap();
    let error = rig.driver.ensure().await.unwrap_err().to_string();
    assert!(error.starts_with("write over ") && error.contains("it is not backchat's; move it away"), "{error}");
    assert_eq!(rig.file(), "events {}\n");
}

/// One that ends as soon as it starts says why, and is not started in a loop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_fails_says_why() {
    let mut rig = Rig::new();
    let _holder = std::net::TcpListener::bind(rig.http).unwrap();
    let error = rig.driver.ensure().await.unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("start {}: it ended at once: bind() to {} failed", super::rig::program(), rig.http)),
        "{error}"
    );
}

/// The end of an nginx of ours leaves nothing behind, and cuts nobody within the deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_waits_for_requests() {
    let server = Web::start("one").await;
    let mut rig = Rig::with(&wanted(&[("one", server.addr)])).await;
    let http = rig.http;
    let asked = tokio::spawn(async move { web::ask(http, "GET", super::rig::HOST, "/hold").await });
    server.holds(1).await;
    let master = rig.master().unwrap();
    let stop = async {
        let stopped = rig.driver.stop(LONG).await;
        (stopped, titles::is_master(master))
    };
    let release = async {
        eventually("no new connection", async || tokio::net::TcpStream::connect(http).await.is_err()).await;
        server.release();
    };
    let ((stopped, runs), ()) = tokio::join!(stop, release);
    stopped.unwrap();
    assert!(!runs);
    assert_eq!(asked.await.unwrap(), (200, "one".into()));
    assert!(!rig.paths().control.exists() && !rig.paths().pid.exists());
}
