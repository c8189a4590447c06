//! A service: who serves it and who does not, why, and which requests come to it.

use serde::{Deserialize, Serialize};

use super::{ExplainedEndpoint, Known};
use crate::{
    admin::answers::{
        Flapping, Hold, Rejection, Route, Service, ServiceState,
        status::{millis, unusual},
    },
    model::{self, Protocol, ServiceName, fate},
};

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedService {
    /// Its name.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// How it stands.
    pub state: ServiceState,
    /// What requests get while it is down, where that is not 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_status: Option<u16>,
    /// For how long nobody has offered it, in milliseconds, where that is so.
    pub empty_ms: Option<u64>,
    /// The routes onto it, who said so, and who was refused.
    pub routes: Vec<Route>,
    /// Its endpoints, those that are gone a short while included.
    pub endpoints: Vec<ExplainedEndpoint>,
    /// What the guard keeps of it.
    pub holds: Vec<Hold>,
    /// Who of it is held down, for he comes and goes.
    pub flapping: Vec<Flapping>,
    /// What was said of it and not taken.
    pub rejections: Vec<Rejection>,
}

impl ExplainedService {
    /// `None` where there is no such service, live or desired.
    pub(super) fn new(name: &ServiceName, known: Known<'_>) -> Option<Self> {
        let status = known.status?;
        if !status.live.services.contains_key(name) && !status.desired.services.contains_key(name) {
            return None;
        }
        let Service { protocol, state, .. } = Service::new(name, status);
        let standing = status.ledger.as_ref().and_then(|ledger| ledger.services.get(name));
        let fates = fate::of_service(name, status, known.members, known.now);
        let routes = status.desired.routes.iter().filter(|(_, service)| *service == name);
        let own = |id: &model::EndpointId| id.service == *name;
        let holds = status.held.iter().filter(|hold| hold.endpoints.iter().any(own));
        let flaps = |flap: &&model::Flapping| flap.endpoints.iter().any(own) || flap.service.as_ref() == Some(name);
        let subjects = [format!("service {name}"), format!("service {:?}", name.as_str())];
        let about = |r: &&model::Rejection| {
            subjects.contains(&r.subject) || r.subject.starts_with(&format!("endpoint {name}/"))
        };
        Some(Self {
            name: name.to_string(),
            protocol,
            state,
            down_status: unusual(status.manners),
            empty_ms: standing.and_then(|s| s.empty_since).map(|since| millis(since.age(known.now))),
            routes: routes.map(|(route, _)| Route::new(route, name, status, known.members)).collect(),
            endpoints: fates.iter().map(|fate| ExplainedEndpoint::new(fate, known.wall)).collect(),
            holds: holds.map(Hold::from).collect(),
            flapping: status.flapping.iter().filter(flaps).map(Flapping::from).collect(),
            rejections: status.rejections.iter().filter(about).map(Rejection::from).collect(),
        })
    }
}
