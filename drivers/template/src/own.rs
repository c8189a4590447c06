//! A configuration file that is ours, and what others do to it: edited by hand, not ours at all, not writable.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use backchat_contract::DriverError;

use crate::{Seal, install};

/// Keeps what somebody wrote into our file beside it (`….edited`) before it is written over.
pub fn keep_edited(config: &Path) -> Result<(), DriverError> {
    keep_edited_as(config, &aside(config))
}

/// Keeps what somebody wrote into our file at another place before it is written over.
pub fn keep_edited_as(config: &Path, aside: &Path) -> Result<(), DriverError> {
    let Ok(bytes) = fs::read(config) else { return Ok(()) };
    if bytes.is_empty() || Seal::of(&String::from_utf8_lossy(&bytes)) == Seal::Whole {
        return Ok(());
    }
    if fs::read(aside).is_ok_and(|kept| kept == bytes) {
        return Ok(());
    }
    drop(install(aside, &bytes)?);
    tracing::warn!(file = %aside.display(), "the configuration was not as backchat wrote it: kept here");
    Ok(())
}

/// Where an edited file is kept.
pub fn aside(config: &Path) -> PathBuf {
    let mut name = OsString::from(config);
    name.push(".edited");
    name.into()
}

/// Refuses to start where somebody else's configuration lies: neither ours nor a cut one of ours (empty, or with
/// `mark` in it, or cut before that: the beginning of `rendered`).
pub fn refuse_foreign(config: &Path, mark: &str, rendered: &str) -> Result<(), DriverError> {
    let text = read(config)?;
    if Seal::of(&text) != Seal::Missing || text.contains(mark) || rendered.starts_with(&text) {
        return Ok(());
    }
    let remedy = "move it away, or use another run folder (--run-dir)";
    Err(DriverError::Unsupported(format!("write over {}: it is not backchat's; {remedy}", config.display())))
}

/// Why the configuration with this text and seal must not be written over, and how it is all the same: somebody else wrote it.
pub fn edited(config: &Path, text: &str, seal: Seal) -> Option<String> {
    edited_as(config, &aside(config), text, seal)
}

/// The same, for a file that is kept at another place.
pub fn edited_as(config: &Path, aside: &Path, text: &str, seal: Seal) -> Option<String> {
    let what = match seal {
        Seal::Whole => return None,
        _ if text.is_empty() => return None,
        Seal::Edited => "was edited by hand",
        Seal::Missing => "is not as backchat wrote it",
    };
    let (path, aside) = (config.display(), aside.display());
    Some(format!("{path} {what}; start lb with --force to write over it, a copy is kept as {aside}"))
}

/// A file's text, empty where there is none. What is no UTF-8 was not written by us, and reads as edited.
pub fn read(path: &Path) -> Result<String, DriverError> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(DriverError::file("read", path)(error)),
    }
}

/// Says of files that could not be written how that is cured, and `meanwhile` what goes on until then.
pub fn unwritten(error: DriverError, meanwhile: &str) -> DriverError {
    let DriverError::File { action, path, source } = error else { return error };
    let cure = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room there",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "make it writable",
        _ => "see to it",
    };
    let text = format!("{source}; {cure}: until then {meanwhile}");
    DriverError::File { action, path, source: io::Error::new(source.kind(), text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal;

    #[test]
    fn what_is_ours_and_what_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.conf");
        let ours = seal("mark 7\nlines\n".into());
        let check = |text: &str, taken: bool, blocks: bool| {
            fs::write(&file, text).unwrap();
            assert_eq!(refuse_foreign(&file, "mark ", &ours).is_ok(), taken, "{text}");
            assert_eq!(edited(&file, text, Seal::of(text)).is_some(), blocks, "{text}");
        };
        check(&ours, true, false);
        check("", true, false);
        check(&ours[..10], true, true);
        check(&ours[..3], true, true);
        check(&ours.replace('7', "8"), true, true);
        check("theirs\n", false, true);
        keep_edited(&file).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("a.conf.edited")).unwrap(), "theirs\n");
    }
}
