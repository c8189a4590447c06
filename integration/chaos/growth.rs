//! Whether a process uses ever more, or ever more lies in a folder. Pure: it is told what was measured when.
//!
//! Each is compared with itself, as it was when warm. It must stay above the allowance several times running: a
//! moment's connections are no leak.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::Duration,
};

/// What a process uses, or a folder: the one has no files, the other has files alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Resident memory in KiB.
    pub(crate) rss_kib: u64,
    /// Open descriptors.
    pub(crate) descriptors: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// Files and folders.
    pub(crate) files: u64,
    /// Bytes in them.
    pub(crate) bytes: u64,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rss_kib, descriptors, threads, files, bytes } = self;
        write!(f, "{rss_kib} KiB, {descriptors} descriptors, {threads} threads, {files} files of {bytes} bytes")
    }
}

/// How much more than when it was warm each may use, for as long as it lives. One more set of HAProxy's files, while the
/// one before is kept, is four files and some 6,000 bytes.
const ALLOWED: Usage = Usage { rss_kib: 8 * 1024, descriptors: 12, threads: 8, files: 6, bytes: 64 * 1024 };
/// When it is warm.
const WARM: Duration = Duration::from_secs(60);
/// How many times running it must be too much.
const RUNNING: usize = 3;

/// What is known of each, by its name; that of a process tells its pid.
#[derive(Debug, Default)]
pub(crate) struct Growth(BTreeMap<String, Life>);

#[derive(Debug)]
struct Life {
    since: Duration,
    warm: Option<Usage>,
    newest: VecDeque<Usage>,
}

impl Growth {
    /// Takes one reading; an error where it has grown.
    pub(crate) fn read(&mut self, name: &str, at: Duration, usage: Usage) -> Result<(), String> {
        let new = || Life { since: at, warm: None, newest: VecDeque::new() };
        let life = self.0.entry(name.to_owned()).or_insert_with(new);
        if at.saturating_sub(life.since) < WARM {
            return Ok(());
        }
        let warm = *life.warm.get_or_insert(usage);
        life.newest.push_back(usage);
        if life.newest.len() > RUNNING {
            life.newest.pop_front();
        }
        let too_much = |now: &Usage| exceeds(now, &warm);
        if life.newest.len() == RUNNING && life.newest.iter().all(too_much) {
            let lived = at.saturating_sub(life.since).as_secs();
            return Err(format!("{name} has grown in {lived} s: warm {warm}; now {usage}"));
        }
        Ok(())
    }

    /// Who has grown most in memory since it was warm: KiB, name, and how long it lived while it was watched.
    pub(crate) fn most(&self) -> Option<(u64, &str)> {
        let grown = |life: &Life| {
            let (warm, now) = (life.warm?, life.newest.back()?);
            Some(now.rss_kib.saturating_sub(warm.rss_kib))
        };
        self.0.iter().filter_map(|(name, life)| Some((grown(life)?, name.as_str()))).max()
    }
}

fn exceeds(now: &Usage, warm: &Usage) -> bool {
    now.rss_kib > warm.rss_kib + ALLOWED.rss_kib
        || now.descriptors > warm.descriptors + ALLOWED.descriptors
        || now.threads > warm.threads + ALLOWED.threads
        || now.files > warm.files + ALLOWED.files
        || now.bytes > warm.bytes + ALLOWED.bytes
}
