//! What an engine says on standard error: a file that outlives the daemon, and often the only place where a reload that
//! failed is explained.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// A log longer than this is emptied.
const LOG_MAX: u64 = 4 * 1024 * 1024;

/// How much of a log is read at a time.
const READ_MAX: u64 = 64 * 1024;

/// Opens a log for a process to append to.
pub fn open(log: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(log)
}

/// Empties a log that has grown long. Who appends goes on at the new end.
pub fn trim(log: &Path) -> io::Result<()> {
    if len(log) > LOG_MAX { OpenOptions::new().write(true).open(log)?.set_len(0) } else { Ok(()) }
}

/// A log's length in bytes; 0 where there is none.
pub fn len(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |m| m.len())
}

/// What was written behind the first `offset` bytes, 64 KiB at most; empty where it cannot be read: it only explains.
pub fn since(log: &Path, offset: u64) -> String {
    let read = || {
        let mut file = File::open(log)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(READ_MAX).read_to_end(&mut bytes)?;
        io::Result::Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_long_log_is_emptied_and_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.log");
        let mut log = open(&path).unwrap();
        log.write_all(b"short\n").unwrap();
        trim(&path).unwrap();
        assert_eq!(since(&path, 0), "short\n");
        log.set_len(LOG_MAX + 1).unwrap();
        trim(&path).unwrap();
        log.write_all(b"next\n").unwrap();
        assert_eq!(since(&path, 0), "next\n");
    }
}
