//! Child processes that end with us: real ones, so that SIGTERM and SIGKILL are what users' are.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{ChildStdin, Command},
    sync::oneshot,
};

/// A running process. Dropped, it is killed.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    pid: Pid,
    log: PathBuf,
    // Held apart, for waiting on the process would close it.
    _stdin: Option<ChildStdin>,
}

impl Child {
    /// Starts `program`; what it writes goes to the end of the file `log`. Its standard input is a pipe that closes
    /// when this process ends, however it ends. No variable is passed on that is a flag of ours: one that is set for a
    /// daemon of this host would change the scene.
    pub fn start<A: AsRef<OsStr>>(program: &Path, args: impl IntoIterator<Item = A>, log: &Path) -> io::Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BACKCHAT_") {
                command.env_remove(name);
            }
        }
        let mut process = command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(out.try_clone()?)
            .stderr(out)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("start {}: {e}", program.display())))?;
        let pid = process.id().and_then(pid_from).ok_or_else(|| io::Error::other("a process without an id"))?;
        let stdin = process.stdin.take();
        Ok(Self { process, pid, log: log.to_owned(), _stdin: stdin })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Sends SIGTERM: the polite word.
    pub fn terminate(&self) -> io::Result<()> {
        Ok(kill_process(self.pid, Signal::TERM)?)
    }

    /// Sends SIGKILL, and returns at once.
    pub fn kill(&mut self) -> io::Result<()> {
        self.process.start_kill()
    }

    /// How it ended; `None` where it still runs after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        match tokio::time::timeout(limit, self.process.wait()).await {
            Ok(status) => status.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// SIGTERM, and after `limit` SIGKILL. Returns how it ended.
    pub async fn stop(mut self, limit: Duration) -> io::Result<ExitStatus> {
        if self.is_running() {
            self.terminate()?;
        }
        if let Some(status) = self.ended(limit).await? {
            return Ok(status);
        }
        self.kill()?;
        self.process.wait().await
    }

    /// The last lines of its log, for an error's text.
    pub fn last_words(&self, lines: usize) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<_> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

/// A temporary folder that takes with it every process whose command line names it, or that works in it, and what those
/// have started.
///
/// A data plane outlives its `lb` on purpose; this is how a scene that ends early leaves nothing behind. The folder's
/// random name makes sure that those processes are ours.
#[derive(Debug)]
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// Makes one whose name begins with `prefix`.
    pub fn new(prefix: &str) -> io::Result<Self> {
        tempfile::Builder::new().prefix(prefix).tempdir().map(Self)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// How often the processes of a folder are looked for; once is usually enough.
const TRIES: usize = 50;

impl Drop for Folder {
    fn drop(&mut self) {
        // One that is ended may just have started another: looked again until there is none.
        for _ in 0..TRIES {
            let left = naming(self.path());
            if left.is_empty() {
                return;
            }
            for pid in left {
                // Gone in the meantime: that is what was wanted.
                let _ = kill_process(pid, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The processes, other than this one, whose command line holds `path` or that work below it, and their children: nginx's
/// workers name no folder.
fn naming(path: &Path) -> Vec<Pid> {
    let wanted = path.as_os_str().as_encoded_bytes();
    let names = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let works = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder.starts_with(path));
        works || line.windows(wanted.len()).any(|window| window == wanted)
    };
    let found: Vec<_> = all().into_iter().filter(|pid| *pid != std::process::id()).filter(names).collect();
    let children = found.iter().flat_map(|pid| children_of(*pid));
    found.iter().copied().chain(children).filter_map(pid_from).collect()
}

/// Every process there is.
pub(super) fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The parent of a process, or `None` where it is gone.
pub fn parent_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// The processes whose parent this is.
pub fn children_of(parent: u32) -> Vec<u32> {
    all().into_iter().filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// Whether it runs: a zombie does not.
pub fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| !status.contains("State:\tZ"))
}

/// Sends SIGKILL to a process that is not a child of this one.
pub fn kill_pid(pid: u32) -> io::Result<()> {
    let pid = pid_from(pid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process(pid, Signal::KILL)?)
}

/// The other side of [`Child::start`], in the process that was started: resolves when standard input ends, for whoever
/// started it is gone. A thread of its own reads: tokio's reader would hold up the end of the program.
pub fn input_closed() -> oneshot::Receiver<()> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let mut sink = [0; 64];
        while io::stdin().read(&mut sink).is_ok_and(|read| read > 0) {}
        // Nobody waits any more where the program ends by itself.
        let _ = tell.send(());
    });
    told
}

fn pid_from(raw: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(raw).ok()?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(folder: &Folder, script: &str) -> Child {
        Child::start(Path::new("/bin/sh"), ["-c", script], &folder.path().join("log")).unwrap()
    }

    #[tokio::test]
    async fn stop_asks_first_and_then_insists() {
        let folder = Folder::new("backchat-test-").unwrap();
        let status = shell(&folder, "trap 'exit 7' TERM; echo up; read x").stop(SOON).await.unwrap();
        assert!(status.code() == Some(7) || status.signal() == Some(15), "TERM may come before the trap: {status}");
        let mut deaf = shell(&folder, "trap '' TERM; echo deaf; while :; do read x; done");
        while !deaf.last_words(1).contains("deaf") {
            tokio::task::yield_now().await;
        }
        assert!(deaf.is_running());
        let status = deaf.stop(Duration::from_millis(50)).await.unwrap();
        assert_eq!(status.signal(), Some(9));
    }

    #[tokio::test]
    async fn a_folder_takes_the_processes_that_name_it() {
        let folder = Folder::new("backchat-test-").unwrap();
        let path = folder.path().display();
        let mut stays = shell(&folder, "read x");
        // One that names it, one that works there, and one whose parent names it.
        let names = shell(&folder, &format!("read x; : {path}"));
        let works = Child::start(
            Path::new("env"),
            ["-C", folder.path().to_str().unwrap(), "sleep", "600"],
            &folder.path().join("log"),
        );
        let parent = shell(&folder, &format!("sleep 600 & wait; : {path}"));
        while children_of(parent.pid()).is_empty() {
            tokio::task::yield_now().await;
        }
        let child = children_of(parent.pid())[0];
        drop(folder);
        for mut goes in [names, works.unwrap(), parent] {
            let status = goes.ended(SOON).await.unwrap().expect("it was killed");
            assert_eq!(status.signal(), Some(9));
        }
        while runs(child) {
            tokio::task::yield_now().await;
        }
        assert!(stays.is_running());
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let folder = Folder::new("backchat-test-").unwrap();
        let error = Child::start(Path::new("/no/such"), ["x"], &folder.path().join("log")).unwrap_err();
        assert!(error.to_string().contains("/no/such"), "{error}");
    }
}
