//! Flaps as they are written down: ages in the place of moments. The single returns are not worth it: over a restart
//! of the balancer three crashes are forgiven anew, unless somebody is known to come and go.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    Flaps, NodeName,
    damping::{FIRST, Flap},
};
use crate::model::{Moment, ServiceName, Since, Target};

/// A member that came back lately, or a service of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFlap {
    node: NodeName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<ServiceName>,
    #[serde(default)]
    times: u32,
    #[serde(default)]
    since_ms: u64,
    #[serde(default)]
    quiet_ms: u64,
    #[serde(default)]
    level: u32,
    #[serde(default)]
    left_ms: u64,
}

impl Flaps {
    /// What is worth keeping, as it stands `now`.
    pub fn kept(&self, now: Moment) -> Vec<KeptFlap> {
        let one = |(who, flap): (&Target, &Flap)| KeptFlap {
            node: who.node.clone(),
            service: who.service.clone(),
            times: flap.times,
            since_ms: millis(flap.since.age(now)),
            quiet_ms: millis(flap.quiet(now)),
            level: flap.level,
            left_ms: millis(flap.left(now).unwrap_or_default()),
        };
        self.all.iter().filter(|(_, flap)| flap.level > 0).map(one).collect()
    }

    /// What was kept, `now` and so much later.
    pub fn recalled(kept: Vec<KeptFlap>, later: Duration, now: Moment) -> Self {
        let ago = |age| Since::ago(now, Duration::from_millis(age).saturating_add(later));
        let one = |kept: KeptFlap| {
            // Whatever the file says, nobody is held down longer than its own doublings make it.
            let most = FIRST.saturating_mul(1 << kept.level.min(16));
            let left = Duration::from_millis(kept.left_ms).min(most).saturating_sub(later);
            let flap = Flap {
                returns: VecDeque::new(),
                times: kept.times,
                since: ago(kept.since_ms),
                last: ago(kept.quiet_ms),
                level: kept.level,
                until: (!left.is_zero()).then_some(now + left),
                out: BTreeSet::new(),
                let_in: BTreeSet::new(),
            };
            (Target { node: kept.node, service: kept.service }, flap)
        };
        Self { all: kept.into_iter().map(one).collect(), ..Self::default() }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
