//! Several files that a data plane reads together, changed in one step: a crash at any moment leaves all of the new
//! or all of the old, never one of each.
//!
//! Each file's place is a link into `files/current`, and that is a link to the folder of one whole set; another set
//! comes by renaming this one link. The set before it stays as `files/last-good`. The names that the data plane and
//! people know never change, and a place that somebody has put a file of his own at is taken into a set first.
//!
//! Everything here blocks on the disk; async callers go through `spawn_blocking`.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use backchat_contract::DriverError;
use rustix::io::Errno;

use crate::{
    failpoint::point,
    install::{MODE, sync_folder, write},
};

/// The folder of the sets, beside the places.
const SETS: &str = "files";
/// The link to the set that is read.
const CURRENT: &str = "current";
/// The link to the set that was read before it.
const LAST_GOOD: &str = "last-good";

/// The places of files that change together, all in one folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSet {
    folder: PathBuf,
}

/// A whole set beside the current one, durable, for a checker to read. Removed when dropped.
#[derive(Debug)]
pub struct StagedSet {
    set: FileSet,
    names: Vec<OsString>,
    /// `None` where every file is at its place already.
    new: Option<OsString>,
}

/// A set at its place, and the way back.
#[derive(Debug)]
#[must_use = "dropping it gives up the way back"]
pub struct PlacedSet {
    set: FileSet,
    before: Option<OsString>,
}

impl FileSet {
    /// The files whose places are in this folder.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Where the version before the current one of a file is kept.
    pub fn last_good(&self, name: impl AsRef<Path>) -> PathBuf {
        self.sets().join(LAST_GOOD).join(name)
    }

    /// Writes these files as a set beside the current one and makes them durable. Each keeps the mode of the one that
    /// is at its place. Where all of them are there already nothing is written: the disk is not waited for, and the
    /// last good set is not pushed out by its equal.
    pub fn stage(&self, files: &[(&str, &[u8])]) -> Result<StagedSet, DriverError> {
        let names: Vec<OsString> = files.iter().map(|(name, _)| OsString::from(name)).collect();
        if files.iter().all(|(name, bytes)| self.holds(name, bytes)) {
            return Ok(StagedSet { set: self.clone(), names, new: None });
        }
        self.sweep();
        let new = self.make()?;
        // Before the writes, so that one that fails (a full disk) leaves nothing behind.
        let staged = StagedSet { set: self.clone(), names, new: Some(new) };
        for (name, bytes) in files {
            self.fill(&staged.path(name), name, bytes)?;
            point("files:one-written");
        }
        sync_folder(&staged.path("any"))?;
        sync_folder(&self.sets().join(CURRENT))?;
        point("files:written");
        Ok(staged)
    }

    /// Brings back the places that somebody removed.
    pub fn mend(&self) -> Result<(), DriverError> {
        let gone = |name: &&OsString| fs::symlink_metadata(self.folder.join(name)).is_err();
        self.current().iter().filter(gone).try_for_each(|name| self.link(name))
    }

    /// Puts the last good set back in the place of the current one.
    pub fn fall_back(&self) -> Result<(), DriverError> {
        let Some(good) = self.target(LAST_GOOD) else {
            return Err(DriverError::file("read", self.sets().join(LAST_GOOD))(io::ErrorKind::NotFound.into()));
        };
        self.point_to(CURRENT, &good)?;
        self.link_all()
    }

    /// The files of the current set.
    fn current(&self) -> Vec<OsString> {
        let entries = fs::read_dir(self.sets().join(CURRENT)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).collect()
    }

    /// Makes a link at the place of each file of the current set, and takes away those that lead nowhere any more.
    fn link_all(&self) -> Result<(), DriverError> {
        self.current().iter().try_for_each(|name| self.link(name))?;
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            if self.is_linked(&name) && !path.exists() {
                // One that stays leads nowhere, and the next set tries again.
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }

    fn sets(&self) -> PathBuf {
        self.folder.join(SETS)
    }

    /// Whether a file is at its place, and comes from the current set.
    fn holds(&self, name: &str, bytes: &[u8]) -> bool {
        self.is_linked(OsStr::new(name)) && fs::read(self.folder.join(name)).is_ok_and(|old| old == bytes)
    }

    /// A folder for another set. Its name is a number above all others, so that no crash leaves one that is half.
    fn make(&self) -> Result<OsString, DriverError> {
        let sets = self.sets();
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true).mode(0o700);
        folder.create(&sets).map_err(DriverError::file("make", &sets))?;
        let last = self.numbered().into_iter().map(|(number, _)| number).max().unwrap_or(0);
        let name = OsString::from((last + 1).to_string());
        let path = sets.join(&name);
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(DriverError::file("make", &path))?;
        Ok(name)
    }

    /// One file of a new set: what is at its place already is linked, not written again.
    fn fill(&self, path: &Path, name: &str, bytes: &[u8]) -> Result<(), DriverError> {
        let place = self.folder.join(name);
        if self.holds(name, bytes) && fs::canonicalize(&place).and_then(|old| fs::hard_link(old, path)).is_ok() {
            return Ok(());
        }
        let mode = fs::metadata(&place).map_or(MODE, |m| m.permissions().mode());
        let written = write(path, bytes).and_then(|file| file.set_permissions(Permissions::from_mode(mode)));
        written.map_err(DriverError::file("write", path))
    }

