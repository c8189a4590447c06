//! The start: what HAProxy is given, and when it is up.

use backchat_contract::DriverError;
use backchat_template::MasterProcess;
use tokio::{process::Command, time::sleep};

use super::{Launch, Process};
use crate::{access, log, master};

/// How soon to look again while it starts; it takes some 30 ms.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(5);

pub(super) async fn start(launch: &Launch) -> Result<Process, DriverError> {
    let said_before = log::len(&launch.paths);
    let failed = |reason: &str| {
        let said = log::alerts(&log::since(&launch.paths, said_before));
        let message = if said.is_empty() { reason.into() } else { format!("{reason}: {said}") };
        DriverError::Start { program: launch.program.clone(), message }
    };
    let mut process = spawn(launch)?;
    let up = answers(launch, process.pid());
    match process.master.comes_up(up, launch.limit).await {
        Ok(()) => Ok(process),
        Err(why) => Err(failed(&why)),
    }
}

fn spawn(launch: &Launch) -> Result<Process, DriverError> {
    let log = log::open(&launch.paths).map_err(DriverError::file("open", &launch.paths.log))?;
    let out = match &launch.access {
        Some(file) => access::open(file)?,
        None => log.try_clone().map_err(DriverError::file("open", &launch.paths.log))?,
    };
    let mut command = Command::new(&launch.program);
    command.arg("-W").arg("-f").arg(&launch.paths.config).arg("-p").arg(&launch.paths.pid);
    command.arg("-S").arg(format!("{},mode,600", launch.paths.master.display()));
    let failed =
        |error: std::io::Error| DriverError::Start { program: launch.program.clone(), message: error.to_string() };
    let master = MasterProcess::spawn(command, out, log).map_err(failed)?;
    Ok(Process { master, paths: launch.paths.clone() })
}

/// Ends when the runtime socket is answered by a worker of this very master: one of an earlier life may answer
/// on the same path until the new one takes it over.
async fn answers(launch: &Launch, master: u32) {
    loop {
        if let Ok(processes) = master::processes(&launch.paths).await
            && processes.master == master
            && let Some(worker) = processes.current
            && master::live_worker(&launch.paths).await.is_ok_and(|pid| pid == Some(worker.pid))
        {
            return;
        }
        sleep(AGAIN).await;
    }
}
