//! What the host says: read once, at the rim, and handed in.

use std::{env, path::PathBuf};

/// The host as the settings need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name, from the kernel.
    pub name: String,
    /// Whether the process runs as root.
    pub root: bool,
    /// `$XDG_RUNTIME_DIR`, where set.
    pub runtime_dir: Option<PathBuf>,
}

impl Host {
    /// Asks the kernel and the environment.
    pub fn ask() -> Self {
        let dir = env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
        Self {
            name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            root: rustix::process::geteuid().is_root(),
            runtime_dir: dir.map(PathBuf::from),
        }
    }

    /// The folders below which run folders are: `/run/backchat`, and one of the user's own.
    pub fn run_roots(&self) -> Vec<PathBuf> {
        let own = self.runtime_dir.as_ref().map(|dir| dir.join("backchat"));
        std::iter::once(PathBuf::from("/run/backchat")).chain(own).collect()
    }

    /// Where this user's run folders are.
    pub(super) fn run_root(&self) -> Option<PathBuf> {
        let own = || self.runtime_dir.as_ref().map(|dir| dir.join("backchat"));
        if self.root { Some(PathBuf::from("/run/backchat")) } else { own() }
    }
}
