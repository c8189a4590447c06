//! A change of a few endpoints in a large set, made at once and by itself.
//!
//! To look at ten thousand services takes a good part of a second, of which HAProxy is busy a part too. A frontend of a
//! store is nobody else's: where nothing is new but what some of them list, only their endpoints change, whatever the
//! others are. That is done over what was read last; the look that follows, which writes the files and takes away what was
//! let go of, waits until nothing has changed for a while, or until so much time has gone that it is a small part of it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use backchat_contract::{Driver, Endpoint, Service, ServiceName};
use tokio::time::Instant;

use super::Stepper;
use crate::{
    model::{FRONTEND, LastApply, Listed, Snapshot},
    reconcile::{
        schedule::{LONG, Outcome},
        tally,
    },
};

/// The look that follows takes at most this part of the time while changes keep coming.
const PART: u32 = 100;
/// And is put off no longer than this.
const MOST: Duration = Duration::from_secs(30);
/// It comes once nothing has changed for this long, or for a few times what it takes.
const QUIET: Duration = Duration::from_secs(1);
const LOOKS: u32 = 4;

/// What is kept for it.
#[derive(Default)]
pub(super) struct Narrow {
    /// What the sources said when all of it was last looked at, and what was changed since.
    known: Vec<Snapshot>,
    /// How long that took.
    took: Duration,
    /// When the first change since was made.
    first: Option<Instant>,
}

impl Narrow {
    /// All was looked at: it took so long.
    pub(super) fn looked(&mut self, known: &[Snapshot], took: Duration) {
        *self = Self { known: if took > LONG { known.to_vec() } else { Vec::new() }, took, first: None };
    }

    /// Whether a look must not be put off any more.
    fn is_due(&self) -> bool {
        self.first.is_some_and(|first| first.elapsed() >= (self.took * PART).min(MOST))
    }

    /// How long the look is put off from now on.
    fn wait(&mut self) -> Duration {
        let first = *self.first.get_or_insert_with(Instant::now);
        let most = (self.took * PART).min(MOST).saturating_sub(first.elapsed());
        (self.took * LOOKS).max(QUIET).min(most)
    }
}

impl<D: Driver> Stepper<D> {
    /// Makes the change, where it is of that kind; when to look at all of it.
    pub(super) async fn narrowly(&mut self, known: &[Snapshot]) -> Option<Outcome> {
        if self.narrow.took <= LONG || self.narrow.is_due() {
            return None;
        }
        let changed = changed(&self.narrow.known, known)?;
        let services: BTreeMap<_, _> =
            changed.into_iter().map(|(name, listed)| (name.clone(), service(listed))).collect();
        let mut read = self.quick.read.take()?;
        let plan = self.driver.at_once_of(&services, &read)?;
        let began = Instant::now();
        let applied = self.driver.apply(plan.clone()).await;
        let report = applied.as_ref().ok().filter(|report| !report.stale && report.refused.is_empty())?;
        self.driver.note(&plan, &mut read);
        self.quick.read = Some(read);
        for change in self.driver.view(&plan).changes {
            tracing::info!(kind = ?change.kind, id = %change.id, "{:?}, at once", change.action);
        }
        self.status.last_apply = Some(LastApply {
            at: SystemTime::now(),
            took: began.elapsed(),
            commands: report.applied,
            refused: Vec::new(),
            reloaded: false,
            generation: self.status.plane.generation,
            changes: services.len(),
        });
        tally::applied(&mut self.status.tally, &applied, false);
        self.narrow.known = known.to_vec();
        (self.status.converged, self.ours) = (false, None);
        self.status.waiting = Some("what was changed at once is read back in a moment".into());
        Some(Outcome::PutOff(self.narrow.wait()))
    }
}

/// The frontends that list other endpoints than before, where nothing else is new at all; at least one.
fn changed<'a>(before: &[Snapshot], now: &'a [Snapshot]) -> Option<BTreeMap<&'a ServiceName, &'a Listed>> {
    if before.len() != now.len() {
        return None;
    }
    let mut changed = BTreeMap::new();
    for (nth, (before, now)) in before.iter().zip(now).enumerate() {
        let same = before.synced == now.synced
            && before.trouble == now.trouble
            && before.members == now.members
            && before.refused == now.refused
            && before.services.len() == now.services.len();
        if !same {
            return None;
        }
        for ((old_name, old), (name, new)) in before.services.iter().zip(&now.services) {
            if old_name != name {
                return None;
            }
            if Arc::ptr_eq(old, new) || old == new {
                continue;
            }
            let alike = old.hosts == new.hosts && old.path == new.path && old.protocol == new.protocol;
            if !alike || !name.as_str().starts_with(FRONTEND) {
                return None;
            }
            changed.insert((nth, name), &**new);
        }
    }
    // What two sources list is the first one's to say.
    let lone = |(nth, name): (usize, &ServiceName)| {
        !now.iter().enumerate().any(|(other, snapshot)| other != nth && snapshot.services.contains_key(name))
    };
    let all_lone = changed.keys().all(|(nth, name)| lone((*nth, name)));
    (all_lone && !changed.is_empty()).then(|| changed.into_iter().map(|((_, name), listed)| (name, listed)).collect())
}

fn service(listed: &Listed) -> Service {
    let endpoint = |e: &crate::model::ListedEndpoint| Endpoint { addr: e.addr, weight: e.weight, state: e.state };
    let endpoints = listed.endpoints.iter().map(|(name, e)| (name.clone(), endpoint(e))).collect();
    Service { protocol: listed.protocol, endpoints }
}
