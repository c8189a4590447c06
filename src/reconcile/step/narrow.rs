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
        *self = Self { known: Vec::new(), took, first: None };
        if self.is_long() {
            self.known = known.to_vec();
        }
    }

    /// How long it took.
    pub(super) fn took(&self) -> Duration {
        self.took
    }

    /// Whether a look takes so long that there is something to be won.
    pub(super) fn is_long(&self) -> bool {
        self.took > LONG
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
        if !self.narrow.is_long() || self.narrow.is_due() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EndpointState, ListedEndpoint, Place, Weight};

    /// Services written `NAME@HOST PORT…`.
    fn snapshot(services: &[&str]) -> Snapshot {
        let endpoint = |port: &str| {
            let addr: std::net::SocketAddr = format!("10.0.0.1:{port}").parse().unwrap();
            let (place, addr) = (Place::Key("k".into()), addr.try_into().unwrap());
            let endpoint = ListedEndpoint { place, addr, weight: Weight::DEFAULT, state: EndpointState::Ready };
            (format!("e{port}").parse().unwrap(), endpoint)
        };
        let service = |text: &&str| {
            let mut words = text.split(' ');
            let (name, host) = words.next().unwrap().split_once('@').unwrap();
            let listed = Listed {
                place: Place::Key("k".into()),
                hosts: vec![host.parse().unwrap()],
                path: "/".parse().unwrap(),
                protocol: crate::model::Protocol::Http,
                endpoints: words.map(endpoint).collect(),
            };
            (name.parse().unwrap(), Arc::new(listed))
        };
        Snapshot { synced: true, services: services.iter().map(service).collect(), ..Snapshot::default() }
    }

    fn check(before: &[Snapshot], now: &[Snapshot], expected: Option<&[&str]>) {
        let said = changed(before, now).map(|all| all.keys().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(said, expected.map(|names| names.iter().map(ToString::to_string).collect()));
    }

    #[test]
    fn only_endpoints_of_lone_frontends() {
        let before = || [snapshot(&[]), snapshot(&["hipache.a@a 1", "hipache.b@b 1", "web@w 1"])];
        let store = |services: &[&str]| [snapshot(&[]), snapshot(services)];
        check(&before(), &before(), None);
        check(&before(), &store(&["hipache.a@a 1 2", "hipache.b@b", "web@w 1"]), Some(&["hipache.a", "hipache.b"]));
        check(&before(), &store(&["hipache.a@x 2", "hipache.b@b 1", "web@w 1"]), None);
        check(&before(), &store(&["hipache.a@a 2", "web@w 1"]), None);
        check(&before(), &store(&["hipache.a@a 2", "hipache.c@b 1", "web@w 1"]), None);
        check(&before(), &store(&["hipache.a@a 1", "hipache.b@b 1", "web@w 2"]), None);
        // Somebody else lists it too: what is his comes first.
        let both = |store: &[&str]| [snapshot(&["hipache.a@a 7"]), snapshot(store)];
        check(&both(&["hipache.a@a 1", "hipache.b@b 1"]), &both(&["hipache.a@a 2", "hipache.b@b 1"]), None);
        check(
            &both(&["hipache.a@a 1", "hipache.b@b 1"]),
            &both(&["hipache.a@a 1", "hipache.b@b 2"]),
            Some(&["hipache.b"]),
        );
        // What else is new is for a look at all.
        let [gossip, now] = store(&["hipache.a@a 2", "hipache.b@b 1", "web@w 1"]);
        check(&before(), &[Snapshot { synced: false, ..gossip.clone() }, now.clone()], None);
        check(&before(), &[gossip, Snapshot { trouble: Some("t".into()), ..now }], None);
    }

    /// While changes keep coming the look takes a hundredth of the time; it is never far off.
    #[tokio::test(start_paused = true)]
    async fn when_all_is_looked_at() {
        let mut narrow = Narrow::default();
        narrow.looked(&[], Duration::from_millis(200));
        assert_eq!((narrow.is_due(), narrow.wait()), (false, Duration::from_secs(1)));
        tokio::time::advance(Duration::from_millis(19_500)).await;
        assert_eq!((narrow.is_due(), narrow.wait()), (false, Duration::from_millis(500)));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(narrow.is_due());
        narrow.looked(&[], Duration::from_secs(3));
        assert_eq!((narrow.is_due(), narrow.wait()), (false, Duration::from_secs(12)));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(narrow.is_due());
    }
}
