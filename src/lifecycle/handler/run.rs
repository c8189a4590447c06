//! One call of a handler: what it is given, how long it has, and what is left of it.
//!
//! Data goes through the environment and standard input alone; the command is the operator's, to the letter. It inherits
//! none of our sockets, which close where a program begins, and no variable of ours, which may name keys or hold
//! passwords.

use std::{
    collections::BTreeMap,
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use super::{output::Output, tally::Ran};
use crate::{
    lifecycle::{child, shell::Shell},
    model::{
        NodeName,
        handlers::{Call, environment, input},
    },
};

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(1);
/// Of ours alone, whatever begins so.
const OURS: &str = "BACKCHAT_";
/// What systemd gives a daemon, and is for it alone.
const THE_DAEMONS: [&str; 6] =
    ["CREDENTIALS_DIRECTORY", "LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_USEC"];

/// Calls a handler and waits for its end, and for that of what it left behind with its output, as Serf does; at most for
/// `limit`. Then its process group is ended; and so it is, at once, where this future is dropped.
pub(super) async fn call(
    shell: Shell,
    (me, tags): (&NodeName, &BTreeMap<String, String>),
    command: &str,
    call: &Call,
    limit: Duration,
) -> Ran {
    let log = |line: &str| tracing::info!(handler = command, event = %call, "{line}");
    let started = Running::start(shell, command, environment(me, tags, call), log);
    let mut running = match started {
        Ok(running) => running,
        Err(error) => {
            tracing::warn!(handler = command, event = %call, "cannot start the handler: {error}");
            return Ran::Failed;
        }
    };
    let bytes = input(call);
    let ended = timeout(limit, running.ends(&bytes)).await;
    match &ended {
        Ok(Ok(status)) if status.success() => {}
        Ok(Ok(status)) => tracing::warn!(handler = command, event = %call, "the handler failed: {status}"),
        Ok(Err(error)) => tracing::warn!(handler = command, event = %call, "the handler's end is not known: {error}"),
        Err(_) => {
            tracing::warn!(handler = command, event = %call, "the handler did not end within {limit:?}: it is killed");
            running.insist(&bytes).await;
        }
    }
    running.output.take().map(Output::end).unwrap_or_default();
    match ended {
        Ok(Ok(status)) if status.success() => Ran::Well,
        Ok(_) => Ran::Failed,
        Err(_) => Ran::Late,
    }
}

/// A handler that runs. Dropped, its process group is killed.
struct Running<F> {
    child: Child,
    /// Until the shell was reaped: so long the group's number is nobody else's.
    group: Option<Pid>,
    stdin: Option<ChildStdin>,
    output: Option<Output<F>>,
}

impl<F: FnMut(&str)> Running<F> {
    fn start(shell: Shell, command: &str, variables: Vec<(String, String)>, log: F) -> io::Result<Self> {
        let mut shell = Command::from(shell.command(command)?);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with(OURS) || THE_DAEMONS.contains(&text.as_ref()) {
                shell.env_remove(&name);
            }
        }
        let (out, output) = Output::new(log)?;
        shell.envs(variables).stdin(Stdio::piped()).stdout(out.try_clone()?).stderr(out);
        let mut child = shell.process_group(0).kill_on_drop(true).spawn()?;
        let group = child.id().and_then(|id| child::pid_of(id).ok());
        let stdin = child.stdin.take();
        Ok(Self { child, group, stdin, output: Some(output) })
    }

    /// Gives it its input, reads its output to the end, and only then takes its status: until then its group is its own.
    async fn ends(&mut self, input: &[u8]) -> io::Result<ExitStatus> {
        let (stdin, output) = (self.stdin.take(), &mut self.output);
        let give = async {
            if let Some(mut stdin) = stdin {
                // One that does not read is none the worse for it.
                let _unread = stdin.write_all(input).await;
            }
        };
        let read = async {
            if let Some(output) = output {
                output.read().await;
            }
        };
        tokio::join!(give, read);
        let status = self.child.wait().await?;
        self.group = None;
        Ok(status)
    }

    /// Its time is over: asks it to end, then ends it.
    async fn insist(&mut self, input: &[u8]) {
        self.signal(Signal::TERM);
        if timeout(GRACE, self.ends(input)).await.is_err() {
            self.signal(Signal::KILL);
            // What left the group may hold its output still; it is not waited for.
            let _ended = timeout(GRACE, self.child.wait()).await;
            self.group = None;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Refused only where nobody is left.
            let _gone = kill_process_group(group, signal);
        }
    }
}

impl<F> Drop for Running<F> {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc, time::Instant};

    use super::*;
    use crate::model::UserEvent;

    fn event(payload: &[u8]) -> Call {
        let origin = "web1".parse().unwrap();
        let (name, payload) = ("deploy".parse().unwrap(), payload.try_into().unwrap());
        Call::User(Arc::new(UserEvent { origin, epoch: 1, ltime: 5, name, payload }))
    }

    async fn check(command: &str, call: &Call, limit: Duration) -> Ran {
        let tags = BTreeMap::from([("role".to_owned(), "$(touch /nowhere/x)".to_owned())]);
        super::call(Shell::Loose, (&"proxy".parse().unwrap(), &tags), command, call, limit).await
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn it_is_given_its_data_and_nothing_runs_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("said");
        let command = format!("{{ echo \"$SERF_EVENT $SERF_USER_EVENT $SERF_SELF_ROLE\"; cat; }} > {}", file.display());
        assert_eq!(check(&command, &event(b"`id`; $(id)"), LONG).await, Ran::Well);
        assert_eq!(fs::read_to_string(file).unwrap(), "user deploy $(touch /nowhere/x)\n`id`; $(id)\n");
        assert_eq!(check("exit 3", &event(b"unread"), LONG).await, Ran::Failed);
        assert_eq!(check("kill -9 $$", &event(b""), LONG).await, Ran::Failed);
    }

    #[tokio::test]
    async fn one_that_hangs_is_ended_with_its_children_even_where_it_is_deaf() {
        for deaf in ["", "trap '' TERM;"] {
            let folder = tempfile::tempdir().unwrap();
            let pids = folder.path().join("pids");
            let command = format!("{deaf} sleep 600 & echo $$ $! > {}; wait; wait", pids.display());
            assert_eq!(check(&command, &event(b""), Duration::from_millis(300)).await, Ran::Late);
            let pids = fs::read_to_string(&pids).unwrap();
            assert_eq!(pids.split_whitespace().count(), 2);
            for pid in pids.split_whitespace() {
                gone(pid).await;
            }
        }
    }

    /// As under Serf: what closed its output runs on.
    #[tokio::test]
    async fn what_it_leaves_to_itself_lives() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let command = format!("sleep 600 >/dev/null 2>&1 & echo $! > {}", pid.display());
        assert_eq!(check(&command, &event(b""), LONG).await, Ran::Well);
        let pid: u32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
        rustix::process::kill_process(child::pid_of(pid).unwrap(), Signal::KILL).expect("it lives");
    }

    async fn gone(pid: &str) {
        let stat = format!("/proc/{pid}/stat");
        let deadline = Instant::now() + Duration::from_secs(10);
        // A killed orphan stays as a zombie until its new parent reaps it.
        while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z")) {
            assert!(Instant::now() < deadline, "{pid} still runs");
            tokio::task::yield_now().await;
        }
    }
}
