//! The life of a file that a data plane reads: staged beside its place, made durable, moved there in one
//! step, and moved back where what it says turns out not to work.
//!
//! At any moment, a crash included, the place holds one whole file: the new or the one before. Everything
//! here blocks on the disk; async callers go through `spawn_blocking`.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use backchat_contract::DriverError;
use rustix::io::Errno;

use crate::failpoint::point;

/// What follows a file's name in the name of its last good version.
pub const LAST_GOOD: &str = ".last-good";

/// What follows a file's name while it is staged. Always the same: what a crash leaves behind is overwritten
/// by the next attempt.
const STAGED: &str = ".staged";

/// The mode of a file that was not there before. A configuration may hold passwords.
pub(crate) const MODE: u32 = 0o600;

/// A file beside its place, durable, for a checker to read. Removed when dropped.
#[derive(Debug)]
pub struct Staged {
    target: PathBuf,
    path: PathBuf,
}

/// A file at its place, and the way back.
#[derive(Debug)]
#[must_use = "dropping it gives up the way back"]
pub struct Installed {
    target: PathBuf,
    replaced: bool,
}

/// Where the version before the current one is kept.
pub fn last_good(target: &Path) -> PathBuf {
    beside(target, LAST_GOOD)
}

/// Writes `bytes` beside `target` and makes them durable. Keeps the mode of the file that is there.
pub fn stage(target: &Path, bytes: &[u8]) -> Result<Staged, DriverError> {
    let staged = stage_soon(target, bytes)?;
    staged.sync()()?;
    Ok(staged)
}

/// The same, but that the disk is not waited for: the checker may read it before [`Staged::sync`], nothing may be
/// installed before that.
pub fn stage_soon(target: &Path, bytes: &[u8]) -> Result<Staged, DriverError> {
    // A rename onto a symbolic link would replace the link, not what it points at.
    let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
    let mode = fs::metadata(&target).map_or(MODE, |m| m.permissions().mode());
    let path = beside(&target, STAGED);
    // Made before the write, so that a write that fails (a full disk) leaves nothing behind.
    let staged = Staged { target, path };
    let written = fill(&staged.path, bytes).and_then(|file| file.set_permissions(Permissions::from_mode(mode)));
    written.map_err(DriverError::file("write", &staged.path))?;
    Ok(staged)
}

/// Stages and installs, for a file that needs no check.
pub fn install(target: &Path, bytes: &[u8]) -> Result<Installed, DriverError> {
    stage(target, bytes)?.install()
}

impl Staged {
    /// Where it is, for a checker.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What makes it durable. Full disks and quotas may be told only here.
    pub fn sync(&self) -> impl FnOnce() -> Result<(), DriverError> + Send + 'static {
        let path = self.path.clone();
        move || File::open(&path).and_then(|file| file.sync_all()).map_err(DriverError::file("write", path))
    }

    /// Moves it to its place in one step; what was there is kept as the last good version.
    ///
    /// A place that is a mount of its own (a file bound into a container) cannot be renamed onto: it is
    /// written in place, and a crash in that moment can leave it cut.
    pub fn install(self) -> Result<Installed, DriverError> {
        let replaced = keep(&self.target)?;
        point("file:kept");
        move_onto(&self.path, &self.target)?;
        point("file:placed");
        Ok(Installed { target: self.target.clone(), replaced })
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After `install` it is gone by its rename: that is the usual case, and no fault.
        let _ = fs::remove_file(&self.path);
    }
}

impl Installed {
    /// Its place.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Brings the file of before back: the last good version, or none where there was none.
    pub fn roll_back(self) -> Result<(), DriverError> {
        if self.replaced {
            return move_onto(&last_good(&self.target), &self.target);
        }
        fs::remove_file(&self.target).map_err(DriverError::file("remove", &self.target))?;
        sync_folder(&self.target)
    }
}

/// Keeps what is at `target`; says whether anything is.
fn keep(target: &Path) -> Result<bool, DriverError> {
    let spare = beside(target, ".keep");
    if let Err(error) = fs::remove_file(&spare)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(DriverError::file("remove", spare)(error));
    }
    match fs::hard_link(target, &spare) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        // No links here: another mount, or a file system without them.
        Err(_) => copy(target, &spare)?,
    }
    let kept = last_good(target);
    fs::rename(&spare, &kept).map_err(DriverError::file("rename", &kept))?;
    // Both are names of one file where the last attempt ended between here and its place: then a rename does nothing
    // (rename(2)), and leaves both. Usually it is gone, and that is no fault.
    let _ = fs::remove_file(&spare);
    Ok(true)
}

fn move_onto(from: &Path, target: &Path) -> Result<(), DriverError> {
    match fs::rename(from, target) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => write_in_place(from, target)?,
        done => done.map_err(DriverError::file("rename", target))?,
    }
    sync_folder(target)
}

