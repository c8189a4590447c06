//! As process 1 of a container: signals are handed on, and whatever is orphaned is reaped. Needs root, for a
//! process namespace.

use std::{ffi::OsString, fs};

use backchat::demo::{
    Child, Driver,
    child::{Folder, children_of, kill_pid, runs},
    ports,
};
use rustix::process::Signal;

use super::world::{PATIENCE, backchat, get};
use crate::signal::send;

fn is_zombie(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|s| s.contains("State:\tZ"))
}

async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = tokio::time::Instant::now();
    while !condition().await {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

pub(super) async fn the_first_process_hands_signals_on_and_reaps_orphans(driver: Driver) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: a process namespace needs root");
        return;
    }
    let folder = Folder::new("backchat-init-").unwrap();
    let (gossip, http) = (ports::free().unwrap().to_string(), ports::free().unwrap());
    let (run_dir, listen) = (folder.path().join("lb"), http.to_string());
    let (program, run_dir_text) = (backchat().display().to_string(), run_dir.display().to_string());
    let args = ["--fork", "--pid", "--mount-proc", &program, "lb", "--bind", &gossip, "--listen", &listen];
    let args = args.into_iter().chain(["--run-dir", &run_dir_text]).map(OsString::from).chain(driver.flags());
    let mut outside = Child::start("unshare".as_ref(), args, &folder.path().join("log")).unwrap();
    eventually("the data plane answers", async || get(http, "any.example").await.is_some()).await;
    let first = children_of(outside.pid())[0];
    assert_eq!(children_of(first).len(), 1, "the daemon is its child");

    // What it says of its pid is of the namespace; from out here it is found by what it runs.
    let daemon = children_of(first)[0];
    let master = children_of(daemon)[0];
    let old: Vec<_> = children_of(master).into_iter().chain([master]).collect();
    kill_pid(master).unwrap();
    let gone = async || !old.iter().any(|pid| runs(*pid));
    eventually("nothing is left of the old one", gone).await;
    eventually("another one answers", async || get(http, "any.example").await.is_some()).await;
    eventually("no zombie is left", async || !children_of(first).into_iter().any(is_zombie)).await;

    send(first, Signal::TERM);
    let status = outside.ended(PATIENCE).await.unwrap().expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", outside.last_words(20));
}
