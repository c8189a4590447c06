//! Each kind of look against what it looks at, and a check at work run by run.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, http::HeaderMap, response::Redirect, routing::get};
use tokio::{net::TcpListener, sync::watch as channel};

use super::*;
use crate::lifecycle::Phase;

const PATIENCE: Duration = Duration::from_secs(20);

fn check(target: &str, port: u16) -> Check {
    let pace = Pace { interval: Duration::from_millis(10), timeout: Duration::from_millis(500), ..Pace::default() };
    let (service, host) = ("web".to_owned(), Some("www.example.com".to_owned()));
    Check { service, target: target.parse().unwrap(), port, host, pace, first_only: false }
}

fn loopback() -> Own {
    Box::new(|| [127, 0, 0, 1].into())
}

async fn look(target: &str, port: u16) -> Result<(), String> {
    Probe::new(check(target, port), loopback(), Shell::Loose).look().await
}

async fn site() -> SocketAddr {
    let asked = |headers: HeaderMap| async move {
        let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
        if host == "www.example.com" { Ok("fine") } else { Err((axum::http::StatusCode::MISDIRECTED_REQUEST, host)) }
    };
    let site = Router::new()
        .route("/host", get(asked))
        .route("/moved", get(async || Redirect::temporary("/nowhere")))
        .route("/hangs", get(async || std::future::pending::<()>().await));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, site).into_future());
    addr
}

#[tokio::test]
async fn what_passes_and_why_not() {
    let addr = site().await;
    let port = addr.port();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let not = |why: String| Err(why);
    for (target, expected) in [
        ("tcp://".to_owned(), Ok(())),
        (format!("tcp://localhost:{port}"), Ok(())),
        (format!("tcp://:{closed}"), not(format!("tcp 127.0.0.1:{closed}: connection refused"))),
        ("http:///host".into(), Ok(())),
        (format!("http://localhost:{port}/host"), not(format!("http localhost:{port}/host: answered 421"))),
        ("http:///moved".into(), Ok(())),
        ("http:///nowhere".into(), not(format!("http {addr}/nowhere: answered 404"))),
        ("http:///hangs".into(), not(format!("http {addr}/hangs: no answer within 500ms"))),
        (format!("http://:{closed}"), not(format!("http 127.0.0.1:{closed}/: connection refused"))),
        ("exec:true".into(), Ok(())),
        ("exec:echo a; echo b >&2; exit 3".into(), {
            not("'echo a; echo b >&2; exit 3' ended with exit status: 3: b".into())
        }),
        ("exec:echo a; exit 1".into(), not("'echo a; exit 1' ended with exit status: 1: a".into())),
        ("exec:sleep 60 & wait".into(), not("'sleep 60 & wait' did not end within 500ms".into())),
    ] {
        assert_eq!(look(&target, port).await, expected, "{target}");
    }
}

/// What a check at work has said so far.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<(u32, bool)>>>);

impl Said {
    async fn last(&self, expected: (u32, bool)) {
        let begun = tokio::time::Instant::now();
        while self.0.lock().unwrap().last() != Some(&expected) {
            assert!(begun.elapsed() < PATIENCE, "{expected:?} did not come");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Starts a check at work; gives how the service is, what the check said, and its task.
fn at_work(check: Check) -> (channel::Sender<Phase>, Said, tokio::task::JoinHandle<()>) {
    let (phase, seen) = channel::channel(Phase::Down("is being started".into()));
    let said = Said::default();
    let to = said.clone();
    let report = move |outcome: Outcome| to.0.lock().unwrap().push((outcome.run, outcome.up));
    let probe = Probe::new(check, loopback(), Shell::Loose);
    let task = tokio::spawn(watch::watch_with(probe, seen, report));
    (phase, said, task)
}

#[tokio::test]
async fn every_run_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let fine = folder.path().join("fine");
    let (phase, said, task) = at_work(check(&format!("exec:test -e {}", fine.display()), 1));
    phase.send_replace(Phase::Running(0));
    said.last((0, false)).await;
    std::fs::write(&fine, "").unwrap();
    said.last((0, true)).await;
    std::fs::remove_file(&fine).unwrap();
    said.last((0, false)).await;
    phase.send_replace(Phase::Down("exited".into()));
    std::fs::write(&fine, "").unwrap();
    phase.send_replace(Phase::Running(1));
    said.last((1, true)).await;
    drop(phase);
    tokio::time::timeout(PATIENCE, task).await.expect("nobody knows of runs any more").unwrap();
}

/// The check that only waits for the service to listen does not connect for ever after.
#[tokio::test]
async fn the_first_pass_may_be_all_that_is_wanted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (phase, said, _task) = at_work(Check { first_only: true, ..check("tcp://", port) });
    for run in 0..2 {
        phase.send_replace(Phase::Running(run));
        said.last((run, true)).await;
        listener.accept().await.unwrap();
    }
    let another = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(another.is_err(), "it looks again");
}