    /// Where a file lies at its place that is no link of ours (put there by hand, or by an earlier version), takes
    /// all that the places say now into a set, and makes links of them: what they say stays the same throughout.
    fn adopt(&self, names: &[OsString]) -> Result<(), DriverError> {
        let foreign = |name: &OsString| self.folder.join(name).exists() && !self.is_linked(name);
        if !names.iter().any(foreign) {
            return names.iter().try_for_each(|name| self.link(name));
        }
        let adopted = self.make()?;
        let folder = self.sets().join(&adopted);
        for name in names {
            let place = self.folder.join(name);
            match fs::read(&place) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(DriverError::file("read", place)(error)),
                Ok(bytes) => self.fill(&folder.join(name), &name.to_string_lossy(), &bytes)?,
            }
        }
        sync_folder(&folder.join("any"))?;
        self.point_to(CURRENT, &adopted)?;
        point("files:adopted");
        names.iter().try_for_each(|name| self.link(name))
    }

    fn is_linked(&self, name: &OsStr) -> bool {
        fs::read_link(self.folder.join(name)).is_ok_and(|to| to == into_current(name))
    }

    /// Makes a file's place a link into the current set.
    fn link(&self, name: &OsStr) -> Result<(), DriverError> {
        if self.is_linked(name) {
            return Ok(());
        }
        let place = self.folder.join(name);
        relink(&into_current(name), &place).map_err(|error| match Errno::from_io_error(&error) {
            // A file bound into a container: nothing can be renamed onto it.
            Some(Errno::BUSY) => DriverError::Unsupported(format!(
                "replace {}: it is a mount; mount its folder instead",
                place.display()
            )),
            _ => DriverError::file("rename", &place)(error),
        })?;
        point("files:linked");
        sync_folder(&place)
    }

    /// Points one of the links among the sets to another set.
    fn point_to(&self, link: &str, set: &OsStr) -> Result<(), DriverError> {
        let link = self.sets().join(link);
        relink(Path::new(set), &link).map_err(DriverError::file("rename", &link))?;
        sync_folder(&link)
    }

    /// The set that one of the links points to.
    fn target(&self, link: &str) -> Option<OsString> {
        let sets = self.sets();
        let to = fs::read_link(sets.join(link)).ok()?.into_os_string();
        sets.join(&to).is_dir().then_some(to)
    }

    fn numbered(&self) -> Vec<(u64, OsString)> {
        let names = fs::read_dir(self.sets()).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.filter_map(|name| Some((name.to_str()?.parse().ok()?, name))).collect()
    }

    /// Removes the sets that no link points to: older ones, and what a crash left.
    fn sweep(&self) {
        let kept = [CURRENT, LAST_GOOD].map(|link| self.target(link));
        for (_, name) in self.numbered() {
            if !kept.contains(&Some(name.clone())) {
                self.discard(&name);
            }
        }
    }

    fn discard(&self, set: &OsStr) {
        // One that stays only takes room, and the next sweep tries again.
        let _ = fs::remove_dir_all(self.sets().join(set));
    }
}

impl StagedSet {
    /// Where one of its files is, for a checker.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.set.sets().join(self.new.as_deref().unwrap_or(OsStr::new(CURRENT))).join(name)
    }

    /// Moves the set to its place in one step; what was there is kept as the last good one.
    pub fn place(mut self) -> Result<PlacedSet, DriverError> {
        let set = self.set.clone();
        let Some(new) = self.new.clone() else {
            // What is there may have been put there by a daemon that crashed before it was loaded: the way back is
            // the one that this daemon would have had.
            let before = set.target(LAST_GOOD);
            return Ok(PlacedSet { set, before });
        };
        set.adopt(&self.names)?;
        let before = set.target(CURRENT);
        if let Some(before) = &before {
            set.point_to(LAST_GOOD, before)?;
        }
        point("files:kept");
        relink(Path::new(&new), &set.sets().join(CURRENT))
            .map_err(DriverError::file("rename", set.sets().join(CURRENT)))?;
        self.new = None;
        point("files:placed");
        let placed = PlacedSet { set, before };
        let linked = placed.set.link_all();
        let synced = linked.and_then(|()| sync_folder(&placed.set.sets().join(CURRENT)));
        if let Err(error) = synced {
            // It may or may not last: the one before is known to.
            placed.roll_back()?;
            return Err(error);
        }
        point("files:synced");
        placed.set.sweep();
        Ok(placed)
    }
}

impl Drop for StagedSet {
    fn drop(&mut self) {
        if let Some(new) = &self.new {
            self.set.discard(new);
        }
    }
}

impl PlacedSet {
    /// Brings the set of before back: the last good one, or none where there was none.
    pub fn roll_back(self) -> Result<(), DriverError> {
        let link = self.set.sets().join(CURRENT);
        match &self.before {
            Some(before) => self.set.point_to(CURRENT, before)?,
            None => fs::remove_file(&link).map_err(DriverError::file("remove", &link))?,
        }
        sync_folder(&link)?;
        if self.before.is_some() {
            self.set.link_all()?;
        }
        self.set.sweep();
        Ok(())
    }
}

/// Where a place's link leads: relative, so that the folder may be moved as a whole.
fn into_current(name: &OsStr) -> PathBuf {
    Path::new(SETS).join(CURRENT).join(name)
}

/// Makes `at` a link in one step, whatever it was before.
fn relink(to: &Path, at: &Path) -> io::Result<()> {
    let mut new = OsString::from(at);
    new.push(".new");
    // A crash may have left one.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    symlink(to, &new)?;
    fs::rename(&new, at)
}

#[cfg(test)]
mod tests;
