//! The ledger: what `desired` must remember from one call to the next. Kept in the data folder, else rebuilt
//! from the live routes.

use std::collections::BTreeMap;

use super::{Desired, Moment, Protocol, Route, ServiceName};

/// What was decided before and holds on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Who has each route: the incumbent keeps it against newcomers.
    pub claims: BTreeMap<Route, Claim>,
    /// Every service that has endpoints, or had some a short while ago.
    pub services: BTreeMap<ServiceName, Standing>,
}

/// Who has a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The service.
    pub service: ServiceName,
    /// The member that claimed it for the service first; `None` where it was read back from a data plane,
    /// or given by the operator.
    pub node: Option<String>,
}

/// How a service stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it speaks: the first member that offers it decides.
    pub protocol: Protocol,
    /// Since when it has had no endpoint.
    pub empty_since: Option<Moment>,
}

impl Ledger {
    /// The ledger that would have led to these routes and services.
    pub fn adopted(live: &Desired) -> Self {
        let claim =
            |(route, service): (&Route, &ServiceName)| (route.clone(), Claim { service: service.clone(), node: None });
        let standing = |(name, service): (&ServiceName, &super::Service)| {
            (name.clone(), Standing { protocol: service.protocol, empty_since: None })
        };
        Self { claims: live.routes.iter().map(claim).collect(), services: live.services.iter().map(standing).collect() }
    }

    /// Takes note of what the guard kept: a service with endpoints is not empty, whoever holds them there, and
    /// keeps its routes as long.
    pub fn keep(&mut self, guarded: &Desired, before: &Self) {
        for (name, standing) in &mut self.services {
            if guarded.services.get(name).is_some_and(|s| !s.endpoints.is_empty()) {
                standing.empty_since = None;
            }
        }
        for (route, claim) in &before.claims {
            if guarded.routes.get(route) == Some(&claim.service) {
                self.claims.entry(route.clone()).or_insert_with(|| claim.clone());
            }
        }
    }
}

impl Claim {
    /// Who has the route, for people: the member, else the service.
    pub fn holder(&self) -> String {
        self.node.clone().unwrap_or_else(|| format!("service {}", self.service))
    }
}
