//! A file that somebody edits: whichever way he does it (in place, by a rename, by turning a link as Kubernetes
//! does), what counts is the text behind the path.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use crate::{install, render::Template};

/// How often the file is looked at between two steps.
const LOOK: Duration = Duration::from_millis(200);
/// How long a change must have stayed as it is: longer than an editor is between emptying a file and filling it.
const QUIET: Duration = Duration::from_millis(100);
/// How long a step waits for the disk.
const LIMIT: Duration = Duration::from_secs(1);
/// Longer than any template: ours has five thousand bytes.
const MOST: u64 = 1024 * 1024;

/// What reading came to: the text, or why there is none.
type Text = Result<String, String>;

#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    /// Another text than the one in use, since when.
    fresh: Option<(Text, Instant)>,
    /// Why the file cannot be read any more.
    unread: Option<String>,
    /// A read that the disk has not answered yet: none is begun beside it.
    reading: Option<JoinHandle<Text>>,
    /// How the file looked when it was read.
    seen: Option<Stamp>,
}

/// What changes whenever a file does: its place, its size, its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp([i64; 6]);

impl Watched {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), fresh: None, unread: None, reading: None, seen: None }
    }

    /// Reads it, and gives a text that is another than `known` and has stayed the same.
    pub(super) async fn look(&mut self, known: &str, now: Instant) -> Option<String> {
        let found = self.read().await;
        let same = match (&found, &self.unread) {
            (Ok(text), None) => text == known,
            (Err(why), Some(before)) => why == before,
            _ => false,
        };
        if same {
            self.fresh = None;
            return None;
        }
        match &self.fresh {
            Some((text, since)) if *text == found && now.saturating_duration_since(*since) >= QUIET => {}
            Some((text, _)) if *text == found => return None,
            _ => {
                self.fresh = Some((found, now));
                return None;
            }
        }
        self.fresh = None;
        match found {
            Ok(text) => {
                self.unread = None;
                (text != known).then_some(text)
            }
            Err(why) => {
                tracing::warn!("{why}; the template that was read before stays in use");
                self.unread = Some(why);
                None
            }
        }
    }

    /// What a template that is not there any more is said to be.
    pub(super) fn unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// Ends when the file looks other than when it was read, or what it said then is to be looked at again.
    pub(super) async fn changed(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.reading.is_some() {
                // The disk does not answer: to ask once more would only leave another thread waiting.
                continue;
            }
            if self.fresh.is_some() || Stamp::of(&self.path).await != self.seen {
                return;
            }
        }
    }

    async fn read(&mut self) -> Text {
        let limit = if self.reading.is_some() { Duration::ZERO } else { LIMIT };
        if self.reading.is_none() {
            // Before the text: what changes in between is read again.
            self.seen = Stamp::of(&self.path).await;
            let path = self.path.clone();
            self.reading = Some(tokio::task::spawn_blocking(move || {
                read_template(&path).map_err(|error| format!("{}: {}", path.display(), words(&error)))
            }));
        }
        let silent = || Err(format!("{}: the disk does not answer", self.path.display()));
        let Some(reading) = &mut self.reading else { return silent() };
        let Ok(done) = tokio::time::timeout(limit, reading).await else { return silent() };
        self.reading = None;
        done.unwrap_or_else(|_| Err(format!("{}: reading it failed", self.path.display())))
    }
}

impl Stamp {
    async fn of(path: &Path) -> Option<Self> {
        let m = tokio::fs::metadata(path).await.ok()?;
        let number = |n: u64| i64::from_ne_bytes(n.to_ne_bytes());
        Some(Self([number(m.dev()), number(m.ino()), number(m.len()), m.mtime(), m.mtime_nsec(), m.ctime_nsec()]))
    }
}

/// In the system's words; its number helps nobody.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or_default().to_owned()
}

/// Reads a template. What is no file, as a pipe is none, could not be read again; more than a mebibyte is something
/// else by mistake.
///
/// # Errors
/// As the system says them.
pub fn read_template(path: &Path) -> io::Result<String> {
    let kind = fs::metadata(path)?;
    let invalid = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why.to_owned()));
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return invalid("not a regular file, which could be read again");
    }
    if kind.len() > MOST {
        return invalid("longer than 1 MiB");
    }
    fs::read_to_string(path)
}

/// Keeps a good template for the next daemon. Without it that one has nothing to fall back to, which is no reason
/// to fail now.
pub(super) async fn keep(path: PathBuf, template: Arc<Template>) {
    let work = move || {
        let mut staged = path.clone().into_os_string();
        staged.push(".staged");
        if fs::read_to_string(&path).is_ok_and(|text| text == template.text) {
            return Ok(());
        }
        install::write(Path::new(&staged), template.text.as_bytes())?;
        fs::rename(&staged, &path)
    };
    if let Ok(Err(error)) = tokio::task::spawn_blocking(work).await {
        tracing::warn!(%error, "a good template could not be kept in the run folder");
    }
}
