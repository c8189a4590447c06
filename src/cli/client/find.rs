//! Which daemons run on this host: run folders with an admin socket that somebody listens on.

use std::{
    fs, io,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use crate::admin::Addr;

/// A daemon of this host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) struct Found {
    pub(super) node: String,
    pub(super) addr: Addr,
}

/// The daemons whose run folders lie below these, by name.
pub(super) fn find(roots: &[PathBuf]) -> Vec<Found> {
    let folders = roots.iter().filter_map(|root| fs::read_dir(root).ok()).flatten().flatten();
    let mut found: Vec<Found> = folders.filter_map(|folder| living(&folder.path())).collect();
    found.sort();
    found
}

/// The daemon of a run folder. One that we may not ask is there all the same: asking says so.
fn living(folder: &Path) -> Option<Found> {
    let path = folder.join("admin.sock");
    match UnixStream::connect(&path) {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => None,
        _ => Some(Found { node: folder.file_name()?.to_string_lossy().into_owned(), addr: Addr::Unix(path) }),
    }
}

/// `proxy, web1`.
pub(super) fn names(found: &[Found]) -> String {
    found.iter().map(|f| f.node.as_str()).collect::<Vec<_>>().join(", ")
}

/// Where it was looked.
pub(super) fn folders(roots: &[PathBuf]) -> String {
    roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(" and ")
}

/// What to try instead.
pub(super) fn others(found: &[Found], roots: &[PathBuf]) -> String {
    match found.first() {
        Some(first) => format!("found {}: try --admin {}", names(found), first.addr),
        None => format!("none below {} either", folders(roots)),
    }
}
