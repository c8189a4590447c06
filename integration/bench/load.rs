//! So many endpoints over so many backends: what the floors give a driver to bring about.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use anyhow::{Context as _, Result};
use backchat::model::{Desired, Endpoint, EndpointAddr, EndpointState, Service, Weight};

/// So many endpoints over so many backends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) endpoints: usize,
    pub(crate) backends: usize,
}

impl Load {
    /// The backends with this many endpoints shared out among them, each at an address of its own.
    pub(crate) fn desired(self, endpoints: usize, port: u16) -> Result<Desired> {
        let mut services = BTreeMap::new();
        for backend in 0..self.backends {
            services.insert(format!("service{backend}").parse()?, Service::default());
        }
        let mut desired = Desired { services, ..Desired::default() };
        for number in 0..endpoints {
            let service = desired.services.get_mut(&format!("service{}", number % self.backends).parse()?);
            let ip = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + u32::try_from(number)?);
            let addr = EndpointAddr::try_from(SocketAddr::from((ip, port)))?;
            let endpoint = Endpoint { addr, weight: Weight::DEFAULT, state: EndpointState::Ready };
            let endpoints = &mut service.context("a backend just made")?.endpoints;
            endpoints.insert(format!("node{number}").parse()?, endpoint);
        }
        Ok(desired)
    }

    /// All of it, with one endpoint at another port in every other round: what a service that was started anew brings.
    pub(crate) fn round(self, round: usize) -> Result<Desired> {
        const PORTS: [u16; 2] = [80, 81];
        let mut desired = self.desired(self.endpoints, PORTS[0])?;
        let service = desired.services.values_mut().next().context("a backend")?;
        let endpoint = service.endpoints.values_mut().next().context("an endpoint")?;
        let ip = endpoint.addr.get().ip();
        endpoint.addr = EndpointAddr::try_from(SocketAddr::from((ip, PORTS[round % 2])))?;
        Ok(desired)
    }
}
