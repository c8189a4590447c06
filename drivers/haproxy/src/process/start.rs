//! The start: what HAProxy is given, and when it is up.

use std::process::Stdio;

use backchat_contract::DriverError;
use rustix::process::Pid;
use tokio::{
    process::Command,
    time::{sleep, timeout},
};

use super::{Launch, Process, exit::Exit};
use crate::{log, master};

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
    let up = async {
        tokio::select! {
            () = process.exit.wait() => false,
            () = answers(launch, process.pid()) => true,
        }
    };
    match timeout(launch.limit, up).await {
        Ok(true) => Ok(process),
        Ok(false) => {
            process.ended().await;
            Err(failed("it ended at once"))
        }
        Err(_) => {
            process.kill().await;
            Err(failed(&format!("it did not answer within {:?}", launch.limit)))
        }
    }
}

fn spawn(launch: &Launch) -> Result<Process, DriverError> {
    let failed =
        |error: std::io::Error| DriverError::Start { program: launch.program.clone(), message: error.to_string() };
    let log = log::open(&launch.paths).map_err(DriverError::file("open", &launch.paths.log))?;
    let mut command = Command::new(&launch.program);
    command.arg("-W").arg("-f").arg(&launch.paths.config).arg("-p").arg(&launch.paths.pid);
    command.arg("-S").arg(format!("{},mode,600", launch.paths.master.display()));
    command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
    // Its own group: a Ctrl-C at our terminal is ours to handle. Our service manager's socket is not its to use.
    command.process_group(0).env_remove("NOTIFY_SOCKET").kill_on_drop(false);
    let child = command.spawn().map_err(failed)?;
    let raw = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let pid = raw.expect("a child that was not waited for has its pid");
    let exit = Exit::of(pid).map_err(failed)?.expect("a child that was not waited for is there");
    Ok(Process { pid, exit, child: Some(child), paths: launch.paths.clone() })
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
