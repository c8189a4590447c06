//! What a node remembers of its lives: the epoch of the last one and whom it knew. In `--data-dir`;
//! without one, the wall clock in milliseconds orders the lives, and the join handshake corrects it.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::{data_dir, model::NodeName};

const FORMAT: &str = "backchat.cluster/1";
const FILE: &str = "cluster.json";
/// How many epochs are set aside beyond the one that is begun: a life ends and another begins each time a
/// node is declared down and finds that out.
const AHEAD: u64 = 64;

/// What is kept from one life to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    format: String,
    /// The highest epoch this node may have had: epochs are set aside ahead.
    pub(super) epoch: u64,
    /// The members it knew to be living.
    pub(super) members: Vec<KeptMember>,
}

/// A member as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptMember {
    /// Its name.
    pub(super) name: NodeName,
    /// Where it gossiped.
    pub(super) addr: SocketAddr,
}

/// Where it is kept. One writer at a time, and the epoch that is kept never falls.
#[derive(Clone, Debug)]
pub(super) struct Store {
    dir: PathBuf,
    kept: Arc<Mutex<Memory>>,
}

/// What should be kept, and what is: they differ where the last write failed.
#[derive(Debug, Default)]
struct Memory {
    wanted: Option<Kept>,
    written: Option<Kept>,
}

impl Kept {
    pub(super) fn new(epoch: u64, members: Vec<KeptMember>) -> Self {
        Self { format: FORMAT.into(), epoch, members }
    }
}

impl Store {
    /// Makes the folder where it is not there.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(|source| Error::State { action: "make", path: dir.to_owned(), source })?;
        Ok(Self { dir: dir.to_owned(), kept: Arc::default() })
    }

    /// What was kept. A file that makes no sense is set aside, for an operator to look at: the clock and
    /// the join handshake do without it, and not starting would help nobody.
    pub(super) fn read(&self) -> Result<Option<Kept>, Error> {
        let path = self.dir.join(FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.map_err(|source| Error::State { action: "read", path: path.clone(), source })?,
        };
        match serde_json::from_slice::<Kept>(&text) {
            Ok(kept) if kept.format == FORMAT => {
                let memory = Memory { wanted: Some(kept.clone()), written: Some(kept.clone()) };
                *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = memory;
                Ok(Some(kept))
            }
            other => {
                let why = other.map_or_else(|e| e.to_string(), |kept| format!("format {:?}", kept.format));
                let aside = path.with_extension("json.unreadable");
                tracing::warn!("{} is not what this version writes ({why}): set aside", path.display());
                fs::rename(&path, aside).map_err(|source| Error::State { action: "set aside", path, source })?;
                Ok(None)
            }
        }
    }

    /// Sets aside `epoch` and some above it, before the first of them is spoken: so that a life that is begun
    /// anew need not wait for the disk. Says which is the last.
    pub(super) fn reserve(&self, epoch: u64) -> Result<u64, Error> {
        let last = epoch.saturating_add(AHEAD);
        self.change(|kept| kept.epoch = kept.epoch.max(last)).map(|()| last)
    }

    /// As [`Store::reserve`], when a daemon starts: a disk that is full is no reason not to. The clock and the join
    /// handshake do without what is kept, and the epoch is written with the members once there is room.
    pub(super) fn reserve_first(&self, epoch: u64) -> Result<u64, Error> {
        match self.reserve(epoch) {
            Err(error) if is_full(&error) => {
                tracing::warn!("{error}; starting all the same, and trying again");
                Ok(epoch)
            }
            other => other,
        }
    }

    /// Keeps these members in the place of the last.
    pub(super) fn remember(&self, members: Vec<KeptMember>) -> Result<(), Error> {
        self.change(|kept| kept.members = members)
    }

    /// Keeps what `change` makes of it: whole or not at all, and lasting once this returns. Where it cannot be
    /// written now, it is with the next change.
    fn change(&self, change: impl FnOnce(&mut Kept)) -> Result<(), Error> {
        let mut memory = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = memory.wanted.clone().unwrap_or_else(|| Kept::new(0, Vec::new()));
        change(&mut kept);
        memory.wanted = Some(kept.clone());
        if memory.written.as_ref() != Some(&kept) {
            let failed = |source| Error::State { action: "write", path: self.dir.join(FILE), source };
            let written = serde_json::to_vec_pretty(&kept).map_err(Into::into);
            written.and_then(|text| data_dir::replace(&self.dir, FILE, &text)).map_err(failed)?;
            memory.written = Some(kept);
        }
        Ok(())
    }
}

fn is_full(error: &Error) -> bool {
    let full = |kind| matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    matches!(error, Error::State { source, .. } if full(source.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("deep/er")).unwrap();
        assert_eq!(store.read().unwrap(), None);
        let addr = "[::1]:7946".parse().unwrap();
        let members = vec![KeptMember { name: "web1".parse().unwrap(), addr }];
        let last = store.reserve(7).unwrap();
        assert!(last > 7, "none are set aside");
        store.remember(members.clone()).unwrap();
        // Another process, later.
        let again = Store::open(&dir.path().join("deep/er")).unwrap();
        assert_eq!(again.read().unwrap(), Some(Kept::new(last, members.clone())));
        again.reserve(3).unwrap();
        assert_eq!(again.read().unwrap(), Some(Kept::new(last, members)), "what is kept fell");
        let files = fs::read_dir(dir.path().join("deep/er")).unwrap().count();
        assert_eq!(files, 1, "a temporary file is left");
    }

    /// A crash left half of it, and a disk that is full for a while: nothing is forgotten over it.
    #[test]
    fn what_could_not_be_written_is_written_with_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        // A folder in its way stands for every reason not to write.
        fs::create_dir(dir.path().join("cluster.json.staged")).unwrap();
        store.reserve(7).unwrap_err();
        store.reserve_first(7).unwrap_err();
        fs::remove_dir(dir.path().join("cluster.json.staged")).unwrap();
        fs::write(dir.path().join("cluster.json.staged"), "{\"form").unwrap();
        store.remember(Vec::new()).unwrap();
        assert_eq!(store.read().unwrap(), Some(Kept::new(7 + AHEAD, Vec::new())));
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        for text in ["", "{", r#"{"format":"backchat.cluster/9","epoch":1,"members":[]}"#] {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path()).unwrap();
            fs::write(dir.path().join(FILE), text).unwrap();
            assert_eq!(store.read().unwrap(), None, "{text}");
            assert_eq!(fs::read_to_string(dir.path().join("cluster.json.unreadable")).unwrap(), text);
        }
    }
}
