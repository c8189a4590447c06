//! As process 1 of a container: signals are handed on, and whatever is orphaned is reaped. Needs root, for a
//! process namespace.

use std::{fs, path::Path};

use backchat::demo::{
    Child,
    child::{Folder, kill_pid, parent_of},
    plane::ask,
    ports,
};
use rustix::process::Signal;

use super::{
    signals::send,
    world::{PATIENCE, backchat, get},
};

/// The processes whose parent this is.
fn children_of(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

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

async fn worker(socket: &Path) -> Option<u32> {
    let info = ask(socket, "show info").await.ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid: "))?.trim().parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_process_hands_signals_on_and_reaps_orphans() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: a process namespace needs root");
        return;
    }
    let folder = Folder::new("backchat-init-").unwrap();
    let (gossip, http) = (ports::free().unwrap().to_string(), ports::free().unwrap());
    let (run_dir, listen) = (folder.path().join("lb"), http.to_string());
    let program = backchat().display().to_string();
    let mut args = vec!["--fork", "--pid", &program, "lb", "--bind", &gossip, "--listen", &listen, "--run-dir"];
    let run_dir_text = run_dir.display().to_string();
    args.push(&run_dir_text);
    let haproxy = std::env::var("BACKCHAT_HAPROXY").ok();
    if let Some(program) = &haproxy {
        args.extend(["--haproxy", program]);
    }
    let mut outside = Child::start("unshare".as_ref(), &args, &folder.path().join("log")).unwrap();
    eventually("HAProxy answers", async || get(http, "any.example").await.is_some()).await;
    let first = children_of(outside.pid())[0];
    assert_eq!(children_of(first).len(), 1, "the daemon is its child");

    // Its pid is that of the namespace; from out here it is found by what it runs.
    let socket = run_dir.join("haproxy.sock");
    let before = worker(&socket).await.expect("HAProxy tells its pid");
    let daemon = children_of(first)[0];
    let master = children_of(daemon)[0];
    kill_pid(master).unwrap();
    eventually("another HAProxy runs", async || worker(&socket).await.is_some_and(|pid| pid != before)).await;
    eventually("no zombie is left", async || !children_of(first).into_iter().any(is_zombie)).await;

    send(first, Signal::TERM);
    let status = outside.ended(PATIENCE).await.unwrap().expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", outside.last_words(20));
}
