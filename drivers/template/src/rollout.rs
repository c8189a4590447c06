//! The one way a new configuration reaches an engine that runs: checked beside its place, put there, loaded, confirmed;
//! and where that fails, what was there before is back on disk, as it is in the engine's memory.

use std::path::PathBuf;

use backchat_contract::DriverError;

use crate::{Installed, PlacedSet, Staged, StagedSet, failpoint::point_async};

/// What is done with the engine itself.
pub trait Engine: Sync {
    /// The engine's own word on a staged file; it changes nothing.
    fn check(&self, staged: PathBuf) -> impl Future<Output = Result<(), DriverError>> + Send;

    /// Loads what is at its place, and ends when it was read back from the engine, and the one before takes no new
    /// requests. An error means that the one before serves on.
    fn reload(&self) -> impl Future<Output = Result<(), DriverError>> + Send;

    /// Called after a failed reload, when the files of before are back.
    fn rolled_back(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Files beside their place.
pub trait Stage: Send + 'static {
    /// Files at their place, and the way back.
    type Placed: Placed;

    /// The file that the engine is given to check.
    fn checked(&self) -> PathBuf;

    /// What makes them durable, where that is left to do: the engine may check them meanwhile.
    fn sync(&self) -> impl FnOnce() -> Result<(), DriverError> + Send + 'static {
        || Ok(())
    }

    /// Moves them to their place in one step.
    fn put(self) -> Result<Self::Placed, DriverError>;
}

/// Files at their place, and the way back.
pub trait Placed: Send + 'static {
    /// Brings back what was there before.
    fn back(self) -> Result<(), DriverError>;
}

/// Checks what is staged, puts it in place, reloads and confirms. On any error the files of before are in their place,
/// and the configuration of before serves on.
pub async fn roll_out<S: Stage>(engine: &impl Engine, staged: S) -> Result<(), DriverError> {
    let staged = checked(engine, staged).await?;
    let placed = blocking(move || staged.put()).await?;
    point_async("reload:begin").await;
    let Err(error) = engine.reload().await else { return Ok(()) };
    if let Err(left) = blocking(move || placed.back()).await {
        return Err(with(error, &format!("; and the files of before could not be put back: failed to {left}")));
    }
    engine.rolled_back().await;
    Err(error)
}

/// Lets the engine check what is staged, and hands it back where it passes.
pub async fn checked<S: Stage>(engine: &impl Engine, staged: S) -> Result<S, DriverError> {
    let (synced, passed) = tokio::join!(blocking(staged.sync()), engine.check(staged.checked()));
    // A disk that is full is why a file that is cut does not pass.
    synced.and(passed)?;
    point_async("files:checked").await;
    Ok(staged)
}

/// Runs what waits for the disk where it holds up nothing else.
///
/// # Panics
/// Where the work does.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DriverError> + Send + 'static,
) -> Result<T, DriverError> {
    tokio::task::spawn_blocking(work).await.expect("writing files does not panic")
}

/// A failed reload and what came on top of it: the reload's own reason must not be lost over it.
fn with(error: DriverError, more: &str) -> DriverError {
    match error {
        DriverError::Reload { message } => DriverError::Reload { message: message + more },
        other => {
            tracing::warn!("after a failed reload{more}");
            other
        }
    }
}

impl Stage for Staged {
    type Placed = Installed;

    fn checked(&self) -> PathBuf {
        self.path().to_owned()
    }

    fn sync(&self) -> impl FnOnce() -> Result<(), DriverError> + Send + 'static {
        Staged::sync(self)
    }

    fn put(self) -> Result<Installed, DriverError> {
        self.install()
    }
}

impl Placed for Installed {
    fn back(self) -> Result<(), DriverError> {
        self.roll_back()
    }
}

/// A set, and which of its files the engine checks.
impl Stage for (StagedSet, String) {
    type Placed = PlacedSet;

    fn checked(&self) -> PathBuf {
        self.0.path(&self.1)
    }

    fn put(self) -> Result<PlacedSet, DriverError> {
        self.0.place()
    }
}

impl Placed for PlacedSet {
    fn back(self) -> Result<(), DriverError> {
        self.roll_back()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, sync::Mutex};

    use super::*;
    use crate::{last_good, stage};

    /// An engine that notes what it was asked, and what its file said then.
    struct Noted<'a> {
        file: &'a Path,
        refuses: &'static str,
        asked: Mutex<Vec<String>>,
    }

    impl<'a> Noted<'a> {
        fn new(file: &'a Path, refuses: &'static str) -> Self {
            Self { file, refuses, asked: Mutex::default() }
        }

        fn note(&self, what: &str, file: &Path) -> Result<(), DriverError> {
            let says = fs::read_to_string(file).unwrap_or_default();
            self.asked.lock().unwrap().push(format!("{what} {says}"));
            if what == self.refuses { Err(DriverError::Reload { message: "no".into() }) } else { Ok(()) }
        }
    }

    impl Engine for Noted<'_> {
        async fn check(&self, staged: PathBuf) -> Result<(), DriverError> {
            assert_ne!(staged, self.file);
            self.note("check", &staged)
        }

        async fn reload(&self) -> Result<(), DriverError> {
            self.note("reload", self.file)
        }

        async fn rolled_back(&self) {
            let _ = self.note("back", self.file);
        }
    }

    async fn check(refuses: &'static str, asked: &[&str], says: &str) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.conf");
        fs::write(&file, "old").unwrap();
        let engine = Noted::new(&file, refuses);
        let done = roll_out(&engine, stage(&file, b"new").unwrap()).await;
        assert_eq!(done.is_err(), !refuses.is_empty());
        assert_eq!(*engine.asked.lock().unwrap(), asked);
        assert_eq!(fs::read_to_string(&file).unwrap(), says);
        assert_eq!(last_good(&file).exists(), refuses.is_empty());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1 + usize::from(refuses.is_empty()), "nothing is left over");
    }

    #[tokio::test]
    async fn what_fails_leaves_the_file_of_before() {
        check("", &["check new", "reload new"], "new").await;
        check("check", &["check new"], "old").await;
        check("reload", &["check new", "reload new", "back old"], "old").await;
    }

    #[test]
    fn a_failed_reload_keeps_its_reason() {
        let error = with(DriverError::Reload { message: "no".into() }, "; and more").to_string();
        assert_eq!(error, "reload: no; and more");
    }
}
