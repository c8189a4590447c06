//! Services that come and go behind a member that lives: what it says of their health, look by look. A crash loop of
//! the service alone, or a check that cannot make up its mind, does the same harm as a member that comes and goes.

use std::collections::BTreeMap;

use super::damping::{CRASH, GRACEFUL};
use crate::model::{RawRecord, ServiceName, State, offers::MAX_OFFERS};

/// The services of one life of a member, as they were seen last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offers {
    epoch: u64,
    services: BTreeMap<ServiceName, Health>,
}

/// How a service is, and whether its return is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// Not up yet in this life, or down by an operator's word: that it comes up is no return.
    Unborn,
    /// It may get requests.
    Up,
    /// It went, and when it is back that weighs so much.
    Fell(u32),
}

impl Offers {
    /// What the record says, and what is back since the look before, with what that weighs.
    pub(super) fn seen(record: &RawRecord, before: Option<&Self>) -> (Self, Vec<(ServiceName, u32)>) {
        let before = before.filter(|offers| offers.epoch == record.epoch);
        let (mut services, mut back) = (BTreeMap::new(), Vec::new());
        for (name, up) in health(record) {
            let known = before.and_then(|offers| offers.services.get(&name)).copied();
            if let (true, Some(Health::Fell(weight))) = (up, known) {
                back.push((name.clone(), weight));
            }
            let health = if up { Health::Up } else { fallen(record, &name, known) };
            services.insert(name, health);
        }
        (Self { epoch: record.epoch, services }, back)
    }
}

/// Each service by name; one at several ports is up where it is so at each.
fn health(record: &RawRecord) -> BTreeMap<ServiceName, bool> {
    let mut all = BTreeMap::new();
    for offer in record.services.iter().take(MAX_OFFERS) {
        // What is no name is refused elsewhere, and has no endpoint.
        let Ok(name) = offer.name.parse() else { continue };
        *all.entry(name).or_insert(true) &= offer.healthy;
    }
    all
}

/// What a service that is down comes to. One that an operator took out, before it went or since, is his business.
fn fallen(record: &RawRecord, service: &ServiceName, known: Option<Health>) -> Health {
    match known {
        _ if record.by_hand.covers(Some(service)) => Health::Unborn,
        Some(Health::Up) => Health::Fell(if record.state == State::Serving { CRASH } else { GRACEFUL }),
        Some(known) => known,
        None => Health::Unborn,
    }
}

#[cfg(test)]
mod tests;
