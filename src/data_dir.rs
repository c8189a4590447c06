//! How a file of `--data-dir` is written: whole or not at all, and lasting once it is. It knows nothing of what the
//! files say.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

/// What follows a file's name while it is written. Always the same: what a kill or a full disk leaves of it is
/// overwritten by the next attempt.
const STAGED: &str = ".staged";

/// Puts `bytes` in the place of the file `name` in this folder, which is there; for nobody else to read. Blocks on the
/// disk.
pub fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let opened = File::open(folder)?;
    // One writer at a time: that of a life that was just cut short may still be at it.
    flock(&opened, FlockOperation::LockExclusive)?;
    let staged = folder.join([name, STAGED].concat());
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&staged, folder.join(name))?;
    opened.sync_all()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Each writer's rename would take the other's staged file away.
    #[test]
    fn several_writers_are_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let texts = ["short", "a much longer one"];
        thread::scope(|scope| {
            for text in texts {
                scope.spawn(|| (0..50).for_each(|_| replace(folder.path(), "kept", text.as_bytes()).unwrap()));
            }
        });
        let kept = fs::read_to_string(folder.path().join("kept")).unwrap();
        assert!(texts.contains(&kept.as_str()), "{kept}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
