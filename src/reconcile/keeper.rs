//! Keeps the loop's ledger in the data folder: the newest, away from the loop, which never waits for a disk. A file
//! that cannot be read or written costs what it would have told, never the start nor a step.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    data_dir,
    model::{
        Ledger, Moment, Status,
        ledger::kept::{Kept, Uptime},
    },
};

const FILE: &str = "ledger.json";
/// Between two writes: members come and go faster than they are worth a flush of the disk.
const GAP: Duration = Duration::from_secs(1);
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(5);
/// No ledger is this long: 100,000 routes take some 15 MB.
const MAX: u64 = 256 << 20;

/// Where the ledger lies.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// In this folder, which is there.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// What a life before remembered, `now`; nothing where there is no file. One that makes no sense is said and set
    /// aside, for an operator to look at.
    pub fn recall(&self, now: Moment) -> Ledger {
        let path = self.path();
        let why = match self.remembered(now) {
            Ok(ledger) => return ledger,
            Err(why) => why,
        };
        let aside = path.with_extension("json.unreadable");
        let what = match fs::rename(&path, &aside) {
            Ok(()) => format!("set aside as {}", aside.display()),
            Err(error) => format!("and cannot be set aside ({error})"),
        };
        tracing::warn!(
            "{} is not what this version writes ({why}): {what}; what is live says who has which route",
            path.display()
        );
        Ledger::default()
    }

    /// The same for a dry run: what makes no sense is said, and left where it lies.
    pub fn glance(&self, now: Moment) -> Ledger {
        self.remembered(now).unwrap_or_else(|why| {
            let path = self.path();
            tracing::warn!("{} is not what this version writes ({why}): what is live has to do", path.display());
            Ledger::default()
        })
    }

    /// What the file says; an error in words where that makes no sense.
    fn remembered(&self, now: Moment) -> Result<Ledger, String> {
        let Some(kept) = read(&self.path()).map_err(|error| error.to_string())? else { return Ok(Ledger::default()) };
        match kept.foreign() {
            None => Ok(kept.recall(now, uptime().as_ref())),
            Some(format) => Err(format!("format {format:?}")),
        }
    }

    fn write(&self, ledger: &Ledger, now: Moment) -> io::Result<()> {
        data_dir::replace(&self.dir, FILE, &serde_json::to_vec_pretty(&Kept::of(ledger, now, uptime()))?)
    }

    fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }
}

fn read(path: &Path) -> io::Result<Option<Kept>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = Vec::new();
    file.take(MAX).read_to_end(&mut text)?;
    Ok(Some(serde_json::from_slice(&text)?))
}

/// How long this machine is up, and since which start; `None` where it does not tell.
fn uptime() -> Option<Uptime> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
    let up = Duration::try_from(clock_gettime(ClockId::Boottime)).ok()?;
    Some(Uptime { boot, up_ms: u64::try_from(up.as_millis()).ok()? })
}

/// Writes the ledger at each change of it until `stop`, and then what is left to write. `start` is the origin of its
/// moments.
pub async fn keep(store: Store, mut status: watch::Receiver<Arc<Status>>, (start, stop): (Instant, CancellationToken)) {
    let mut writer = Writer { store, start, written: None, failing: false };
    while let Some(Some(newest)) = stop.run_until_cancelled(newer(&mut status, writer.written.as_ref())).await {
        let pause = if writer.write(newest).await { GAP } else { RETRY };
        // Cut short by the end alone.
        let _ = stop.run_until_cancelled(sleep(pause)).await;
    }
    let last = status.borrow().ledger.clone();
    if let Some(last) = last.filter(|last| writer.written.as_ref() != Some(last)) {
        writer.write(last).await;
    }
}

/// Waits for a ledger other than the one that is written; `None` where there will be none.
async fn newer(status: &mut watch::Receiver<Arc<Status>>, written: Option<&Arc<Ledger>>) -> Option<Arc<Ledger>> {
    status.wait_for(|now| now.ledger.as_ref() != written).await.ok()?.ledger.clone()
}

struct Writer {
    store: Store,
    start: Instant,
    /// What the file holds, as far as this life wrote it.
    written: Option<Arc<Ledger>>,
    failing: bool,
}

impl Writer {
    /// Whether it is written. That it is not is said once, not at every try.
    async fn write(&mut self, ledger: Arc<Ledger>) -> bool {
        let (store, newest, start) = (self.store.clone(), Arc::clone(&ledger), self.start);
        let result = spawn_blocking(move || store.write(&newest, start.elapsed())).await;
        let why = match result {
            Ok(Ok(())) => {
                self.failing = false;
                self.written = Some(ledger);
                return true;
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        if !std::mem::replace(&mut self.failing, true) {
            let path = self.store.path();
            tracing::warn!(
                "cannot write {}: {why}; after a restart, what is live has to do; trying again",
                path.display()
            );
        }
        false
    }
}

#[cfg(test)]
mod tests;
