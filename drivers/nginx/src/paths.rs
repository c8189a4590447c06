//! Where everything of one nginx of ours lies: all of it in the run folder, so that the next daemon on the same folder
//! finds it. Pure.

use std::path::{Path, PathBuf};

use backchat_contract::DriverError;
use backchat_template::check_run_folder;
use serde::Serialize;

/// Files and sockets of one nginx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Paths {
    /// The run folder.
    pub folder: PathBuf,
    /// The configuration.
    pub config: PathBuf,
    /// The socket on which nginx says what it runs.
    pub control: PathBuf,
    /// The master's pid.
    pub pid: PathBuf,
    /// What nginx says of errors.
    pub log: PathBuf,
    /// The folder of certificates and their keys.
    #[serde(skip)]
    pub certificates: PathBuf,
}

impl Paths {
    /// Where the operator's last good template is kept.
    pub fn good_template(&self) -> PathBuf {
        self.folder.join("template.good")
    }

    /// The places in a run folder. Refused: a folder whose name nginx's parser would not read as one word, or that is
    /// too long for a socket.
    pub fn new(folder: &Path) -> Result<Self, DriverError> {
        check_run_folder(folder, "nginx.sock")?;
        Ok(Self {
            folder: folder.to_owned(),
            config: folder.join("nginx.conf"),
            control: folder.join("nginx.sock"),
            pid: folder.join("nginx.pid"),
            log: folder.join("nginx.log"),
            certificates: folder.join("certificates"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(folder: &str, taken: bool) {
        assert_eq!(Paths::new(Path::new(folder)).is_ok(), taken, "{folder}");
    }

    #[test]
    fn a_folder_leaves_room_for_the_socket() {
        check(&format!("/{}", "a".repeat(95)), true);
        check(&format!("/{}", "a".repeat(96)), false);
    }
}
