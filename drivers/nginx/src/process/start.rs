//! The start: what nginx is given, what is cleared away before, and when it is up.

use std::{fs, time::Duration};

use backchat_contract::DriverError;
use backchat_template::{MasterProcess, log};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use super::{Launch, Master};
use crate::{control, log::emergencies, titles};

/// How soon to look again while it starts; it takes some 20 ms.
const AGAIN: Duration = Duration::from_millis(5);

pub(super) async fn start(launch: &Launch) -> Result<Master, DriverError> {
    let said_before = log::len(&launch.log);
    let failed = |reason: &str| {
        let said = emergencies(&log::since(&launch.log, said_before));
        let message = if said.is_empty() { reason.into() } else { format!("{reason}: {said}") };
        DriverError::Start { program: launch.call.program.clone(), message }
    };
    clear(launch);
    let mut master = spawn(launch)?;
    let up = answers(launch, master.pid());
    match master.comes_up(up, launch.limit).await {
        Ok(()) => Ok(Master(master)),
        Err(why) => Err(failed(&why)),
    }
}

/// What a killed master leaves: workers that hold the ports (nginx tries for 2.5 s to have them), and a unix socket at
/// which nothing more can be bound.
fn clear(launch: &Launch) {
    for pid in titles::orphans(&launch.folder, None) {
        tracing::warn!(pid, "this worker has lost its master: it ends what it has");
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // It ended between the look and the signal where this fails.
            let _ = kill_process(pid, Signal::QUIT);
        }
    }
    for path in [&launch.control, &launch.pid] {
        // Not there is what is wanted; one that stays is told by nginx.
        let _ = fs::remove_file(path);
    }
}

fn spawn(launch: &Launch) -> Result<MasterProcess, DriverError> {
    let log = log::open(&launch.log).map_err(DriverError::file("open", &launch.log))?;
    let out = log.try_clone().map_err(DriverError::file("open", &launch.log))?;
    let mut command = launch.call.on(&launch.config);
    command.args(["-g", "daemon off;"]).current_dir(&launch.folder);
    let failed =
        |error: std::io::Error| DriverError::Start { program: launch.call.program.clone(), message: error.to_string() };
    MasterProcess::spawn(command, out, log).map_err(failed)
}

/// Ends when a worker of this very master answers.
async fn answers(launch: &Launch, master: u32) {
    loop {
        if let Ok(Some(running)) = control::ask(&launch.control).await
            && titles::parent(running.pid) == Some(master)
        {
            return;
        }
        sleep(AGAIN).await;
    }
}
