//! Follows the files: certbot renames, Kubernetes turns a link, people copy. What is new is taken once it has stayed as
//! it is for a moment, so that a file which is being written is not taken for a broken one.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{Loader, find::Findings};
use crate::model::Shelf;

/// How often the files are looked at from outside: no notice of the system holds on every disk.
const LOOK: Duration = Duration::from_secs(1);

/// For how long what is new must have stayed as it is.
const QUIET: Duration = Duration::from_millis(150);

/// How often they are looked at all the same: what was good yesterday may expire.
const ANEW: Duration = Duration::from_secs(3600);

/// Follows until the token is cancelled. The first is what was loaded before.
pub fn follow(
    loader: Loader,
    first: Shelf,
    stop: CancellationToken,
) -> (watch::Receiver<Arc<Shelf>>, impl Future<Output = ()> + Send) {
    let (sender, receiver) = watch::channel(Arc::new(first));
    let following = async move {
        // Cut off anywhere it leaves what it published last.
        let _stopped = stop.run_until_cancelled(run(loader, sender)).await;
    };
    (receiver, following)
}

async fn run(mut loader: Loader, sender: watch::Sender<Arc<Shelf>>) {
    // The first look takes all: between the loading and now a file may have changed.
    let (mut taken, mut fresh) = (None::<Findings>, None::<Findings>);
    let mut since = tokio::time::Instant::now();
    loop {
        let looking = tokio::task::spawn_blocking(move || {
            let findings = loader.find();
            (loader, findings)
        });
        let Ok((back, found)) = looking.await else { return };
        loader = back;
        let is_new = taken.as_ref() != Some(&found) || since.elapsed() > ANEW;
        if is_new && fresh.as_ref() == Some(&found) {
            let loading = tokio::task::spawn_blocking(move || {
                let shelf = loader.take(found.clone(), SystemTime::now());
                (loader, found, shelf)
            });
            let Ok((back, found, shelf)) = loading.await else { return };
            loader = back;
            (taken, fresh, since) = (Some(found), None, tokio::time::Instant::now());
            sender.send_if_modified(|known| {
                let changed = **known != shelf;
                if changed {
                    *known = Arc::new(shelf);
                }
                changed
            });
        } else {
            fresh = is_new.then_some(found);
        }
        sleep(if fresh.is_some() { QUIET } else { LOOK }).await;
    }
}
