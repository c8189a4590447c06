//! Where everything of one managed HAProxy lies: all of it in the run folder, so that the next daemon on the
//! same folder finds it. Pure.

use std::path::{Path, PathBuf};

use backchat_contract::DriverError;
use serde::Serialize;

/// Files and sockets of one HAProxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Paths {
    /// The configuration.
    pub config: PathBuf,
    /// The map from host and path to backend.
    pub hosts: PathBuf,
    /// The map from backend to the service it serves.
    pub services: PathBuf,
    /// The runtime socket, admin level.
    pub socket: PathBuf,
    /// The master process's socket.
    pub master: PathBuf,
    /// The master's pid.
    pub pid: PathBuf,
    /// What HAProxy says on standard error.
    pub log: PathBuf,
}

/// A unix socket's address holds 107 bytes; HAProxy binds under the name followed by `.PID.tmp` first.
const SOCKET_MAX: usize = 107 - ".4194304.tmp".len();

/// What [`is_plain`] asks for.
pub(crate) const PLAIN: &str = "use an absolute path of letters, digits and / . _ - + @";

/// Whether a path is absolute and one word to the configuration's parser and to the socket's alike: what else would
/// need quoting, they quote differently.
pub(crate) fn is_plain(path: &Path) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"/._-+@".contains(b);
    path.is_absolute() && path.as_os_str().as_encoded_bytes().iter().all(plain)
}

impl Paths {
    /// The places in a run folder. Refused: a folder whose name HAProxy's parser would not read as one word, or
    /// that is too long for a socket.
    pub fn new(folder: &Path) -> Result<Self, DriverError> {
        let refuse = |rule: &str| DriverError::Unsupported(format!("run folder {}: {rule}", folder.display()));
        if !is_plain(folder) {
            return Err(refuse(PLAIN));
        }
        let paths = Self {
            config: folder.join("haproxy.cfg"),
            hosts: folder.join("hosts.map"),
            services: folder.join("services.map"),
            socket: folder.join("haproxy.sock"),
            master: folder.join("master.sock"),
            pid: folder.join("haproxy.pid"),
            log: folder.join("haproxy.log"),
        };
        if paths.socket.as_os_str().len() > SOCKET_MAX {
            return Err(refuse("too long for a unix socket; choose a shorter one"));
        }
        Ok(paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(folder: &str, taken: bool) {
        assert_eq!(Paths::new(Path::new(folder)).is_ok(), taken, "{folder}");
    }

    #[test]
    fn folders() {
        check("/run/backchat/proxy-1", true);
        check("run", false);
        check("/run/my proxy", false);
        check("/run/a,b", false);
        check("/run/${HOME}", false);
        check(&format!("/{}", "a".repeat(81)), true);
        check(&format!("/{}", "a".repeat(82)), false);
    }
}
