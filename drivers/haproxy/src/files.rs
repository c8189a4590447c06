//! The files of a managed HAProxy on disk: written after a push, put in place with a reload, and settled
//! before a start.

use std::{collections::BTreeSet, fs, io, path::PathBuf, time::Duration};

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
    if let Err(left) = blocking(move || take_back(installed)).await {
        return Err(with(error, &format!("; and the files of before could not be put back: failed to {left}")));
    }
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
/// one, which is then put in place. One that somebody edited is taken if it passes, and put aside if not.
pub async fn settle(launch: &Launch, limit: Duration) -> Result<bool, DriverError> {
    let config = &launch.paths.config;
    if seal(config) != Seal::Missing && check(&launch.program, config, limit).await.is_ok() {
        return Ok(true);
    }
    let good = last_good(config);
    if seal(&good) == Seal::Missing || check(&launch.program, &good, limit).await.is_err() {
        return Ok(false);
    }
    if seal(config) == Seal::Edited {
        // Somebody's work, though it does not pass.
        let aside = config.with_extension("cfg.edited");
        fs::rename(config, &aside).map_err(DriverError::file("rename", &aside))?;
        tracing::warn!(file = %aside.display(), "an edited configuration that does not pass was put aside");
    }
    tracing::warn!(file = %config.display(), "starting from the last good configuration: the current one does not pass");
    fs::rename(&good, config).map_err(DriverError::file("rename", config))?;
    Ok(true)
}

fn seal(file: &std::path::Path) -> Seal {
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

/// All of the files that differ; where one cannot be written, none is.
async fn place(paths: &Paths, rendered: &Rendered) -> Result<Vec<Installed>, DriverError> {
    let mut files = [
        (paths.config.clone(), rendered.config.clone()),
        (paths.hosts.clone(), rendered.hosts.clone()),
        (paths.services.clone(), rendered.services.clone()),
    ];
    let config = paths.config.clone();
    blocking(move || {
        // A crash may come between two renames, and HAProxy may then be started from what is there. A map that names
        // a backend which the file lacks answers 503: so where the file gains backends it goes first, and where it
        // only loses some it goes last. (Where it does both, what came is worth more than what went.)
        let before = fs::read_to_string(config).unwrap_or_default();
        if has_all_backends(&before, &files[0].1) {
            files.rotate_left(1);
        }
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

/// Whether a configuration declares every backend that another does.
fn has_all_backends(config: &str, other: &str) -> bool {
    let backends = |text| -> BTreeSet<&str> {
        let lines = str::lines(text).filter_map(|line| line.strip_prefix("backend "));
        lines.filter_map(|rest| rest.split_whitespace().next()).collect()
    };
    backends(other).is_subset(&backends(config))
}

fn take_back(installed: Vec<Installed>) -> Result<(), DriverError> {
    // One that cannot go back keeps no other from it.
    let done: Vec<_> = installed.into_iter().rev().map(Installed::roll_back).collect();
    done.into_iter().collect()
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

    /// The files in the order in which they were moved to their places.
    async fn first(before: &[&str], after: &[&str]) -> Vec<&'static str> {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path()).unwrap();
        let rendered = |backends: &[&str]| {
            let lines = |line: &dyn Fn(&&str) -> String| backends.iter().map(line).collect::<String>();
            Rendered {
                config: lines(&|b| format!("backend {b} from x\n")),
                hosts: lines(&|b| format!("{b}.example/ {b}\n")),
                services: lines(&|b| format!("{b} {b}\n")),
                structure: String::new(),
            }
        };
        write(&paths, &rendered(before)).await.unwrap();
        let installed = place(&paths, &rendered(after)).await.unwrap();
        let named = installed.iter().map(|file| match file.target() {
            path if path == paths.config => "config",
            path if path == paths.hosts => "hosts",
            _ => "services",
        });
        named.collect()
    }

    #[test]
    fn a_way_back_that_fails_goes_on_and_hides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["a", "b", "c"].map(|name| folder.path().join(name));
        for text in ["old", "new"] {
            for name in &names {
                drop(install(name, text.as_bytes()).unwrap());
            }
        }
        let installed = names.iter().map(|name| install(name, b"newest").unwrap()).collect();
        fs::remove_file(last_good(&names[1])).unwrap();
        let left = take_back(installed).unwrap_err();
        let texts = names.each_ref().map(|name| fs::read_to_string(name).unwrap());
        assert_eq!(texts, ["new", "newest", "new"]);
        let error = with(DriverError::Reload { message: "no".into() }, &format!("; and {left}")).to_string();
        assert!(error.starts_with("reload: no; and rename "), "{error}");
    }

    #[tokio::test]
    async fn maps_name_only_backends_that_the_file_has() {
        assert_eq!(first(&["a"], &["a", "b"]).await, ["config", "hosts", "services"]);
        assert_eq!(first(&["a", "b"], &["a"]).await, ["hosts", "services", "config"]);
        assert_eq!(first(&["a"], &["b"]).await, ["config", "hosts", "services"]);
    }
}
