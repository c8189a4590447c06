//! What came of draining or undraining by hand.

use serde::{Deserialize, Serialize};

use crate::{admin::Followed, model::Target};

/// What to drain, or to undrain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderRequest {
    /// `NODE` or `NODE/SERVICE`.
    pub target: String,
    /// Whether the last one of a service may be drained.
    #[serde(default)]
    pub force: bool,
    /// Whether it was ordered before, and is only waited for.
    #[serde(default)]
    pub only_wait: bool,
    /// How long to wait until all balancers have followed, in milliseconds; at most 10,000.
    #[serde(default)]
    pub wait_ms: u64,
}

/// Something drains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Who has followed.
    #[serde(flatten)]
    pub followed: Ordered,
    /// Services that are without a ready endpoint after it: they answer 503, or 502 by `--hipache`.
    pub last: Vec<String>,
}

/// Something serves again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undrain {
    /// Who has followed.
    #[serde(flatten)]
    pub followed: Ordered,
}

/// What is so since an order, and who has followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// The node.
    pub node: String,
    /// The service; `None` where it is all of the node.
    pub service: Option<String>,
    /// The life of the node that says so.
    pub epoch: u64,
    /// From which of its records on.
    pub version: u64,
    /// The balancers that have followed; empty where nobody waited.
    pub confirmed: Vec<String>,
    /// The balancers that have not in time; empty where nobody waited.
    pub missing: Vec<Missing>,
}

/// A balancer that has not followed in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Its name.
    pub balancer: String,
    /// Why, as far as it is known.
    pub why: String,
}

impl Drain {
    /// What came of draining this.
    pub fn new(target: &Target, followed: Followed) -> Self {
        let last = followed.last.clone();
        Self { followed: Ordered::new(target, followed), last }
    }
}

impl Undrain {
    /// What came of undraining this.
    pub fn new(target: &Target, followed: Followed) -> Self {
        Self { followed: Ordered::new(target, followed) }
    }
}

impl Ordered {
    fn new(target: &Target, followed: Followed) -> Self {
        let (epoch, version) = followed.age;
        let missing = followed.missing.into_iter();
        Self {
            node: target.node.to_string(),
            service: target.service.as_ref().map(ToString::to_string),
            epoch,
            version,
            confirmed: followed.confirmed.iter().map(ToString::to_string).collect(),
            missing: missing.map(|(balancer, why)| Missing { balancer: balancer.to_string(), why }).collect(),
        }
    }
}
