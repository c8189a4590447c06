//! The master process's socket: who its workers are, and reloads that are confirmed rather than hoped for.
//!
//! 2.6 answers a reload with nothing and is deaf while it happens; 3.0 and 3.2 wait and answer `Success=0|1`.
//! Both are asked the same afterwards, so no version is looked at.

mod processes;

use std::time::Duration;

use backchat_contract::DriverError;
use backchat_template::failpoint::point_async;
pub use processes::{Processes, Worker};
use tokio::time::{Instant, sleep};

use crate::{ask::ask, log, paths::Paths};

/// How long the master may take for an answer that costs it nothing.
const ANSWER: Duration = Duration::from_secs(2);

/// How soon to ask again while a reload is under way.
const AGAIN: Duration = Duration::from_millis(10);

/// The master and its workers.
pub async fn processes(paths: &Paths) -> Result<Processes, DriverError> {
    let reply = ask(&paths.master, "show proc;quit", ANSWER).await?;
    Processes::parse(&reply).ok_or_else(|| DriverError::Refused { command: "show proc".into(), reply })
}

/// Reloads, and waits until a new worker answers with `generation` on the runtime socket.
///
/// An error means that the worker of before serves on; it carries what HAProxy said. Open sessions on the
/// runtime socket reach the old worker ever after: connect anew.
pub async fn reload(paths: &Paths, generation: u64, limit: Duration) -> Result<(), DriverError> {
    let deadline = Instant::now() + limit;
    let before = processes(paths).await?;
    let said_before = log::len(paths);
    let reply = ask(&paths.master, "reload;quit", limit).await?;
    point_async("reload:sent").await;
    let refused = |otherwise: String| {
        let alerts = log::alerts(&format!("{reply}\n{}", log::since(paths, said_before)));
        DriverError::Reload { message: if alerts.is_empty() { otherwise } else { alerts } }
    };
    loop {
        match progress(paths, &before, generation).await {
            Progress::Done => return Ok(()),
            Progress::Failed => return Err(refused("haproxy gave no reason".into())),
            Progress::Pending if Instant::now() > deadline => {
                return Err(refused(format!("generation {generation} was not read back within {limit:?}")));
            }
            Progress::Pending => sleep(AGAIN).await,
        }
    }
}

enum Progress {
    Done,
    Failed,
    Pending,
}

/// Anything that is not a clear answer is pending: the sockets refuse for a moment while HAProxy reloads, and
/// 2.6 for two seconds where a port is in use.
async fn progress(paths: &Paths, before: &Processes, generation: u64) -> Progress {
    let Ok(now) = processes(paths).await else { return Progress::Pending };
    if now.reloads <= before.reloads {
        return Progress::Pending;
    }
    if now.failed > 0 {
        return Progress::Failed;
    }
    let fresh = now.current.is_some_and(|worker| worker.reloads == 0);
    if fresh && live_generation(paths).await.is_ok_and(|live| live == Some(generation)) {
        return Progress::Done;
    }
    Progress::Pending
}

/// Which rendering of ours a new connection to the runtime socket finds; `None` where it is none of ours.
pub async fn live_generation(paths: &Paths) -> Result<Option<u64>, DriverError> {
    let reply = ask(&paths.socket, "get var proc.backchat_gen", ANSWER).await?;
    // `proc.backchat_gen: type=str value=<42>`
    let value = reply.split_once("value=<").and_then(|(_, rest)| rest.split_once('>'));
    Ok(value.and_then(|(number, _)| number.parse().ok()))
}

/// The version and the rendering that a new connection to the runtime socket finds.
pub(crate) async fn live(paths: &Paths) -> Result<(String, Option<u64>), DriverError> {
    let said = ask(&paths.socket, "show info", ANSWER).await?;
    let version = said.lines().find_map(|line| line.strip_prefix("Version:")).unwrap_or_default();
    Ok((version.trim().to_owned(), live_generation(paths).await?))
}

/// The pid of the worker that a new connection to the runtime socket finds.
pub(crate) async fn live_worker(paths: &Paths) -> Result<Option<u32>, DriverError> {
    let reply = ask(&paths.socket, "show info", ANSWER).await?;
    let pid = reply.lines().find_map(|line| line.strip_prefix("Pid:"));
    Ok(pid.and_then(|pid| pid.trim().parse().ok()))
}
