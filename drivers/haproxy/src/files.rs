//! The files of a managed HAProxy on disk: written after a push, put in place with a reload, and settled
//! before a start. They change together: a HAProxy started alone after a crash finds all of one rendering.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use backchat_contract::{DriverError, Pem};
use backchat_template::{Engine, FileSet, StagedSet, blocking, checked, keep_edited, read, roll_out};

use crate::{
    certificates::{self, CertFile, LIST},
    check::check,
    config::{GENERATION, Rendered, Seal, generation_of},
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

/// The same with a check before it, where there is a limit for one.
pub(crate) async fn write_by(launch: &Launch, rendered: &Rendered, limit: Option<Duration>) -> Result<(), DriverError> {
    let Some(limit) = limit else { return write(&launch.paths, rendered).await };
    let limits = Limits { check: limit, ..Limits::default() };
    let (set, _) = checked(&Haproxy { launch, generation: 0, limits }, staged(launch, rendered).await?).await?;
    blocking(move || set.place().map(drop)).await
}

/// Checks a rendering, puts it in place, reloads and confirms. On any error the files of before are back in
/// place, and the worker of before serves on.
pub async fn deploy(launch: &Launch, rendered: &Rendered, generation: u64, limits: Limits) -> Result<(), DriverError> {
    let staged = staged(launch, rendered).await?;
    roll_out(&Haproxy { launch, generation, limits }, staged).await
}

/// Checks a rendering without putting it in place.
pub async fn try_out(launch: &Launch, rendered: &Rendered, limit: Duration) -> Result<(), DriverError> {
    let staged = staged(launch, rendered).await?;
    let limits = Limits { check: limit, ..Limits::default() };
    checked(&Haproxy { launch, generation: 0, limits }, staged).await.map(drop)
}

async fn staged(launch: &Launch, rendered: &Rendered) -> Result<(StagedSet, String), DriverError> {
    let paths = launch.paths.clone();
    blocking(move || have_maps(&paths)).await?;
    Ok((stage(&launch.paths, rendered).await?, name(&launch.paths.config).to_owned()))
}

/// A HAProxy that is to run a generation.
struct Haproxy<'a> {
    launch: &'a Launch,
    generation: u64,
    limits: Limits,
}

impl Engine for Haproxy<'_> {
    async fn check(&self, staged: PathBuf) -> Result<(), DriverError> {
        check(&self.launch.program, &staged, self.limits.check).await
    }

    async fn reload(&self) -> Result<(), DriverError> {
        master::reload(&self.launch.paths, self.generation, self.limits.reload).await
    }

    async fn rolled_back(&self) {
        revive(self.launch, self.limits.reload).await;
    }
}

async fn stage(paths: &Paths, rendered: &Rendered) -> Result<StagedSet, DriverError> {
    let (paths, rendered) = (paths.clone(), rendered.clone());
    let work = move || {
        keep_edited(&paths.config)?;
        let texts = [&rendered.config, &rendered.hosts, &rendered.services];
        let secrets = secrets(&paths, &rendered)?;
        let mut files: Vec<_> =
            names(&paths).into_iter().zip(texts).map(|(name, text)| (name, text.as_bytes())).collect();
        files.extend(secrets.iter().map(|(name, text)| (name.as_str(), text.as_slice())));
        set(&paths).stage(&files)
    };
    blocking(work).await
}

/// The certificates with their list; none where there is none.
fn secrets(paths: &Paths, rendered: &Rendered) -> Result<Vec<(String, Vec<u8>)>, DriverError> {
    let place = |file: &CertFile| paths.certificates.with_file_name(file.to_string());
    let text = |(file, pem): (&CertFile, &Option<Pem>)| {
        let kept = || fs::read(place(file)).map_err(DriverError::file("read", place(file)));
        Ok((file.to_string(), pem.as_ref().map_or_else(kept, |pem| Ok(pem.secret().as_bytes().to_vec()))?))
    };
    let mut files = rendered.pems.iter().map(text).collect::<Result<Vec<_>, DriverError>>()?;
    if !files.is_empty() {
        files.push((LIST.to_owned(), rendered.certificates.clone().into_bytes()));
    }
    Ok(files)
}

/// The list of certificates on disk; empty where one of its files is not there, so that they are written anew.
pub(crate) fn certificates(paths: &Paths) -> Result<String, DriverError> {
    let list = read(&paths.certificates)?;
    let facts = certificates::facts(&list);
    let whole = certificates::files(&facts).keys().all(|file| {
        let place = paths.certificates.with_file_name(file.to_string());
        place.exists()
    });
    Ok(if whole { list } else { String::new() })
}

/// The configuration names the maps, and HAProxy refuses one that is not there, in a check too.
fn have_maps(paths: &Paths) -> Result<(), DriverError> {
    let maps = [&paths.hosts, &paths.services];
    if maps.iter().all(|map| map.exists()) {
        return Ok(());
    }
    let config = fs::read(&paths.config).ok();
    let maps = maps.map(|map| (name(map), fs::read(map).unwrap_or_default()));
    // Without the certificates, which the next set brings: this one is read by a check alone.
    let files: Vec<_> = config.map(|text| (name(&paths.config), text)).into_iter().chain(maps).collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_slice())).collect();
    set(paths).stage(&files)?.place().map(drop)
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
    backchat_template::unwritten(error, "endpoints flow, and haproxy's files stay as they are")
}

/// Refuses to start where somebody else's configuration lies: neither ours nor a cut one of ours.
pub fn refuse_foreign(paths: &Paths, rendered: &str) -> Result<(), DriverError> {
    backchat_template::refuse_foreign(&paths.config, GENERATION, rendered)
}

/// Whether there is a file to start from: the one in place; where that is cut or does not pass, the last good
/// one, which is then put in place with its maps. One that somebody edited is taken if it passes, and put aside if
/// not.
pub async fn settle(launch: &Launch, limit: Duration) -> Result<bool, DriverError> {
    let paths = &launch.paths;
    let (config, set) = (&paths.config, set(paths));
    set.mend()?;
    if seal(config) != Seal::Missing && check(&launch.program, config, limit).await.is_ok() {
        return Ok(true);
    }
    let good = set.last_good(name(config));
    if seal(&good) == Seal::Missing || check(&launch.program, &good, limit).await.is_err() {
        return Ok(false);
    }
    if seal(config) == Seal::Edited {
        // Somebody's work, though it does not pass.
        keep_edited(&paths.config)?;
    }
    tracing::warn!(file = %config.display(), "starting from the last good configuration: the current one does not pass");
    set.fall_back()?;
    Ok(true)
}

fn seal(file: &Path) -> Seal {
    fs::read_to_string(file).map_or(Seal::Missing, |text| Seal::of(&text))
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
