//! An nginx that somebody else runs: found by its pid file, never started, never ended. One file in it is ours.

use std::{
    fs, io,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use backchat_contract::DriverError;
use backchat_template::{PLAIN, blocking, install, is_plain, read, refuse_foreign};

use super::whole;
use crate::{
    check::{Call, check},
    lines,
    paths::Paths,
    process::Master,
    titles::{is_master, title},
};

/// How long an nginx that starts may take from making a socket until it listens there: an instant, were it never held up.
const STARTING: Duration = Duration::from_secs(1);

/// Where it lies.
#[derive(Clone, Debug)]
pub struct Attached {
    /// The `nginx` binary that checks its configuration.
    pub program: String,
    /// Whether that one was named; else the one that its master was started from does, once it runs.
    pub is_named: bool,
    /// The file that is ours.
    pub include: PathBuf,
    /// Its main configuration, which includes ours, itself or by another.
    pub conf: PathBuf,
    /// Where it writes its master's pid.
    pub pid_file: PathBuf,
    /// The socket on which our part says what runs.
    pub control: PathBuf,
    /// A folder of ours for what is made for a check.
    pub folder: PathBuf,
}

impl Attached {
    /// One whose socket lies in a run folder of ours, and whose program is named. Refused: names that nginx would not read as one word.
    pub fn new(
        program: String,
        include: PathBuf,
        conf: PathBuf,
        pid_file: PathBuf,
        paths: &Paths,
    ) -> Result<Self, DriverError> {
        for file in [&include, &conf, &pid_file] {
            if !is_plain(file) {
                return Err(DriverError::Unsupported(format!("file {}: {PLAIN}", file.display())));
            }
        }
        let (control, folder) = (paths.control.clone(), paths.folder.clone());
        Ok(Self { program, is_named: true, include, conf, pid_file, control, folder })
    }

    /// The master, as the pid file says. Without one, the socket of ours that it left is cleared away: it could not be
    /// started again over it.
    pub(super) fn find(&self) -> Result<Master, DriverError> {
        self.found().inspect_err(|_| self.clear())
    }

    /// The same for one who only looks.
    pub(super) fn found(&self) -> Result<Master, DriverError> {
        let unreachable = |cause: String| DriverError::Unreachable { plane: self.name(), cause };
        let found = self.pid().and_then(|pid| {
            let other = || match title(pid).as_str() {
                "" => format!("there is no process {pid}"),
                title => {
                    format!("its process {pid} is no nginx master but '{}'", title.chars().take(60).collect::<String>())
                }
            };
            Master::of(pid).map_err(|error| error.to_string())?.ok_or_else(other)
        });
        found.map_err(unreachable)
    }

    /// What it is called in messages.
    pub(super) fn name(&self) -> String {
        format!("nginx of {}", self.pid_file.display())
    }

    pub(super) fn pid(&self) -> Result<u32, String> {
        said(&self.pid_file)
    }

    fn clear(&self) {
        let refused = UnixStream::connect(&self.control).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
        let made = fs::metadata(&self.control).and_then(|socket| socket.modified());
        let left = made.is_ok_and(|made| was_left(made, SystemTime::now()));
        if refused && left && fs::remove_file(&self.control).is_ok() {
            tracing::info!(socket = %self.control.display(), "nginx has ended without removing its socket: removed");
        }
    }

    /// A configuration that names a file which is not there is none: ours is there before all else.
    pub(super) async fn have_file(&self, empty: Result<String, DriverError>) -> Result<(), DriverError> {
        let text = read(&self.include)?;
        refuse_foreign(&self.include, lines::MARK, empty.as_deref().unwrap_or(""))?;
        if !text.is_empty() {
            return Ok(());
        }
        let (file, text) = (self.include.clone(), empty?);
        blocking(move || install(&file, text.as_bytes()).map(drop)).await
    }

    /// Checks the whole configuration with a staged file in the place of ours.
    pub(super) async fn check(&self, staged: &Path, limit: Duration) -> Result<(), DriverError> {
        let (attached, staged_at) = (self.clone(), staged.to_owned());
        let whole = blocking(move || whole::with(&attached, &staged_at)).await?;
        // As its master was started, as far as that bears on what a configuration means.
        let flags = self.pid().ok().map(|pid| prefix(&title(pid))).unwrap_or_default();
        let running = program_of(&self.pid_file).filter(|_| !self.is_named);
        let program = running.map_or_else(|| self.program.clone(), |running| running.display().to_string());
        let call = Call { program, flags };
        let checked = check(&call, whole.conf(), &self.conf, limit).await;
        checked.map_err(|error| match error {
            DriverError::Check { file, message } => {
                let ours = self.include.display().to_string();
                let message = message.replace(&*staged.to_string_lossy(), &ours);
                DriverError::Check { file: if message.contains(&ours) { ours } else { file }, message }
            }
            other => other,
        })
    }
}

/// Whether a socket at which nobody listens was left by one that has ended. Taken away from one that is about to listen,
/// that could never be asked again.
fn was_left(made: SystemTime, now: SystemTime) -> bool {
    // One that seems to come from later was made before the clock was set back.
    now.duration_since(made).map_or(true, |age| age >= STARTING)
}

/// The program that the nginx of a pid file was started from; `None` where none runs, it lies there no more, or a loader
/// has started it.
pub fn program_of(pid_file: &Path) -> Option<PathBuf> {
    let pid = said(pid_file).ok().filter(|pid| is_master(*pid))?;
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let name = program.file_name()?.to_string_lossy();
    let is_one = ["nginx", "openresty"].iter().any(|word| name.contains(word));
    (is_one && program.is_file()).then_some(program)
}

/// Which pid a file says; a check of nginx's configuration makes an empty file.
fn said(pid_file: &Path) -> Result<u32, String> {
    let text = match fs::read_to_string(pid_file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err("there is no such file".into()),
        Err(error) => return Err(error.to_string()),
    };
    let pid = text.trim();
    if pid.is_empty() {
        Err("the file is empty".into())
    } else {
        pid.parse().map_err(|_| "the file holds no pid".into())
    }
}

/// Where nginx says why it does not like a file: the logs that its master has open.
pub(super) fn logs(master: u32) -> Vec<PathBuf> {
    let open = fs::read_dir(format!("/proc/{master}/fd")).into_iter().flatten().flatten();
    let appended = open.filter(|entry| appends(master, &entry.file_name().to_string_lossy()));
    let paths = appended.filter_map(|entry| fs::read_link(entry.path()).ok());
    let mut logs: Vec<PathBuf> = paths.filter(|path| fs::metadata(path).is_ok_and(|m| m.is_file())).collect();
    logs.sort();
    logs.dedup();
    logs
}

/// Whether a descriptor is open to append: logs are, and nothing else of nginx's.
fn appends(pid: u32, fd: &str) -> bool {
    const O_APPEND: u32 = 0o2000;
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).is_some_and(|flags| flags & O_APPEND != 0)
}

/// `-p FOLDER`, if it was started with that.
fn prefix(title: &str) -> Vec<String> {
    let mut words = title.split(' ').skip_while(|word| *word != "-p");
    words.next().zip(words.next()).map(|(flag, folder)| vec![flag.to_owned(), folder.to_owned()]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_one_that_starts_was_not_left() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (made, left) in [(now, false), (now - STARTING / 2, false), (now - STARTING, true), (now + STARTING, true)]
        {
            assert_eq!(was_left(made, now), left, "{made:?}");
        }
    }
}
