//! Who says who is there, to one who only looks on: a member of the cluster that is asked, and the files.

use std::{collections::BTreeSet, sync::Arc};

use tokio::{sync::watch, time::Instant};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    app::{Error, cluster_settings},
    cluster::Observer,
    model::{Kind, Snapshot},
    reconcile::inbox::Snapshots,
    settings::{Common, Lb},
    source::{self, Uri, Writes},
};

/// What every source says now.
pub(super) async fn once(settings: &Lb, start: Instant) -> Result<Vec<Snapshot>, Error> {
    // Before anybody is asked: a mistake in a file is soon mended.
    let files = loaded(&settings.sources.uris).await?;
    let told = match observer(&settings.common, start)? {
        Some(mut observer) => Some(observer.look().await?),
        None => None,
    };
    Ok(told.into_iter().chain(files).collect())
}

fn observer(common: &Common, start: Instant) -> Result<Option<Observer>, Error> {
    let settings = || Ok::<_, Error>(Observer::new(cluster_settings(common, Kind::Balancer)?, start));
    common.gossip.then(settings).transpose()
}

/// The sources, look by look.
pub(super) struct Sources {
    cluster: Option<Cluster>,
    files: Option<Snapshots>,
    /// What was said of each source's trouble at the last look: nothing is said twice.
    said: BTreeSet<String>,
    _follow: DropGuard,
}

struct Cluster {
    observer: Observer,
    newest: Snapshot,
    /// Until when somebody must have answered, if ever.
    until: Option<Instant>,
}

impl Sources {
    pub(super) fn follow(settings: &Lb, start: Instant) -> Result<Self, Error> {
        let stop = CancellationToken::new();
        // Who only looks on writes nothing.
        let files = watched(&settings.sources.uris, &Writes::default(), (&TaskTracker::new(), &stop));
        let cluster = observer(&settings.common, start)?.map(|observer| Cluster {
            newest: observer.before(),
            observer,
            until: settings.common.join_timeout.map(|limit| start + limit),
        });
        let files = (!files.is_empty()).then(|| Snapshots::new(files));
        Ok(Self { cluster, files, said: BTreeSet::new(), _follow: stop.drop_guard() })
    }

    /// What each knows now, the cluster first. An error where nobody of it has answered within `--join-timeout`.
    pub(super) async fn newest(&mut self) -> Result<Vec<Snapshot>, Error> {
        let mut known = Vec::new();
        if let Some(cluster) = &mut self.cluster {
            known.push(cluster.look().await?);
        }
        known.extend(self.files.iter_mut().flat_map(Snapshots::newest));
        let trouble: BTreeSet<String> = known.iter().filter_map(|s| s.trouble.clone()).collect();
        for why in trouble.difference(&self.said) {
            tracing::warn!("{why}");
        }
        self.said = trouble;
        Ok(known)
    }

    /// Ends when a file has changed; never where there is none. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        match &mut self.files {
            Some(files) => files.changed().await,
            None => std::future::pending().await,
        }
    }
}

impl Cluster {
    /// What a member tells; while none can be asked, what was told before.
    async fn look(&mut self) -> Result<Snapshot, Error> {
        match self.observer.look().await {
            Ok(told) => (self.newest, self.until) = (told, None),
            Err(unheard) if self.until.is_some_and(|until| Instant::now() >= until) => return Err(unheard.into()),
            Err(unheard) => self.newest.trouble = Some(format!("{unheard}; asking again")),
        }
        Ok(self.newest.clone())
    }
}

/// What each source but gossip lists now.
pub(in crate::app) async fn loaded(sources: &[Uri]) -> Result<Vec<Snapshot>, Error> {
    let mut loaded = Vec::new();
    for uri in sources {
        loaded.push(source::load(uri).await?);
    }
    Ok(loaded)
}

/// Follows each source but gossip until the token is cancelled.
pub(in crate::app) fn watched(
    sources: &[Uri],
    writes: &Writes,
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> Vec<watch::Receiver<Arc<Snapshot>>> {
    let follow = |uri: &Uri| {
        let (snapshots, following) = source::follow(uri, writes, stop.clone());
        tasks.spawn(following);
        snapshots
    };
    sources.iter().map(follow).collect()
}
