//! Which keys hold marks, and until when. `dead:Foo.io` and `dead:foo.io` are two keys about one host: what is marked for
//! it is what both hold, so that they are read together. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{keys::Key, read::Dead};

/// The keys that hold marks by what stands in them, below the host that they are about; and when each is gone.
#[derive(Debug, Default)]
pub(super) struct Marked(BTreeMap<String, BTreeMap<String, Option<Instant>>>);

impl Marked {
    /// These keys, and those that hold marks for the same hosts.
    pub(super) fn together(&self, mut dirty: BTreeSet<Key>) -> BTreeSet<Key> {
        let others = dirty.iter().filter_map(|key| match key {
            Key::Dead(host) => self.0.get(&host.to_ascii_lowercase()),
            Key::Frontend(_) => None,
        });
        let others: Vec<_> = others.flat_map(BTreeMap::keys).cloned().map(Key::Dead).collect();
        dirty.extend(others);
        dirty
    }

    /// Takes what these keys hold now; all others are as they were.
    pub(super) fn keep(&mut self, read: &[Dead], now: Instant) {
        for Dead { host, ids, left } in read {
            let spellings = self.0.entry(host.to_ascii_lowercase()).or_default();
            spellings.remove(host);
            if !ids.is_empty() {
                // Redis counts whole milliseconds: a little later it is gone there too.
                spellings.insert(host.clone(), left.map(|left| now + left + Duration::from_millis(20)));
            }
            if spellings.is_empty() {
                self.0.remove(&host.to_ascii_lowercase());
            }
        }
    }

    /// When the next of them is gone.
    pub(super) fn next(&self) -> Option<Instant> {
        self.keys().filter_map(|(_, at)| at).min()
    }

    /// Those that have had their time.
    pub(super) fn expired(&self, now: Instant) -> BTreeSet<Key> {
        let gone = self.keys().filter(|(_, at)| at.is_some_and(|at| at <= now));
        gone.map(|(host, _)| Key::Dead(host.clone())).collect()
    }

    fn keys(&self) -> impl Iterator<Item = (&String, Option<Instant>)> {
        self.0.values().flatten().map(|(host, at)| (host, *at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(host: &str, ids: &[usize], left: Option<u64>) -> Dead {
        Dead { host: host.into(), ids: ids.iter().copied().collect(), left: left.map(Duration::from_secs) }
    }

    fn keys(hosts: &[&str]) -> BTreeSet<Key> {
        hosts.iter().map(|host| Key::Dead((*host).to_owned())).collect()
    }

    #[test]
    fn two_spellings_of_a_host() {
        let (mut marked, now) = (Marked::default(), Instant::now());
        marked.keep(&[dead("Foo.io", &[0], Some(9)), dead("foo.io", &[1], Some(30)), dead("b", &[1], None)], now);
        assert_eq!(marked.together(keys(&["FOO.io"])), keys(&["FOO.io", "Foo.io", "foo.io"]));
        assert_eq!(marked.together(keys(&["b"])), keys(&["b"]));
        assert_eq!(marked.together([Key::Frontend("foo.io".into())].into()).len(), 1);

        let after = |seconds: u64| now + Duration::from_secs(seconds);
        let check = |marked: &Marked, seconds: u64, expected: &[&str]| {
            assert_eq!(marked.expired(after(seconds)), keys(expected), "{seconds}");
        };
        check(&marked, 9, &[]);
        check(&marked, 10, &["Foo.io"]);
        check(&marked, 31, &["Foo.io", "foo.io"]);
        assert!(marked.next().is_some_and(|at| at < after(10)));
        // One is gone: the other's time stays.
        marked.keep(&[dead("Foo.io", &[], None)], after(10));
        check(&marked, 29, &[]);
        check(&marked, 31, &["foo.io"]);
        marked.keep(&[dead("foo.io", &[], None)], after(31));
        assert_eq!(marked.next(), None);
        assert_eq!(marked.together(keys(&["b"])), keys(&["b"]));
    }
}
