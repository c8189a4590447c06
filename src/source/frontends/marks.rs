//! `dead:HOST`: the places in a list that failed. They are named after the host that was asked for, and are about the
//! frontend that answers it.

use std::collections::{BTreeMap, BTreeSet};

use backchat_contract::HostPattern;

use super::frontend::LABELS_MAX;

/// The most hosts whose marks are kept: of one wildcard there may be any number, and each change looks through all.
pub(super) const HOSTS_MAX: usize = 10_000;

/// The marks by the hosts that were asked for.
#[derive(Debug, Default)]
pub(in crate::source) struct Marks {
    by_host: BTreeMap<String, BTreeSet<usize>>,
    /// Whether there were more than are kept.
    is_cut: bool,
}

impl Marks {
    /// Keeps what is marked for a host, in place of what was; whether that is another.
    pub(super) fn put(&mut self, host: &str, ids: BTreeSet<usize>) -> bool {
        let host = host.to_ascii_lowercase();
        if ids.is_empty() {
            return self.by_host.remove(&host).is_some();
        }
        if self.is_full() && !self.by_host.contains_key(&host) {
            self.is_cut = true;
            return false;
        }
        let is_other = self.by_host.get(&host) != Some(&ids);
        self.by_host.insert(host, ids);
        is_other
    }

    /// Whether a place is marked for a host; where there is no room for a mark, whether it is to be taken for one: it
    /// would be written again and again.
    pub(super) fn has(&self, host: &str, id: usize) -> bool {
        self.by_host.get(host).map_or(self.is_full(), |ids| ids.contains(&id))
    }

    /// Whether there were more than are kept.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn is_full(&self) -> bool {
        self.by_host.len() >= HOSTS_MAX
    }

    /// The marks by the frontends that they are about.
    pub(super) fn by_frontend(
        &self,
        is_there: impl Fn(&HostPattern) -> bool,
    ) -> BTreeMap<HostPattern, BTreeSet<usize>> {
        let mut marked: BTreeMap<HostPattern, BTreeSet<usize>> = BTreeMap::new();
        for (host, ids) in &self.by_host {
            if let Some(frontend) = patterns(host).find(&is_there) {
                marked.entry(frontend).or_default().extend(ids);
            }
        }
        marked
    }
}

/// The frontends that may answer a host, the nearest first: Hipache's order.
fn patterns(host: &str) -> impl Iterator<Item = HostPattern> {
    let labels: Vec<&str> = host.split('.').collect();
    let longest = labels.len().saturating_sub(1).min(LABELS_MAX);
    let wildcards: Vec<_> = (1..=longest)
        .rev()
        .filter_map(|n| labels.get(labels.len() - n..).map(|rest| HostPattern::Wildcard(rest.join("."))))
        .collect();
    std::iter::once(HostPattern::Exact(host.to_owned())).chain(wildcards).chain([HostPattern::Any])
}
