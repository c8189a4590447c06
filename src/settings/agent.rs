//! What an agent runs by: above all, the services it offers.

use std::{collections::BTreeMap, time::Duration};

use super::{Common, Error, Host};
use crate::{
    config::{self, Offer, Text, plain},
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
    /// How long balancers may take to let go of this node.
    pub drain_timeout: Duration,
    /// How long the goodbye may take after the drain.
    pub stop_timeout: Duration,
}

impl Agent {
    /// Checks what was configured, as a whole.
    ///
    /// # Errors
    /// Where something is missing, or two things do not go together.
    pub fn new(raw: config::Agent, host: &Host) -> Result<Self, Error> {
        let common = Common::new(raw.common, host)?;
        let declared = raw.own.service.map_or_else(|| by_tags(&common.tags, &common.roles), Ok)?;
        let services = dressed(declared, plain(raw.own.host), raw.own.path, raw.own.weight)?;
        distinct(&services)?;
        let span = |given: Option<Text<config::Span>>| given.map_or(Duration::from_secs(5), |Text(span)| span.0);
        Ok(Self {
            common,
            services: services.into_iter().map(RawOffer::from).collect(),
            drain_timeout: span(raw.own.drain_timeout),
            stop_timeout: span(raw.own.stop_timeout),
        })
    }
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

/// `--host`, `--path` and `--weight` belong to the only service.
fn dressed(
    mut services: Vec<Offer>,
    hosts: Option<Vec<crate::model::HostPattern>>,
    path: Option<Text<crate::model::PathPrefix>>,
    weight: Option<u32>,
) -> Result<Vec<Offer>, Error> {
    if hosts.is_none() && path.is_none() && weight.is_none() {
        return Ok(services);
    }
    let [only] = services.as_mut_slice() else {
        let count = services.len();
        let why = format!("--host, --path and --weight go with exactly one --service, here are {count}");
        return Err(Error::Flags(why));
    };
    only.hosts.extend(hosts.unwrap_or_default());
    if let Some(Text(path)) = path {
        only.path = Some(path);
    }
    if let Some(weight) = weight {
        only.weight = Some(weight.try_into().map_err(|e: crate::model::NameError| Error::Flags(e.to_string()))?);
    }
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
