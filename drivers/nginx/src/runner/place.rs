//! Whether a file is still the one that we left: compared without reading it.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// What changes with every write to a file, and every other file in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity(Option<(u64, u64, i64, i64)>);

impl Identity {
    /// Of the file at this place now.
    pub(super) fn of(path: &Path) -> Self {
        Self(fs::metadata(path).ok().map(|m| (m.dev(), m.ino(), m.ctime(), m.ctime_nsec())))
    }
}
