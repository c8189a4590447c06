//! Reading a file that holds a secret: who else can read it is looked at before its bytes are. It knows nothing of what
//! the secret is.

use std::{
    env,
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Why a file was not read.
#[derive(Debug)]
pub enum Unread {
    /// The system said no.
    Io(io::Error),
    /// Users other than its owner may read or write it; these are its permission bits.
    Exposed(u32),
}

/// Reads no more than `most` bytes of a file. One that others can read is refused, unless it lies below `/run/secrets` or
/// `$CREDENTIALS_DIRECTORY`.
///
/// # Errors
/// A file that others can read, one that is no text, and what the system refuses.
pub fn read(path: &Path, most: u64) -> Result<String, Unread> {
    // The mode is that of the open file: the name may point elsewhere a moment later.
    let file = File::open(path).map_err(Unread::Io)?;
    let mode = file.metadata().map_err(Unread::Io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 && !is_mounted(path, &secret_folders()) {
        return Err(Unread::Exposed(mode));
    }
    let mut text = String::new();
    file.take(most).read_to_string(&mut text).map_err(Unread::Io)?;
    Ok(text)
}

/// Where secrets are mounted for a service, with modes that the mount sets and nobody can change.
fn secret_folders() -> Vec<PathBuf> {
    let credentials = env::var_os("CREDENTIALS_DIRECTORY").filter(|dir| !dir.is_empty());
    credentials.map(PathBuf::from).into_iter().chain([PathBuf::from("/run/secrets")]).collect()
}

/// Whether a file lies in one of these folders: it itself, not a link to it from there or elsewhere.
fn is_mounted(path: &Path, folders: &[PathBuf]) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    folders.iter().filter_map(|folder| folder.canonicalize().ok()).any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_mounted_secret_is_one_that_lies_there() {
        let dir = tempfile::tempdir().unwrap();
        let [mount, outside] = ["mount", "outside"].map(|name| dir.path().join(name));
        fs::create_dir(&mount).unwrap();
        fs::write(&outside, "secret").unwrap();
        fs::write(mount.join("key"), "secret").unwrap();
        std::os::unix::fs::symlink(&outside, mount.join("link")).unwrap();
        let folders = [mount.clone(), dir.path().join("missing")];
        assert!(is_mounted(&mount.join("key"), &folders));
        assert!(!is_mounted(&outside, &folders));
        assert!(!is_mounted(&mount.join("link"), &folders));
        assert!(!is_mounted(&mount.join("../outside"), &folders));
        assert!(!is_mounted(&mount.join("nothing"), &folders));
    }
}
