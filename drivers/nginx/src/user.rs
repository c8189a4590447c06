//! What of an nginx's configuration depends on the user and the limits that we run with.

use std::{
    fs,
    path::{Path, PathBuf},
};

use backchat_contract::DriverError;
use rustix::process::{Resource, geteuid, getrlimit};

/// More than this no worker is given: nginx sets memory aside for each connection.
const MAX_DESCRIPTORS: u64 = 65_536;

/// Where bodies too long for memory are kept; `None` where nginx was built to keep them. As root its workers run as
/// somebody else, who may not write into our folder, but into nginx's own.
pub fn temp(folder: &Path) -> Option<PathBuf> {
    (!geteuid().is_root()).then(|| folder.join("temp"))
}

/// Makes that folder, where there is to be one: nginx itself makes the last part of a path alone, which lies in it.
pub(crate) fn make_temp(folder: &Path) -> Result<(), DriverError> {
    let Some(temp) = temp(folder) else { return Ok(()) };
    fs::create_dir_all(&temp).map_err(DriverError::file("make", temp))
}

/// Descriptors that a worker may use.
pub fn max_descriptors() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(MAX_DESCRIPTORS).min(MAX_DESCRIPTORS)
}
