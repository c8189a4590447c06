//! `dead:HOST`: the places in a list that failed. They are named after the host that was asked for, and are about the
//! frontend that answers it.

use std::collections::{BTreeMap, BTreeSet};

use backchat_contract::HostPattern;

/// Labels of the longest wildcard that is looked for.
const LABELS_MAX: usize = 5;

/// The marks by the hosts that were asked for.
#[derive(Debug, Default)]
pub(in crate::source) struct Marks(BTreeMap<String, BTreeSet<usize>>);

impl Marks {
    /// Keeps what is marked for a host, in place of what was.
    pub(super) fn put(&mut self, host: &str, ids: BTreeSet<usize>) {
        let host = host.to_ascii_lowercase();
        if ids.is_empty() {
            self.0.remove(&host);
        } else {
            self.0.insert(host, ids);
        }
    }

    /// Whether a place is marked for a host.
    pub(super) fn has(&self, host: &str, id: usize) -> bool {
        self.0.get(host).is_some_and(|ids| ids.contains(&id))
    }

    /// The marks by the frontends that they are about.
    pub(super) fn by_frontend(
        &self,
        is_there: impl Fn(&HostPattern) -> bool,
    ) -> BTreeMap<HostPattern, BTreeSet<usize>> {
        let mut marked: BTreeMap<HostPattern, BTreeSet<usize>> = BTreeMap::new();
        for (host, ids) in &self.0 {
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
