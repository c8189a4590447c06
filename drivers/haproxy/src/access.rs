//! The file that HAProxy's standard output is: its access log. HAProxy writes to what it was started with, over all
//! reloads; whether that is still the file of this name, the kernel knows.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
};

use backchat_contract::{DriverError, LogFile};

/// Opens the file for a process to append to: it may be cut short at any time, and is written on.
pub(crate) fn open(file: &LogFile) -> Result<File, DriverError> {
    let opened = fs::OpenOptions::new().append(true).create(true).mode(0o640).open(file.path());
    opened.map_err(DriverError::file("open the access log", file.path()))
}

/// Why the lines of this process do not go to this file, where they do not.
pub(crate) fn strays(pid: u32, file: &LogFile) -> Option<String> {
    // A process that has ended, or whose files are not ours to see, is no reason to say anything.
    let writes = id(fs::metadata(format!("/proc/{pid}/fd/1"))).ok()?;
    if id(fs::metadata(file.path())).ok() == Some(writes) {
        return None;
    }
    let to = fs::read_link(format!("/proc/{pid}/fd/1")).ok()?;
    Some(format!(
        "haproxy, pid {pid}, writes to {}, not to {}: it keeps the file that it was started with until it is started \
         again, by a stop and a start of lb with --on-exit stop; rotate by copytruncate",
        to.display(),
        file.path().display()
    ))
}

/// Which file it is, by whatever name.
fn id(found: io::Result<fs::Metadata>) -> io::Result<(u64, u64)> {
    found.map(|file| (file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This very process has some standard output, and it is not this file.
    #[test]
    fn another_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = LogFile::try_from(folder.path().join("access.log")).unwrap();
        let said = strays(std::process::id(), &file).unwrap();
        assert!(said.contains("access.log: it keeps the file"), "{said}");
        drop(open(&file).unwrap());
        assert!(strays(std::process::id(), &file).is_some());
    }
}
