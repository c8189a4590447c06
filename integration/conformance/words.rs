//! Short words for desired sets.

use std::net::SocketAddr;

use backchat_contract::{Certificate, Desired, Endpoint, EndpointState, Route, Weight};

/// A desired set, built word by word.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted(pub(crate) Desired);

impl Wanted {
    /// A service, without endpoints.
    pub(crate) fn service(mut self, name: &str) -> Self {
        self.0.services.entry(name.parse().unwrap()).or_default();
        self
    }

    /// An endpoint that takes requests, of weight 100.
    pub(crate) fn ready(self, service: &str, endpoint: &str, addr: SocketAddr) -> Self {
        self.endpoint(service, endpoint, addr, 100, EndpointState::Ready)
    }

    /// An endpoint that drains.
    pub(crate) fn draining(self, service: &str, endpoint: &str, addr: SocketAddr) -> Self {
        self.endpoint(service, endpoint, addr, 100, EndpointState::Drain)
    }

    /// An endpoint.
    pub(crate) fn endpoint(
        mut self,
        service: &str,
        endpoint: &str,
        addr: SocketAddr,
        weight: u32,
        state: EndpointState,
    ) -> Self {
        let weight = Weight::try_from(weight).unwrap();
        let one = Endpoint { addr: addr.try_into().unwrap(), weight, state };
        let service = self.0.services.entry(service.parse().unwrap()).or_default();
        service.endpoints.insert(endpoint.parse().unwrap(), one);
        self
    }

    /// Without this endpoint.
    pub(crate) fn without(mut self, service: &str, endpoint: &str) -> Self {
        let service = self.0.services.get_mut(&service.parse().unwrap()).unwrap();
        service.endpoints.remove(&endpoint.parse().unwrap()).unwrap();
        self
    }

    /// Without this service and its routes.
    pub(crate) fn without_service(mut self, service: &str) -> Self {
        self.0.services.remove(&service.parse().unwrap()).unwrap();
        self.0.routes.retain(|_, s| s.as_str() != service);
        self
    }

    /// A certificate.
    pub(crate) fn certificate(mut self, name: &str, certificate: &Certificate) -> Self {
        self.0.certificates.insert(name.parse().unwrap(), certificate.clone());
        self
    }

    /// The one that is shown for names that no other is for.
    pub(crate) fn default_certificate(self, name: &str, certificate: &Certificate) -> Self {
        self.certificate(name, &Certificate { default: true, ..certificate.clone() })
    }

    /// Without this certificate.
    pub(crate) fn without_certificate(mut self, name: &str) -> Self {
        self.0.certificates.remove(&name.parse().unwrap()).unwrap();
        self
    }

    /// A route onto a service.
    pub(crate) fn route(mut self, host: &str, path: &str, service: &str) -> Self {
        let route = Route { host: host.parse().unwrap(), path: path.parse().unwrap() };
        self.0.routes.insert(route, service.parse().unwrap());
        self
    }
}
