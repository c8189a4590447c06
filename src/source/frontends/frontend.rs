//! One frontend: what its key names, and what its list holds.

use std::collections::BTreeMap;

use backchat_contract::HostPattern;

use super::backend::{self, Backend};
use crate::model::{
    EndpointAddr, EndpointName, EndpointState, Listed, ListedEndpoint, Place, Protocol, ServiceName, Weight,
};

/// Labels that a wildcard may have behind its star: Hipache looks for no more.
pub(super) const LABELS_MAX: usize = 5;
/// The heaviest endpoint there is.
const HEAVIEST: usize = 256;

/// One frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frontend {
    /// Which host it answers, or why there is none such.
    pub(super) host: Result<HostPattern, String>,
    /// The backends by their places in the list; `None` for one that cannot be taken. What stands before them is a name
    /// for people.
    backends: Vec<(Option<Backend>, String)>,
    /// Why some cannot be, or all of it.
    pub(super) refused: Vec<String>,
    /// Whether it holds a list.
    pub(super) is_fit: bool,
}

impl Frontend {
    /// What a key's host and its list say.
    pub(super) fn new(host: &str, list: &[String]) -> Self {
        let mut refused = Vec::new();
        let mut taken = |text: &String| backend::parse(text).map_err(|why| refused.push(why)).ok();
        let mut backends: Vec<_> = list.iter().skip(1).map(|text| (taken(text), text.clone())).collect();
        let is_guest = |backend: &Option<Backend>| matches!(backend, Some(Backend::Of(_)));
        if backends.len() > 1 && backends.iter().any(|(backend, _)| is_guest(backend)) {
            refused.push("backchat:SERVICE stands alone: requests go to it, or to the addresses of the list".into());
            for (backend, _) in &mut backends {
                if is_guest(backend) {
                    *backend = None;
                }
            }
        }
        Self { host: host_of(host), backends, refused, is_fit: true }
    }

    /// What a key holds that is no list: its host is its own still, with nobody to answer, and no wildcard's.
    pub(super) fn unfit(host: &str, why: &str) -> Self {
        Self { host: host_of(host), backends: Vec::new(), refused: vec![why.to_owned()], is_fit: false }
    }

    /// The same where its key holds no list any more: what it listed stays, as it does where a file is spoilt.
    pub(super) fn spoilt(&self, why: &str) -> Self {
        let stays = if self.backends.is_empty() { "" } else { "; what it listed before stays" };
        Self { refused: vec![format!("{why}{stays}")], is_fit: false, ..self.clone() }
    }

    /// How many backends the list has.
    pub(super) fn len(&self) -> usize {
        self.backends.len()
    }

    /// Whose hosts its host is one of, where it is no service of its own.
    pub(super) fn guest_of(&self) -> Option<&ServiceName> {
        self.backends.iter().find_map(|(backend, _)| match backend {
            Some(Backend::Of(service)) => Some(service),
            _ => None,
        })
    }

    /// The place of an endpoint in the list, and how it is written there.
    pub(super) fn find(&self, name: &EndpointName) -> Option<(usize, &str)> {
        let mut places = self.backends.iter().enumerate();
        places.find_map(|(at, (backend, text))| match backend {
            Some(Backend::At(addr)) if backend::name(*addr) == *name => Some((at, text.as_str())),
            _ => None,
        })
    }

    /// The service that it is. A backend that stands there twice gets twice the requests; one that is marked dead at any
    /// of its places takes no new ones.
    pub(super) fn listed(&self, place: &Place, host: &HostPattern, is_dead: impl Fn(usize) -> bool) -> Listed {
        let mut times: BTreeMap<EndpointAddr, (usize, bool)> = BTreeMap::new();
        for (at, (backend, _)) in self.backends.iter().enumerate() {
            if let Some(Backend::At(addr)) = backend {
                let (count, dead) = times.entry(*addr).or_default();
                *count += 1;
                *dead |= is_dead(at) && self.backends.len() > 1;
            }
        }
        let most = times.values().map(|(count, _)| *count).max().unwrap_or(1);
        let endpoint = |(addr, (count, dead)): (EndpointAddr, (usize, bool))| {
            let state = if dead { EndpointState::Drain } else { EndpointState::Ready };
            let endpoint = ListedEndpoint { place: place.clone(), addr, weight: weight(count, most), state };
            (backend::name(addr), endpoint)
        };
        Listed {
            place: place.clone(),
            hosts: vec![host.clone()],
            path: "/".parse().expect("the root is a path"),
            protocol: Protocol::Http,
            endpoints: times.into_iter().map(endpoint).collect(),
        }
    }
}

/// The weight of one that stands so often in a list where none stands more often than `most`.
fn weight(count: usize, most: usize) -> Weight {
    if most <= 1 {
        return Weight::DEFAULT;
    }
    let share = (count * HEAVIEST / most).clamp(1, HEAVIEST);
    u32::try_from(share).ok().and_then(|share| Weight::try_from(share).ok()).unwrap_or(Weight::DEFAULT)
}

fn host_of(text: &str) -> Result<HostPattern, String> {
    let host: HostPattern = text.parse().map_err(|e: backchat_contract::NameError| e.to_string())?;
    match &host {
        HostPattern::Wildcard(domain) if domain.split('.').count() > LABELS_MAX => {
            Err(format!("a wildcard of more than {LABELS_MAX} labels matches no host"))
        }
        HostPattern::Magic { .. } => Err("<ip> is for --magic-domain to say".into()),
        _ => Ok(host),
    }
}
