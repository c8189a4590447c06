//! The files of a managed HAProxy on disk: written after a push, put in place with a reload, and settled
//! before a start. They change together: a HAProxy started alone after a crash finds all of one rendering.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use backchat_contract::DriverError;
use backchat_template::{FileSet, StagedSet, failpoint::point_async, install};

use crate::{
    check::check,
    config::{Rendered, Seal, generation_of},
    master,
    paths::Paths,
    process::Launch,
};

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `haproxy -c`: some 80 ms for 10,000 servers.
    pub check: Duration,
    /// A reload until its worker answers: 2 s are lost where a port is in use.
    pub reload: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { check: Duration::from_secs(10), reload: Duration::from_secs(15) }
    }
}

/// Writes what already runs, so that a HAProxy restarted alone serves the same. Only for a rendering whose
/// structure is the running one: it is not checked, because nothing in it but newtypes has changed.
pub async fn write(paths: &Paths, rendered: &Rendered) -> Result<(), DriverError> {
    let staged = stage(paths, rendered).await?;
    blocking(move || staged.place().map(drop)).await
}

/// Checks a rendering, puts it in place, reloads and confirms. On any error the files of before are back in
/// place, and the worker of before serves on.
pub async fn deploy(launch: &Launch, rendered: &Rendered, generation: u64, limits: Limits) -> Result<(), DriverError> {
    let staged = checked(launch, rendered, limits.check).await?;
    let placed = blocking(move || staged.place()).await?;
    point_async("reload:begin").await;
    let Err(error) = master::reload(&launch.paths, generation, limits.reload).await else { return Ok(()) };
    if let Err(left) = blocking(move || placed.roll_back()).await {
        return Err(with(error, &format!("; and the files of before could not be put back: failed to {left}")));
    }
    revive(launch, limits.reload).await;
    Err(error)
}

/// Checks a rendering without putting it in place.
pub async fn try_out(launch: &Launch, rendered: &Rendered, limit: Duration) -> Result<(), DriverError> {
    checked(launch, rendered, limit).await.map(drop)
}

async fn checked(launch: &Launch, rendered: &Rendered, limit: Duration) -> Result<StagedSet, DriverError> {
    let paths = launch.paths.clone();
    blocking(move || have_maps(&paths)).await?;
    let staged = stage(&launch.paths, rendered).await?;
    check(&launch.program, &staged.path(name(&launch.paths.config)), limit).await?;
    point_async("files:checked").await;
    Ok(staged)
}

async fn stage(paths: &Paths, rendered: &Rendered) -> Result<StagedSet, DriverError> {
    let (paths, rendered) = (paths.clone(), rendered.clone());
    let work = move || {
        keep_edited(&paths)?;
        let texts = [&rendered.config, &rendered.hosts, &rendered.services];
        let files: Vec<_> = names(&paths).into_iter().zip(texts).map(|(name, text)| (name, text.as_bytes())).collect();
        set(&paths).stage(&files)
    };
    blocking(work).await
}

/// The configuration names the maps, and HAProxy refuses one that is not there, in a check too.
fn have_maps(paths: &Paths) -> Result<(), DriverError> {
    let maps = [&paths.hosts, &paths.services];
    if maps.iter().all(|map| map.exists()) {
        return Ok(());
    }
    let config = fs::read(&paths.config).ok();
    let maps = maps.map(|map| (name(map), fs::read(map).unwrap_or_default()));
    let files: Vec<_> = config.map(|text| (name(&paths.config), text)).into_iter().chain(maps).collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_slice())).collect();
    set(paths).stage(&files)?.place().map(drop)
}

/// What somebody wrote is not lost when it is written over.
fn keep_edited(paths: &Paths) -> Result<(), DriverError> {
    let Ok(bytes) = fs::read(&paths.config) else { return Ok(()) };
    if bytes.is_empty() || Seal::of(&String::from_utf8_lossy(&bytes)) == Seal::Whole {
        return Ok(());
    }
    let aside = aside(paths);
    if fs::read(&aside).is_ok_and(|kept| kept == bytes) {
        return Ok(());
    }
    drop(install(&aside, &bytes)?);
    tracing::warn!(file = %aside.display(), "the configuration was not as backchat wrote it: kept here");
    Ok(())
}

