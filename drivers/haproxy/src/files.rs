//! The files of a managed HAProxy on disk: written after a push, put in place with a reload, and settled
//! before a start.

use std::{fs, io, path::PathBuf, time::Duration};

use backchat_contract::DriverError;
use backchat_template::{Installed, install, last_good, stage};

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
    place(paths, rendered).await.map(drop)
}

/// Checks a rendering, puts it in place, reloads and confirms. On any error the files of before are back in
/// place, and the worker of before serves on.
pub async fn deploy(launch: &Launch, rendered: &Rendered, generation: u64, limits: Limits) -> Result<(), DriverError> {
    try_out(launch, rendered, limits.check).await?;
    let installed = place(&launch.paths, rendered).await?;
    let Err(error) = master::reload(&launch.paths, generation, limits.reload).await else { return Ok(()) };
    blocking(move || take_back(installed)).await?;
    revive(launch, limits.reload).await;
    Err(error)
}

/// Checks a rendering without putting it in place.
pub async fn try_out(launch: &Launch, rendered: &Rendered, limit: Duration) -> Result<(), DriverError> {
    let (paths, config) = (launch.paths.clone(), rendered.config.clone());
    let staged = blocking(move || {
        // The configuration names the maps, and HAProxy refuses one that is not there.
        for map in [&paths.hosts, &paths.services] {
            if !map.exists() {
                drop(install(map, b"")?);
            }
        }
        stage(&paths.config, config.as_bytes())
    });
    let staged = staged.await?;
    check(&launch.program, staged.path(), limit).await
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
/// one, which is then put in place. One that somebody edited is taken if it passes.
pub async fn settle(launch: &Launch, limit: Duration) -> Result<bool, DriverError> {
    let config = &launch.paths.config;
    if seal(config) != Seal::Missing && check(&launch.program, config, limit).await.is_ok() {
        return Ok(true);
    }
    let good = last_good(config);
    if seal(&good) == Seal::Missing || check(&launch.program, &good, limit).await.is_err() {
        return Ok(false);
    }
    tracing::warn!(file = %config.display(), "starting from the last good configuration: the current one does not pass");
    fs::rename(&good, config).map_err(DriverError::file("rename", config))?;
    Ok(true)
}

fn seal(file: &std::path::Path) -> Seal {
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

/// All of the files that differ; where one cannot be written, none is.
async fn place(paths: &Paths, rendered: &Rendered) -> Result<Vec<Installed>, DriverError> {
    let files = [
        (paths.hosts.clone(), rendered.hosts.clone()),
        (paths.services.clone(), rendered.services.clone()),
        (paths.config.clone(), rendered.config.clone()),
    ];
    blocking(move || {
        // Each write waits for the disk, and most pushes leave the maps as they are.
        let differs = |(path, text): &&(PathBuf, String)| fs::read(path).map_or(true, |old| old != text.as_bytes());
        let stage = |(path, text): &(PathBuf, String)| stage(path, text.as_bytes());
        // All are staged before one is moved: a full disk is told before anything has changed.
        let staged: Vec<_> = files.iter().filter(differs).map(stage).collect::<Result<_, _>>()?;
        let mut installed = Vec::new();
        for file in staged {
            match file.install() {
                Ok(file) => installed.push(file),
                Err(error) => {
                    take_back(installed)?;
                    return Err(error);
                }
            }
        }
        Ok(installed)
    })
    .await
}

fn take_back(installed: Vec<Installed>) -> Result<(), DriverError> {
    installed.into_iter().rev().try_for_each(Installed::roll_back)
}

/// Runs what waits for the disk where it holds up nothing else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DriverError> + Send + 'static,
) -> Result<T, DriverError> {
    tokio::task::spawn_blocking(work).await.expect("writing files does not panic")
}
