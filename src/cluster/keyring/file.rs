//! Reading and writing key files.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{Key, KeyError, Keyring};
use crate::private_file::{self, Unread};

/// Why a key file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The system said no.
    #[error("{action} key file {}: {source}", path.display())]
    Io {
        /// `read`, `write`.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is one, and a key that is lost is lost for good.
    #[error("write key file {}: there is one already, and it stays; choose another --out", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// Users other than its owner may read or write it.
    #[error("read key file {}: its mode is {mode:03o}, so others may read it; run 'chmod 600 {}'", path.display(), path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A line is no key.
    #[error("read key file {}: line {line}: {source}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What a key looks like.
        source: KeyError,
    },
    /// The keys do not go together, or there is none.
    #[error("read key file {}: {problem}", path.display())]
    Keys {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
}

/// More than sixteen keys with a comment each.
const MAX_BYTES: u64 = 64 * 1024;

impl Keyring {
    /// Reads a key file. One that others can read is refused, unless it lies below `/run/secrets` or
    /// `$CREDENTIALS_DIRECTORY`.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let text = private_file::read(path, MAX_BYTES).map_err(|unread| match unread {
            Unread::Io(source) => KeyFileError::Io { action: "read", path: path.to_owned(), source },
            Unread::Exposed(mode) => KeyFileError::Exposed { path: path.to_owned(), mode },
        })?;
        parse(path, &text)
    }
}

impl Key {
    /// Writes a new key file of this one key, with mode 0600. A file that is there stays as it is, and
    /// that is an error.
    pub fn write_new(&self, path: &Path) -> Result<(), KeyFileError> {
        let io = |source| KeyFileError::Io { action: "write", path: path.to_owned(), source };
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = opened.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_owned() },
            _ => io(source),
        })?;
        writeln!(file, "{}", self.to_line()).map_err(io)?;
        file.sync_all().map_err(io)
    }
}

fn parse(path: &Path, text: &str) -> Result<Keyring, KeyFileError> {
    let mut keyring: Option<Keyring> = None;
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    for (index, line) in lines {
        let key =
            line.parse().map_err(|source| KeyFileError::Line { path: path.to_owned(), line: index + 1, source })?;
        match &mut keyring {
            None => keyring = Some(Keyring::new(key)),
            Some(keyring) => {
                keyring.add(key).map_err(|problem| KeyFileError::Keys { path: path.to_owned(), problem })?;
            }
        }
    }
    keyring.ok_or_else(|| KeyFileError::Keys { path: path.to_owned(), problem: "no key in it" })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn load(text: &str, mode: u32) -> Result<Keyring, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Keyring::load(&path).map_err(|e| e.to_string().replace(&dir.path().display().to_string(), "DIR"))
    }

    fn refused(text: &str, mode: u32, why: &str) {
        let error = load(text, mode).unwrap_err();
        assert!(error.contains(why), "{error}");
        assert!(!error.contains("AAAA"), "the error quotes the key: {error}");
    }

    #[test]
    fn the_first_line_is_the_primary() {
        let (one, two) = (Key::generate(), Key::generate());
        let hex: String = hex::encode(two.bytes());
        let keyring = load(&format!("# ours\n\n {}\n{hex}\n{}\n", one.to_line(), one.to_line()), 0o600).unwrap();
        assert_eq!(keyring.primary(), &one);
        assert_eq!(keyring.keys().cloned().collect::<Vec<_>>(), [one, two.clone()]);
        assert_eq!(keyring.by_id(two.id()), Some(&two));
    }

    #[test]
    fn bad_files_are_refused_with_a_remedy() {
        let key = Key::generate().to_line();
        refused(&key, 0o644, "its mode is 644, so others may read it; run 'chmod 600 DIR/key'");
        refused(&key, 0o640, "mode is 640");
        refused("", 0o600, "no key in it");
        refused("# nothing\n", 0o600, "no key in it");
        refused(&format!("{key}\nAAAAAAAA\n"), 0o600, "line 2: use 32 bytes");
        let many: Vec<String> = (0..17).map(|_| Key::generate().to_line()).collect();
        refused(&many.join("\n"), 0o600, "at most 16 keys");
    }

    #[test]
    fn a_written_key_is_private_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = Key::generate();
        key.write_new(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Keyring::load(&path).unwrap(), Keyring::new(key.clone()));
        let again = Key::generate().write_new(&path).unwrap_err().to_string();
        assert!(again.contains("there is one already"), "{again}");
        assert_eq!(Keyring::load(&path).unwrap(), Keyring::new(key));
    }
}
