//! The adoption of a HAProxy that an earlier daemon left serving.

use std::{fs, os::unix::ffi::OsStrExt, time::Duration};

use backchat_contract::DriverError;
use backchat_template::MasterProcess;
use tokio::time::{Instant, sleep};

use super::{Launch, Process};
use crate::{master, paths::Paths};

/// How soon to ask again a master that does not answer: it may be starting, or reloading.
const AGAIN: Duration = Duration::from_millis(20);

pub(super) async fn adopt(launch: &Launch) -> Result<Option<Process>, DriverError> {
    let deadline = Instant::now() + launch.limit;
    loop {
        // The master itself is asked first: a pid file may be stale, or not yet written.
        let answered = master::processes(&launch.paths).await.ok();
        let pid = answered.as_ref().map(|p| p.master).or_else(|| written_pid(&launch.paths));
        let Some(process) = pid.and_then(|pid| handle(pid, &launch.paths).transpose()).transpose()? else {
            return Ok(None);
        };
        if answered.is_some() {
            return Ok(Some(process));
        }
        if serves(&process).await {
            tracing::warn!(
                pid = process.pid(),
                "this haproxy serves, but its master socket does not answer: it can be given servers, no new structure"
            );
            return Ok(Some(process));
        }
        if Instant::now() > deadline {
            return end_the_mute(process).await;
        }
        sleep(AGAIN).await;
    }
}

/// Whether any process of a HAProxy on these paths runs: a master, or a worker that it left behind.
pub(super) fn any(paths: &Paths) -> bool {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.into_iter().any(|pid| is_ours(pid, paths))
}

/// Whether a worker of this master answers on the runtime socket: one of an earlier master may do so too.
async fn serves(process: &Process) -> bool {
    let Ok(Some(worker)) = master::live_worker(&process.paths).await else { return false };
    let status = fs::read_to_string(format!("/proc/{worker}/status")).unwrap_or_default();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    parent.is_some_and(|pid| pid.trim() == process.pid().to_string())
}

/// A master that cannot be spoken to, and has no worker that serves: it is of no use, and would hold on.
async fn end_the_mute(mut process: Process) -> Result<Option<Process>, DriverError> {
    tracing::warn!(pid = process.pid(), "ending a haproxy whose master socket does not answer");
    process.master.kill().await;
    Ok(None)
}

fn written_pid(paths: &Paths) -> Option<u32> {
    fs::read_to_string(&paths.pid).ok()?.trim().parse().ok()
}

/// The process, if it is a HAProxy on these paths.
fn handle(pid: u32, paths: &Paths) -> Result<Option<Process>, DriverError> {
    let failed = |error: std::io::Error| DriverError::Start { program: "haproxy".into(), message: error.to_string() };
    let master = MasterProcess::of(pid, || is_ours(pid, paths)).map_err(failed)?;
    Ok(master.map(|master| Process { master, paths: paths.clone() }))
}

/// Whether a process was started with our master socket and our file. Reloads keep both arguments.
fn is_ours(pid: u32, paths: &Paths) -> bool {
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let words: Vec<&[u8]> = line.split(|b| *b == 0).collect();
    let given = |flag: &[u8], value: &[u8]| {
        words.windows(2).any(|pair| pair[0] == flag && pair[1].split(|b| *b == b',').next() == Some(value))
    };
    given(b"-S", paths.master.as_os_str().as_bytes()) && given(b"-f", paths.config.as_os_str().as_bytes())
}
