//! The layout: what one HAProxy holds, backend by backend. Observed from the live process, planned from the
//! desired set, rendered into the file: one type for all three. Plain data, no IO.

use std::{collections::BTreeMap, fmt};

use backchat_contract::{EndpointAddr, EndpointName, Protocol, Route, ServiceName, Weight};
use serde::Serialize;

/// A backend's name: a service's own, or that of a spare (`bc-spare-07`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BackendName(String);

impl BackendName {
    /// What every spare's name begins with.
    pub const SPARE: &'static str = "bc-spare-";

    /// The spare with this number, from 1.
    pub fn spare(number: usize) -> Self {
        Self(format!("{}{number:02}", Self::SPARE))
    }

    /// Whether it names a spare.
    pub fn is_spare(&self) -> bool {
        self.0.starts_with(Self::SPARE)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&ServiceName> for BackendName {
    fn from(service: &ServiceName) -> Self {
        Self(service.to_string())
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What one HAProxy holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// Which rendering of ours; 0 where none.
    pub generation: u64,
    /// The backends by name, free spares included.
    pub backends: BTreeMap<BackendName, Backend>,
    /// The host map.
    #[serde(skip)]
    pub routes: BTreeMap<Route, BackendName>,
}

/// One backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Backend {
    /// Which service it serves; `None` for a free spare.
    pub service: Option<ServiceName>,
    /// What it speaks.
    pub protocol: Protocol,
    /// Its servers by name.
    pub servers: BTreeMap<EndpointName, Server>,
}

/// One server of a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    /// HAProxy's number for it, unique in its backend, 1 to 2147483647, kept for its life: hashes hang on it.
    pub id: u32,
    /// Where it listens.
    pub addr: EndpointAddr,
    /// Its share of the traffic.
    pub weight: Weight,
    /// How it is administered.
    pub admin: Admin,
}

/// A server's administrative state (`srv_admin_state`: ready 0, maint 1, drain 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Admin {
    /// Takes new requests.
    Ready,
    /// Takes none; what runs may end.
    Drain,
    /// Out; on its way to be deleted.
    Maint,
}
