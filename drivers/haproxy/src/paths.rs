//! Where everything of one managed HAProxy lies: all of it in the run folder, so that the next daemon on the
//! same folder finds it. Pure.

use std::path::{Path, PathBuf};

use backchat_contract::DriverError;
use backchat_template::check_run_folder;
use serde::Serialize;

use crate::certificates::LIST;

/// Files and sockets of one HAProxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Paths {
    /// The configuration.
    pub config: PathBuf,
    /// The map from host and path to backend.
    pub hosts: PathBuf,
    /// The map from backend to the service it serves.
    pub services: PathBuf,
    /// The list of certificates.
    #[serde(skip)]
    pub certificates: PathBuf,
    /// The runtime socket, admin level.
    pub socket: PathBuf,
    /// The master process's socket.
    pub master: PathBuf,
    /// The master's pid.
    pub pid: PathBuf,
    /// What HAProxy says on standard error.
    pub log: PathBuf,
    /// The operator's template as it was good last.
    #[serde(skip)]
    pub template: PathBuf,
}

/// HAProxy binds its socket under this name first, with the longest pid that there is.
const LONGEST_SOCKET: &str = "haproxy.sock.4194304.tmp";

impl Paths {
    /// The places in a run folder. Refused: a folder whose name HAProxy's parser would not read as one word, or
    /// that is too long for a socket.
    pub fn new(folder: &Path) -> Result<Self, DriverError> {
        check_run_folder(folder, LONGEST_SOCKET)?;
        Ok(Self {
            config: folder.join("haproxy.cfg"),
            hosts: folder.join("hosts.map"),
            services: folder.join("services.map"),
            certificates: folder.join(LIST),
            socket: folder.join("haproxy.sock"),
            master: folder.join("master.sock"),
            pid: folder.join("haproxy.pid"),
            log: folder.join("haproxy.log"),
            template: folder.join("template.good"),
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
        check(&format!("/{}", "a".repeat(81)), true);
        check(&format!("/{}", "a".repeat(82)), false);
    }
}
