//! Which hosts somebody may have meant who asks for one that nobody has.

use std::collections::BTreeMap;

use crate::model::{Desired, HostPattern};

/// So many are shown.
const SHOWN: usize = 5;
/// So many letters may differ.
const LETTERS: usize = 2;

/// The hosts that come close, the closest first.
pub(super) fn near<'a>(host: &str, set: &'a Desired) -> Vec<&'a HostPattern> {
    let mut found: BTreeMap<&HostPattern, usize> = BTreeMap::new();
    for route in set.routes.keys() {
        if let Some(distance) = distance(host, &route.host) {
            found.insert(&route.host, distance);
        }
    }
    let mut found: Vec<_> = found.into_iter().map(|(pattern, distance)| (distance, pattern)).collect();
    found.sort();
    found.into_iter().take(SHOWN).map(|(_, pattern)| pattern).collect()
}

/// How far a pattern is from a host; `None` where nobody would take one for the other.
fn distance(host: &str, pattern: &HostPattern) -> Option<usize> {
    let parent = |host: &str| host.split_once('.').map(|(_, rest)| rest.to_owned());
    let slip = |a: &str, b: &str| Some(strsim::osa_distance(a, b)).filter(|letters| (1..=LETTERS).contains(letters));
    match pattern {
        HostPattern::Any => None,
        HostPattern::Magic { label, domain } => match backchat_contract::magic(host)? {
            HostPattern::Magic { label: asked, domain: below } if below == *domain => slip(&asked, label),
            _ => None,
        },
        HostPattern::Exact(known) => {
            let siblings = || (known != host && parent(known) == parent(host)).then_some(LETTERS + 1);
            slip(host, known).or_else(siblings)
        }
        HostPattern::Wildcard(domain) => {
            // The domain itself, or more labels than a wildcard stands for.
            let below = host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            if below { Some(0) } else { slip(&parent(host)?, domain) }
        }
    }
}
