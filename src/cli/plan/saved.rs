//! A plan in a file: whole or not at all, and for nobody else to read.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::config::FileError;

/// Puts the text in the place of this file, in one step.
///
/// # Errors
/// Where something else than a file is there, or the system refuses: then it is as it was.
pub(super) fn save(path: &Path, text: &str) -> Result<(), FileError> {
    replace(path, text.as_bytes()).map_err(|source| FileError::Write { path: path.to_owned(), source })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A rename would take the place of a terminal or a pipe.
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is something else than a file"));
    }
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or_else(|| ".".into(), PathBuf::from);
    let name = path.file_name().unwrap_or_default();
    // With mode 0600, under a name that nobody has, and gone if it does not come to its end.
    let mut prefix = OsString::from(".");
    prefix.push(name);
    let mut staged = tempfile::Builder::new().prefix(&prefix).tempfile_in(&folder)?;
    staged.write_all(bytes)?;
    staged.as_file().sync_all()?;
    staged.persist(path).map_err(|error| error.error)?;
    fs::File::open(&folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_whole_private_and_in_the_place_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new.plan");
        fs::write(&path, "before").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        save(&path, "after").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_no_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let error = save(folder.path(), "x").unwrap_err().to_string();
        assert_eq!(error, format!("write {}: there is something else than a file", folder.path().display()));
        assert!(save(Path::new("/dev/null"), "x").is_err() && !fs::metadata("/dev/null").unwrap().is_file());
        let error = save(&folder.path().join("none/new.plan"), "x").unwrap_err().to_string();
        assert!(error.contains("none/new.plan: No such file"), "{error}");
    }
}
