//! Runs somebody else's checker: with a deadline, its output bounded, and nothing of it left behind.

use std::{io, process::ExitStatus, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
};

/// How much of each output stream is kept. What comes behind it is read and dropped, so that the command
/// never waits for a reader.
const KEPT: usize = 64 * 1024;

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit status.
    pub status: ExitStatus,
    /// Standard output, the first 64 KiB, bytes that are no UTF-8 replaced.
    pub stdout: String,
    /// Standard error, the first 64 KiB, bytes that are no UTF-8 replaced.
    pub stderr: String,
}

/// Why a command has no exit status.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("start {program}: {source}")]
    Start {
        /// What was to be started.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It did not end in time and was killed, its children with it.
    #[error("'{program}' did not end within {limit:?}")]
    Deadline {
        /// What was started.
        program: String,
        /// How long it had.
        limit: Duration,
    },
}

/// Runs a command to its end, at most for `limit`. Its process group is killed when the time is up, when the
/// command ends before its own children, and when this future is dropped.
pub async fn run(mut command: Command, limit: Duration) -> Result<Output, CommandError> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let failed = |source| CommandError::Start { program: program.clone(), source };
    let mut child = command.spawn().map_err(failed)?;
    let group = Group::of(&child);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let wait = async {
            let status = child.wait().await;
            // A child of it may hold the pipes open: without this, reading them would take the whole limit.
            drop(group);
            status
        };
        tokio::join!(wait, bounded(stdout), bounded(stderr))
    };
    let ended = tokio::time::timeout(limit, work).await;
    let (status, stdout, stderr) = ended.map_err(|_| CommandError::Deadline { program: program.clone(), limit })?;
    Ok(Output { status: status.map_err(failed)?, stdout, stderr })
}

async fn bounded(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    // An error ends the reading as the end of the stream does: the exit status speaks for the command.
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let room = KEPT.saturating_sub(kept.len()).min(read);
        kept.extend_from_slice(&buffer[..room]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// A process group that ends with its holder.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &tokio::process::Child) -> Self {
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        Self(pid.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Refused only where the group is already gone, which is what is wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Instant};

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn tells_how_it_ended() {
        let output = run(shell("echo out; echo err >&2; exit 3"), Duration::from_secs(10)).await.unwrap();
        assert_eq!((output.status.code(), &*output.stdout, &*output.stderr), (Some(3), "out\n", "err\n"));
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let error = run(Command::new("/nowhere/checker"), Duration::from_secs(10)).await.unwrap_err();
        assert!(error.to_string().starts_with("start /nowhere/checker: "), "{error}");
    }

    #[tokio::test]
    async fn keeps_a_bounded_part_of_the_output() {
        let output = run(shell("head -c 1000000 /dev/zero; echo done >&2"), Duration::from_secs(10)).await.unwrap();
        assert_eq!((output.stdout.len(), &*output.stderr), (KEPT, "done\n"));
    }

    /// The hanging command and the child it waits for are both gone afterwards.
    #[tokio::test]
    async fn a_hanging_command_is_cut_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let script = format!("sleep 600 & echo $$ $! > {}; wait", pids.display());
        let error = run(shell(&script), Duration::from_millis(300)).await.unwrap_err();
        assert!(matches!(error, CommandError::Deadline { .. }), "{error}");
        for pid in fs::read_to_string(&pids).unwrap().split_whitespace() {
            gone(pid).await;
        }
    }

    /// A command that leaves a child behind does not take the whole limit, and the child does not stay.
    #[tokio::test]
    async fn a_child_left_behind_does_not_hold_it_up() {
        let begun = Instant::now();
        let output = run(shell("sleep 600 & echo $!"), Duration::from_secs(60)).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(30), "took {:?}", begun.elapsed());
        gone(output.stdout.trim()).await;
    }

    async fn gone(pid: &str) {
        let stat = format!("/proc/{pid}/stat");
        let deadline = Instant::now() + Duration::from_secs(10);
        // A killed orphan stays as a zombie until its new parent reaps it.
        while fs::read_to_string(&stat).is_ok_and(|s| !s.contains(") Z")) {
            assert!(Instant::now() < deadline, "{pid} still runs");
            tokio::task::yield_now().await;
        }
    }
}