fn write_in_place(from: &Path, target: &Path) -> Result<(), DriverError> {
    copy(from, target).inspect_err(|_| {
        // The target may be cut now. The version before is what it held; the first error is the one to tell.
        let _ = copy(&last_good(target), target);
    })
}

fn copy(from: &Path, to: &Path) -> Result<(), DriverError> {
    let bytes = fs::read(from).map_err(DriverError::file("read", from))?;
    write(to, &bytes).map_err(DriverError::file("write", to))?;
    Ok(())
}

/// Creates or overwrites, durably; a file that is there keeps its own mode.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let file = fill(path, bytes)?;
    // Full disks and quotas may be told only here.
    file.sync_all()?;
    Ok(file)
}

fn fill(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)?;
    let (half, rest) = bytes.split_at(bytes.len() / 2);
    file.write_all(half)?;
    point("files:half-written");
    file.write_all(rest)?;
    Ok(file)
}

/// Makes the names in a file's folder durable: a rename, a new file.
pub(crate) fn sync_folder(file: &Path) -> Result<(), DriverError> {
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(DriverError::file("sync", folder))
}

/// Hidden: the folder may be one whose every file is read (`include sites-enabled/*`).
fn beside(target: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(suffix);
    target.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }

    #[test]
    fn a_first_file_and_the_way_back_to_none() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.cfg");
        let installed = install(&target, b"one").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"one");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, MODE);
        installed.roll_back().unwrap();
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn the_version_before_is_kept_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.cfg");
        fs::write(&target, "one").unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o640)).unwrap();
        let installed = install(&target, b"two").unwrap();
        assert_eq!(fs::read(last_good(&target)).unwrap(), b"one");
        assert_eq!(fs::read(&target).unwrap(), b"two");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
        installed.roll_back().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"one");
        assert_eq!(names(folder.path()), ["a.cfg"]);
    }

    #[test]
    fn what_is_only_staged_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.cfg");
        fs::write(&target, "one").unwrap();
        // A crash left this: it is in nobody's way.
        fs::write(beside(&target, STAGED), "half").unwrap();
        let staged = stage(&target, b"two").unwrap();
        assert_eq!(fs::read(staged.path()).unwrap(), b"two");
        drop(staged);
        assert_eq!(fs::read(&target).unwrap(), b"one");
        assert_eq!(names(folder.path()), ["a.cfg"]);
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "one").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        drop(install(&link, b"two").unwrap());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"two");
    }

    #[test]
    fn errors_name_the_file() {
        let error = stage(Path::new("/nowhere/a.cfg"), b"one").unwrap_err().to_string();
        assert!(error.starts_with("write /nowhere/.a.cfg.staged: "), "{error}");
    }

    /// A mount that goes with its holder; `None`, said aloud, where mounting is not allowed.
    struct Mount<'a>(&'a Path);

    impl<'a> Mount<'a> {
        fn new(args: &[&str], at: &'a Path) -> Option<Self> {
            let done = Command::new("mount").args(args).arg(at).output().unwrap();
            if !done.status.success() {
                eprintln!("SKIPPED, mounting needs root: {}", String::from_utf8_lossy(&done.stderr).trim());
                return None;
            }
            Some(Self(at))
        }
    }

    impl Drop for Mount<'_> {
        fn drop(&mut self) {
            assert!(Command::new("umount").arg(self.0).status().unwrap().success());
        }
    }

    /// A file bound into a container cannot be renamed onto.
    #[test]
    fn a_bound_file_is_written_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let (outside, target) = (folder.path().join("outside"), folder.path().join("a.cfg"));
        fs::write(&outside, "one").unwrap();
        fs::write(&target, "").unwrap();
        let Some(_mount) = Mount::new(&["--bind", outside.to_str().unwrap()], &target) else { return };
        let installed = install(&target, b"two").unwrap();
        assert_eq!(
            (fs::read(&outside).unwrap(), fs::read(last_good(&target)).unwrap()),
            (b"two".into(), b"one".into())
        );
        installed.roll_back().unwrap();
        assert_eq!(fs::read(&outside).unwrap(), b"one");
    }

    #[test]
    fn a_full_disk_leaves_the_file_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let Some(_mount) = Mount::new(&["-t", "tmpfs", "-o", "size=64k", "none"], folder.path()) else { return };
        let target = folder.path().join("a.cfg");
        drop(install(&target, b"one").unwrap());
        let error = stage(&target, &vec![b'x'; 100_000]).unwrap_err();
        assert!(error.to_string().starts_with("write "), "{error}");
        assert_eq!(fs::read(&target).unwrap(), b"one");
        assert_eq!(names(folder.path()), ["a.cfg"]);
    }
}
