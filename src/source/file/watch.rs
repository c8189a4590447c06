//! Follows a file by its content: editors write another file in its place, Kubernetes turns a link, some write into it;
//! what counts are the bytes behind the path. Read again twice a second, for no notice of the system holds on every
//! disk, and a look at ten thousand endpoints takes a fraction of a millisecond.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{Format, Unread, parse, read};
use crate::model::{Snapshot, SourceName};

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(300);
/// For how long what is new must have stayed as it is: longer than an editor is between emptying a file and filling it.
const QUIET: Duration = Duration::from_millis(100);
/// After what time a disk that does not answer is said to be so.
const SILENT: Duration = Duration::from_secs(5);

type Bytes = Result<Vec<u8>, Unread>;

/// Follows the file until the token is cancelled: each snapshot is what the file lists, or what it listed before and
/// why that is so. The first one is not synced, and empty.
pub fn watch(
    path: PathBuf,
    format: Format,
    name: SourceName,
    stop: CancellationToken,
) -> (watch::Receiver<Arc<Snapshot>>, impl Future<Output = ()> + Send) {
    let first = Snapshot { source: name, ..Snapshot::default() };
    let (sender, receiver) = watch::channel(Arc::new(first));
    let follower = Follower { path, format, sender, taken: None, fresh: None };
    let following = async move {
        // Cut off anywhere it leaves what it published last.
        let _stopped = stop.run_until_cancelled(follower.run()).await;
    };
    (receiver, following)
}

struct Follower {
    path: PathBuf,
    format: Format,
    sender: watch::Sender<Arc<Snapshot>>,
    /// What was read and published last.
    taken: Option<Bytes>,
    /// What is new, and is to be seen a second time.
    fresh: Option<Bytes>,
}

impl Follower {
    async fn run(mut self) {
        loop {
            let found = self.read().await;
            self.look(found);
            sleep(if self.fresh.is_some() { QUIET } else { LOOK }).await;
        }
    }

    async fn read(&mut self) -> Bytes {
        let path = self.path.clone();
        let mut reading = tokio::task::spawn_blocking(move || read::read(&path));
        let done = if let Ok(done) = tokio::time::timeout(SILENT, &mut reading).await {
            done
        } else {
            self.publish(Err(Unread(format!("{}: the disk does not answer", self.path.display()))));
            self.taken = None;
            // No second read beside one that is under way.
            reading.await
        };
        done.unwrap_or_else(|_| Err(Unread(format!("{}: reading it failed", self.path.display()))))
    }

    fn look(&mut self, found: Bytes) {
        if self.taken.as_ref() == Some(&found) {
            self.fresh = None;
        } else if self.fresh.as_ref() == Some(&found) {
            self.fresh = None;
            let listed = found.clone().and_then(|bytes| parse(&self.path, self.format, &bytes));
            self.publish(listed.map(|services| Snapshot { services, synced: true, ..Snapshot::default() }));
            self.taken = Some(found);
        } else {
            self.fresh = Some(found);
        }
    }

    /// What was listed before stays where nothing better is known.
    fn publish(&self, listed: Result<Snapshot, Unread>) {
        let known = Arc::clone(&self.sender.borrow());
        let next = match listed {
            Ok(listed) => Snapshot { source: SourceName::clone(&known.source), ..listed },
            Err(why) => Snapshot { trouble: Some(why.to_string()), ..Snapshot::clone(&known) },
        };
        if next != *known {
            self.sender.send_replace(Arc::new(next));
        }
    }
}

#[cfg(test)]
mod tests;
