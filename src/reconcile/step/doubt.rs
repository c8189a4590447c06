//! A store that has nothing though frontends are live: what a Redis without its disk comes back with, while this daemon
//! was away as well. A store that has listed some in this life is believed whatever it says: its source has judged it.

use std::{borrow::Cow, collections::BTreeSet};

use crate::model::{Desired, FRONTEND, Snapshot, SourceName};

/// The stores that have listed something in this life.
#[derive(Debug, Default)]
pub(super) struct Doubt(BTreeSet<SourceName>);

impl Doubt {
    /// What the sources know, where an empty store is one that has not been read yet, as long as several frontends are
    /// live that no other source lists.
    pub(super) fn of<'a>(&mut self, known: &'a [Snapshot], live: &Desired) -> Cow<'a, [Snapshot]> {
        self.0.extend(known.iter().filter(|s| is_store(s) && !s.services.is_empty()).map(|s| s.source.clone()));
        let is_empty = |s: &Snapshot| is_store(s) && s.synced && s.services.is_empty() && !self.0.contains(&s.source);
        if !known.iter().any(is_empty) {
            return Cow::Borrowed(known);
        }
        let frontends = live.services.keys().filter(|name| name.as_str().starts_with(FRONTEND));
        let orphans = frontends.filter(|name| !known.iter().any(|s| s.services.contains_key(*name))).count();
        if orphans < 2 {
            return Cow::Borrowed(known);
        }
        let doubted = |s: &Snapshot| {
            if !is_empty(s) {
                return s.clone();
            }
            let why = format!("{}: it has no frontend, and {orphans} are served", s.source);
            Snapshot { synced: false, trouble: Some(why), ..s.clone() }
        };
        Cow::Owned(known.iter().map(doubted).collect())
    }
}

fn is_store(snapshot: &Snapshot) -> bool {
    snapshot.source.contains("://")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Listed, PathPrefix, Place, Protocol, Service};

    fn snapshot(source: &str, services: &[&str]) -> Snapshot {
        let listed = || Listed {
            place: Place::Key("k".into()),
            hosts: Vec::new(),
            path: "/".parse::<PathPrefix>().unwrap(),
            protocol: Protocol::Http,
            endpoints: std::collections::BTreeMap::new(),
        };
        let services = services.iter().map(|name| (name.parse().unwrap(), Arc::new(listed()))).collect();
        Snapshot { source: source.into(), synced: true, services, ..Snapshot::default() }
    }

    /// Which of the sources are believed.
    fn check(doubt: &mut Doubt, known: &[Snapshot], live: &[&str], synced: &[bool]) {
        let services = live.iter().map(|name| (name.parse().unwrap(), Service::default())).collect();
        let live = Desired { services, ..Desired::default() };
        assert_eq!(doubt.of(known, &live).iter().map(|s| s.synced).collect::<Vec<_>>(), synced);
    }

    #[test]
    fn an_empty_store_before_live_frontends() {
        let live = ["hipache.a", "hipache.b", "web"];
        let empty = || snapshot("redis://r", &[]);
        check(&mut Doubt::default(), &[snapshot("gossip", &[]), empty()], &live, &[true, false]);
        check(&mut Doubt::default(), &[empty()], &["hipache.a", "web"], &[true]);
        check(&mut Doubt::default(), &[empty(), snapshot("etcd://e", &live)], &live, &[true, true]);
        // One that listed some in this life has been judged by its source.
        let mut doubt = Doubt::default();
        check(&mut doubt, &[snapshot("redis://r", &["hipache.a"])], &live, &[true]);
        check(&mut doubt, &[empty()], &live, &[true]);
    }
}