fn aside(paths: &Paths) -> PathBuf {
    let mut name = paths.config.clone().into_os_string();
    name.push(".edited");
    name.into()
}

fn set(paths: &Paths) -> FileSet {
    FileSet::new(paths.config.parent().unwrap_or(Path::new("/")))
}

fn names(paths: &Paths) -> [&str; 3] {
    [&paths.config, &paths.hosts, &paths.services].map(|path| name(path))
}

/// The names are ours, and plain.
fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Says of files that could not be written how that is cured, and what goes on meanwhile. Only where HAProxy runs.
pub(crate) fn unwritten(error: DriverError) -> DriverError {
    let DriverError::File { action, path, source } = error else { return error };
    let cure = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room there",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "make it writable",
        _ => "see to it",
    };
    let text = format!("{source}; {cure}: until then endpoints flow, and haproxy's files stay as they are");
    DriverError::File { action, path, source: io::Error::new(source.kind(), text) }
}

/// Refuses to start where somebody else's configuration lies: neither ours nor a cut one of ours (empty, or with
/// our generation in it, or cut before that: the beginning of `rendered`).
pub fn refuse_foreign(paths: &Paths, rendered: &str) -> Result<(), DriverError> {
    let text = match fs::read(&paths.config) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(DriverError::file("read", &paths.config)(error)),
    };
    if Seal::of(&text) != Seal::Missing || generation_of(&text).is_some() || rendered.starts_with(&text) {
        return Ok(());
    }
    let file = paths.config.display();
    let remedy = "move it away, or use another run folder (--run-dir)";
    Err(DriverError::Unsupported(format!("write over {file}: it is not backchat's; {remedy}")))
}

/// Whether there is a file to start from: the one in place; where that is cut or does not pass, the last good
/// one, which is then put in place with its maps. One that somebody edited is taken if it passes, and put aside if
/// not.
pub async fn settle(launch: &Launch, limit: Duration) -> Result<bool, DriverError> {
    let paths = &launch.paths;
    let (config, set, names) = (&paths.config, set(paths), names(paths));
    set.mend(&names)?;
    if seal(config) != Seal::Missing && check(&launch.program, config, limit).await.is_ok() {
        return Ok(true);
    }
    let good = set.last_good(name(config));
    if seal(&good) == Seal::Missing || check(&launch.program, &good, limit).await.is_err() {
        return Ok(false);
    }
    if seal(config) == Seal::Edited {
        // Somebody's work, though it does not pass.
        keep_edited(paths)?;
    }
    tracing::warn!(file = %config.display(), "starting from the last good configuration: the current one does not pass");
    set.fall_back(&names)?;
    Ok(true)
}

fn seal(file: &Path) -> Seal {
    fs::read_to_string(file).map_or(Seal::Missing, |text| Seal::of(&text))
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

/// 3.2 may leave the runtime socket refusing after two failed reloads in a row; a good one restores it.
async fn revive(launch: &Launch, limit: Duration) {
    if master::live_generation(&launch.paths).await.is_ok() {
        return;
    }
    let text = fs::read_to_string(&launch.paths.config).unwrap_or_default();
    let Some(generation) = generation_of(&text) else { return };
    if let Err(error) = master::reload(&launch.paths, generation, limit).await {
        tracing::warn!(%error, "the runtime socket is refused after a failed reload, and another did not restore it");
    }
}

/// Runs what waits for the disk where it holds up nothing else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DriverError> + Send + 'static,
) -> Result<T, DriverError> {
    tokio::task::spawn_blocking(work).await.expect("writing files does not panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_reload_keeps_its_reason() {
        let error = with(DriverError::Reload { message: "no".into() }, "; and more").to_string();
        assert_eq!(error, "reload: no; and more");
    }
}
