//! What lies in a folder, however deep. It must not know whose folder it is, nor how much may lie there.

use std::{fs, path::Path};

use super::growth::Usage;

/// How many files and folders lie in it, and how many bytes the files hold. Logs count as empty: they grow by nature.
pub(crate) fn holdings(folder: &Path) -> Usage {
    let mut all = Usage::default();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // One that has just gone takes no room; a link is not followed.
        let Ok(found) = entry.metadata() else { continue };
        let path = entry.path();
        let inside = match () {
            () if found.is_dir() => holdings(&path),
            () if path.extension().is_some_and(|extension| extension == "log") => Usage::default(),
            () => Usage { bytes: found.len(), ..Usage::default() },
        };
        all.files += 1 + inside.files;
        all.bytes += inside.bytes;
    }
    all
}
