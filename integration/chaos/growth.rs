//! Whether a process uses ever more. Pure: it is told what was measured when.
//!
//! A process is compared with itself, as it was when warm. It must stay above the allowance several times running: a
//! moment's connections are no leak.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::Duration,
};

/// What one process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Resident memory in KiB.
    pub(crate) rss_kib: u64,
    /// Open descriptors.
    pub(crate) descriptors: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// Files in its run folder.
    pub(crate) files: u64,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rss_kib, descriptors, threads, files } = self;
        write!(f, "{rss_kib} KiB, {descriptors} descriptors, {threads} threads, {files} files")
    }
}

/// How much more than when it was warm a process may use, for as long as it lives.
const ALLOWED: Usage = Usage { rss_kib: 8 * 1024, descriptors: 12, threads: 8, files: 4 };
/// When a process is warm.
const WARM: Duration = Duration::from_secs(60);
/// How many times running it must be too much.
const RUNNING: usize = 3;

/// What is known of every process, by its name and pid.
#[derive(Debug, Default)]
pub(crate) struct Growth(BTreeMap<(String, u32), Process>);

#[derive(Debug)]
struct Process {
    since: Duration,
    warm: Option<Usage>,
    newest: VecDeque<Usage>,
}

impl Growth {
    /// Takes one reading of a process; an error where it has grown.
    pub(crate) fn read(&mut self, name: &str, pid: u32, at: Duration, usage: Usage) -> Result<(), String> {
        let new = || Process { since: at, warm: None, newest: VecDeque::new() };
        let process = self.0.entry((name.to_owned(), pid)).or_insert_with(new);
        if at.saturating_sub(process.since) < WARM {
            return Ok(());
        }
        let warm = *process.warm.get_or_insert(usage);
        process.newest.push_back(usage);
        if process.newest.len() > RUNNING {
            process.newest.pop_front();
        }
        let too_much = |now: &Usage| exceeds(now, &warm);
        if process.newest.len() == RUNNING && process.newest.iter().all(too_much) {
            let lived = at.saturating_sub(process.since).as_secs();
            return Err(format!("{name} (pid {pid}) has grown in {lived} s: warm {warm}; now {usage}"));
        }
        Ok(())
    }

    /// Who has grown most in memory since it was warm: KiB, name, and how long it lived while it was watched.
    pub(crate) fn most(&self) -> Option<(u64, &str)> {
        let grown = |process: &Process| {
            let (warm, now) = (process.warm?, process.newest.back()?);
            Some(now.rss_kib.saturating_sub(warm.rss_kib))
        };
        self.0.iter().filter_map(|((name, _), process)| Some((grown(process)?, name.as_str()))).max()
    }
}

fn exceeds(now: &Usage, warm: &Usage) -> bool {
    now.rss_kib > warm.rss_kib + ALLOWED.rss_kib
        || now.descriptors > warm.descriptors + ALLOWED.descriptors
        || now.threads > warm.threads + ALLOWED.threads
        || now.files > warm.files + ALLOWED.files
}
