//! Those that see what a dry run does, without a word of its own: a program in the place of the data plane's that notes
//! how it is called, the files before and after, and the kernel's list of what is bound.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use backchat::demo::Driver;

use crate::scenes::world::World;

/// A program in the place of the data plane's own.
pub(super) struct Witness {
    driver: Driver,
    program: PathBuf,
    calls: PathBuf,
}

impl Witness {
    pub(super) fn new(world: &World) -> Self {
        let (program, calls) = (world.folder.path().join("witness"), world.folder.path().join("witness.log"));
        let real = world.driver.program();
        let script = format!("#!/bin/sh\necho \"$@\" >> '{}'\nexec '{}' \"$@\"\n", calls.display(), real.display());
        // Written by another process: one that is forked here meanwhile would hold it open, and nobody could start it.
        let write = "printf %s \"$1\" > \"$2\" && chmod 700 \"$2\" && : > \"$3\"";
        let written = Command::new("sh").args(["-c", write, "sh", &script]).arg(&program).arg(&calls).status().unwrap();
        assert!(written.success());
        Self { driver: world.driver, program, calls }
    }

    /// What has an lb call it.
    pub(super) fn flags(&self) -> Vec<String> {
        vec![format!("--{}", self.driver.name()), self.program.display().to_string()]
    }

    /// The arguments of each call so far.
    pub(super) fn calls(&self) -> Vec<String> {
        fs::read_to_string(&self.calls).unwrap_or_default().lines().map(ToOwned::to_owned).collect()
    }
}

/// What is at a path.
type Found = (Vec<u8>, Option<SystemTime>);

/// Every file below a folder, with what it holds and when it was written; of what is no file that it is there.
pub(super) fn tree(folder: &Path) -> BTreeMap<PathBuf, Found> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            all.extend(tree(&path));
        }
        let written = fs::symlink_metadata(&path).and_then(|m| m.modified()).ok();
        // What the data plane says there is its own.
        let told = kind.is_file() && path.extension().is_none_or(|ext| ext != "log");
        all.insert(path.clone(), if told { (fs::read(&path).unwrap(), written) } else { (Vec::new(), None) });
    }
    all
}

/// Which of the files are not as they were.
pub(super) fn changed(before: &BTreeMap<PathBuf, Found>, after: &BTreeMap<PathBuf, Found>) -> Vec<PathBuf> {
    let paths = before.keys().chain(after.keys());
    let mut changed: Vec<_> = paths.filter(|path| before.get(*path) != after.get(*path)).cloned().collect();
    changed.dedup();
    changed
}

/// The new lines of a diff that a text lacks.
pub(super) fn lacking(diff: &str, text: &str) -> Vec<String> {
    let new = diff.lines().filter(|line| !line.starts_with("+++")).filter_map(|line| line.strip_prefix('+'));
    let new: Vec<_> = new.collect();
    assert!(!new.is_empty(), "nothing new in {diff}");
    new.into_iter().filter(|line| !text.contains(line)).map(ToOwned::to_owned).collect()
}

/// The sockets at which a process may be reached: TCP that listens, and UDP.
pub(super) fn bound(pid: u32) -> Vec<String> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let links = fds.filter_map(|fd| fs::read_link(fd.path()).ok()?.to_str().map(ToOwned::to_owned));
    let inodes: Vec<String> =
        links.filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let mut found = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (state, inode) = (words[3], words[9]);
            let waits = table.starts_with("udp") || state == "0A";
            if waits && inodes.iter().any(|ours| ours == inode) {
                found.push(format!("{table} {line}"));
            }
        }
    }
    found
}
