//! From one part's words to another's: views to snapshots, questions to questions, commands to calls.

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::{mpsc, oneshot, watch};

use super::Daemon;
use crate::{
    admin::{self, Joined, Me, Sources},
    cluster::{DrainQuestion, Handle, JoinAddr, View},
    model::{Checks, EndpointId, Kind, Snapshot, Status},
    reconcile::Question,
    settings::Common,
};

/// Commands of people that wait at one time.
pub(super) const COMMANDS: usize = 64;
/// Questions of agents that wait at one time to be taken.
pub(super) const QUESTIONS: usize = 256;

/// What gossip knows, as a source's snapshot that follows it.
pub(super) fn snapshots(daemon: &Daemon) -> watch::Receiver<Arc<Snapshot>> {
    let mut views = daemon.handle.watch();
    let (sender, receiver) = watch::channel(snapshot(&views.borrow_and_update()));
    daemon.tasks.spawn(async move {
        while views.changed().await.is_ok() {
            let newest = snapshot(&views.borrow_and_update());
            if sender.send(newest).is_err() {
                break;
            }
        }
    });
    receiver
}

fn snapshot(view: &View) -> Arc<Snapshot> {
    Arc::new(view.snapshot.clone())
}

/// The questions of agents that leave, in the loop's words.
pub(super) fn questions(daemon: &Daemon) -> mpsc::Receiver<Question> {
    let (sender, receiver) = mpsc::channel(QUESTIONS);
    if let Some(mut asked) = daemon.handle.drain_questions() {
        daemon.tasks.spawn(async move {
            while let Some(DrainQuestion { node, epoch, version, serves, answer }) = asked.recv().await {
                let question = Question { node, age: (epoch, version), serves, answer };
                if sender.send(question).await.is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

/// The endpoints that the data plane finds failing, as they come and go.
pub(super) fn down(
    daemon: &Daemon,
    mut status: watch::Receiver<Arc<Status>>,
) -> watch::Receiver<Arc<BTreeSet<EndpointId>>> {
    let (sender, receiver) = watch::channel(Arc::default());
    daemon.tasks.spawn(async move {
        while status.changed().await.is_ok() {
            let down = Arc::clone(&status.borrow_and_update().down);
            if **sender.borrow() != *down {
                sender.send_replace(down);
            }
        }
    });
    receiver
}

/// Tells the cluster whose endpoints fail the data plane's own checks.
pub(super) fn checks(daemon: &Daemon, mut status: watch::Receiver<Arc<Status>>) {
    let handle = daemon.handle.clone();
    daemon.tasks.spawn(async move {
        let (mut checks, mut told) = (Checks::default(), BTreeSet::new());
        while status.changed().await.is_ok() {
            let newest = Arc::clone(&status.borrow_and_update());
            let failing = checks.failing(&newest.live, &members_down(&newest));
            if failing != told {
                for node in failing.difference(&told) {
                    tracing::info!(%node, "fails the data plane's check: asking it");
                }
                told.clone_from(&failing);
                if handle.failing(failing).await.is_err() {
                    break;
                }
            }
        }
    });
}

/// The endpoints that fail and are of members: what a file or a store lists has no member to be asked.
fn members_down(status: &Status) -> BTreeSet<EndpointId> {
    let listed = |id: &EndpointId| status.ledger.as_ref().is_some_and(|ledger| ledger.listed.contains_key(id));
    status.down.iter().filter(|id| !listed(id)).cloned().collect()
}

/// What the admin server reads.
pub(super) fn sources(
    daemon: &Daemon,
    common: &Common,
    kind: Kind,
    status: Option<watch::Receiver<Arc<Status>>>,
    commands: mpsc::Sender<admin::Command>,
) -> Sources {
    let handle = daemon.handle.clone();
    Sources {
        me: Me { node: common.node.clone(), kind },
        start: daemon.handle.started(),
        members: snapshots(daemon),
        status,
        commands,
        counts: Arc::new(move || counts(&handle)),
        stopping: daemon.stopping.clone(),
        health: watch::channel(Vec::new()).1,
    }
}

fn counts(handle: &Handle) -> admin::Counts {
    let counts = handle.counts();
    admin::Counts {
        packets_in: counts.packets_in,
        packets_out: counts.packets_out,
        rejected: counts.rejected,
        exchanges_ok: counts.exchanges_ok,
        exchanges_failed: counts.exchanges_failed,
        probe_times: counts.probe_times,
        health_score: counts.health_score,
        transitions: counts.transitions,
        heard: handle.heard(),
    }
}

/// Joins by addresses as a person wrote them.
pub(super) async fn join(handle: Handle, addrs: Vec<String>, answer: oneshot::Sender<Vec<Joined>>) {
    let (mut joined, mut good) = (Vec::new(), Vec::new());
    for addr in addrs {
        match addr.parse::<JoinAddr>() {
            Ok(parsed) => good.push((addr, parsed)),
            Err(error) => joined.push(Joined { addr, result: Err(error.to_string()) }),
        }
    }
    let (names, parsed): (Vec<_>, Vec<_>) = good.into_iter().unzip();
    let results = handle.join(parsed).await;
    joined.extend(names.into_iter().zip(results).map(|(addr, (_, result))| Joined { addr, result }));
    // Whoever asked may be gone.
    let _nobody_waits = answer.send(joined);
}
