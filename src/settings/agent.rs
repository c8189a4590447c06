//! What an agent runs by: above all, the services it offers, and the one it runs.

mod service;

use std::{collections::BTreeMap, time::Duration};

use super::{Common, Error, Host};
use crate::{
    config::{self, Offer, Text, plain},
    lifecycle::{Check, service::Service},
    model::{RawOffer, ServiceName},
};

/// The services at one node, at most: what fits into a record of 4 KiB.
const MAX_SERVICES: usize = 64;

/// What an agent runs by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// What both daemons run by.
    pub common: Common,
    /// What it offers; checked through the contract's newtypes, and sound when it stands here.
    pub services: Vec<RawOffer>,
    /// What each of these has to pass to be offered; `None`: nothing.
    pub checks: Vec<Option<Check>>,
    /// The service that it runs.
    pub child: Option<Service>,
    /// How long balancers may take to let go of this node.
    pub drain_timeout: Duration,
    /// How long the service that it runs may take to stop after the drain, and then the goodbye.
    pub stop_timeout: Duration,
}

impl Agent {
    /// Checks what was configured, as a whole.
    ///
    /// # Errors
    /// Where something is missing, or two things do not go together.
    pub fn new(raw: config::Agent, host: &Host) -> Result<Self, Error> {
        let (common, mut own) = (Common::new(raw.common, host, true)?, raw.own);
        let declared = own.service.take().map_or_else(|| by_tags(&common.tags, &common.roles), Ok)?;
        let services = dressed(declared, &mut own)?;
        distinct(&services)?;
        let stop_timeout = span(own.stop_timeout, Duration::from_secs(5));
        let drain_timeout = span(own.drain_timeout, Duration::from_secs(5));
        let child = service::child(&own, stop_timeout)?;
        let checks = service::checks(&services, &own, child.is_some())?;
        let services = services.into_iter().map(RawOffer::from).collect();
        Ok(Self { common, services, checks, child, drain_timeout, stop_timeout })
    }
}

fn span(given: Option<Text<config::Span>>, default: Duration) -> Duration {
    given.map_or(default, |Text(span)| span.0)
}

/// Serf's habit: `role=web` with `port=8080` declares service `web`.
fn by_tags(tags: &BTreeMap<String, String>, roles: &[ServiceName]) -> Result<Vec<Offer>, Error> {
    let Some(role) = roles.iter().find(|role| tags.get("role").is_some_and(|tag| tag == role.as_str())) else {
        return Ok(Vec::new());
    };
    let wrong = |key: &str, why: &str| Error::Flags(format!("tag {key}: {why}"));
    let port = tags.get("port").map_or(Ok(80), |port| port.parse::<std::num::NonZeroU16>().map(Into::into));
    let mut offer = Offer::new(role.clone(), port.map_err(|_| wrong("port", "use 1 to 65535"))?);
    for key in ["host", "path", "weight", "protocol"] {
        let Some(value) = tags.get(key) else { continue };
        // One tag carries all hosts; no other value may hold a comma.
        let values = if key == "host" { value.split(',').collect() } else { vec![value.as_str()] };
        for value in values {
            offer.set(key, value).map_err(|e| wrong(key, &e.to_string()))?;
        }
    }
    Ok(vec![offer])
}

/// `--host`, `--path`, `--weight` and `--check` belong to the only service.
fn dressed(mut services: Vec<Offer>, own: &mut config::AgentOwn) -> Result<Vec<Offer>, Error> {
    let (hosts, path, weight, check) = (plain(own.host.take()), own.path.take(), own.weight.take(), own.check.take());
    if hosts.is_none() && path.is_none() && weight.is_none() && check.is_none() {
        return Ok(services);
    }
    let [only] = services.as_mut_slice() else {
        let count = services.len();
        let why = format!("--host, --path, --weight and --check go with exactly one --service, here are {count}");
        return Err(Error::Flags(why));
    };
    only.hosts.extend(hosts.unwrap_or_default());
    if let Some(Text(path)) = path {
        only.path = Some(path);
    }
    if let Some(weight) = weight {
        only.weight = Some(weight.try_into().map_err(|e: crate::model::NameError| Error::Flags(e.to_string()))?);
    }
    only.check = check.or(only.check.take());
    Ok(services)
}

fn distinct(services: &[Offer]) -> Result<(), Error> {
    if services.len() > MAX_SERVICES {
        return Err(Error::Flags(format!("{} services: a node offers at most {MAX_SERVICES}", services.len())));
    }
    let mut seen = std::collections::BTreeSet::new();
    match services.iter().find(|offer| !seen.insert((&offer.name, offer.port))) {
        Some(twice) => Err(Error::Flags(format!("service {}:{} is given twice", twice.name, twice.port))),
        None => Ok(()),
    }
}
