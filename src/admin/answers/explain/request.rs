//! A request: which route it takes and over what, who could answer it, and what the answer is.

use backchat_contract::ServicePolicy;
use serde::{Deserialize, Serialize};

use super::{ExplainedEndpoint, Known};
use crate::{
    admin::answers::{Route, services::host},
    model::{self, Desired, HostPattern, Request, Routing, ServiceName, fate},
};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedRequest {
    /// Its host in lower case, without a port.
    pub host: String,
    /// Its path, without the query.
    pub path: String,
    /// The route that it takes, by what was read back; `None` where none matches.
    pub route: Option<Route>,
    /// Routes that match as well, and are less exact.
    pub beats: Vec<String>,
    /// Routes of nearer hosts that do not have this path.
    pub passes: Vec<String>,
    /// Hosts that come close, where no route matches.
    pub near: Vec<String>,
    /// Which service should have it, where that is another than has it; `-` for none.
    pub drift: Option<String>,
    /// The endpoints of the service, those that are gone a short while included.
    pub pool: Vec<ExplainedEndpoint>,
    /// What the operator says of such requests before anybody answers: `others than 10.0.0.0/8 are answered 403`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// The canaries of the service, in the order in which they are tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canaries: Vec<ExplainedCanary>,
    /// What the answer is.
    pub answer: Answers,
}

/// A part of a service's traffic that goes elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedCanary {
    /// The service that has it: `web.canary`.
    pub service: String,
    /// Which requests: `5% of requests`, `header x-try: canary`.
    pub picks: String,
    /// Its endpoints that take requests.
    pub by: Vec<Share>,
}

/// Who answers, or what is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// What the data plane itself answers; `None` where an endpoint does, and where it is not known.
    pub status: Option<u16>,
    /// Who answers, in which share.
    pub by: Vec<Share>,
    /// Why, where there is something to say.
    pub why: Option<String>,
}

/// The share of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The endpoint.
    pub name: String,
    /// Its part of the sum of all.
    pub weight: u32,
}

impl ExplainedRequest {
    pub(super) fn new(request: &Request, status: &model::Status, known: Known<'_>) -> Self {
        // In an attached data plane the routes may be somebody else's to make, and are not read.
        let theirs = status.converged && status.live.routes.is_empty() && !status.desired.routes.is_empty();
        let set: &Desired = if theirs { &status.desired } else { &status.live };
        let routing = Routing::of(set, request, status.manners);
        let service = routing.won.map(|(_, service)| service);
        let fates = service.map(|name| fate::of_service(name, status, known.members, known.now)).unwrap_or_default();
        let answer = match (status.plane_up, service) {
            (false, _) => {
                Answers { why: Some(format!("not known: {} does not answer", status.plane.name)), ..Answers::default() }
            }
            (true, None) => {
                let unsynced = if status.synced { "" } else { "; not synced: one may come yet" };
                let why = format!("no route for this host and path{unsynced}");
                Answers { status: Some(status.manners.no_route_status()), why: Some(why), ..Answers::default() }
            }
            (true, Some(_)) => Answers::of(&fates, status),
        };
        let canaries = service.map(|name| canaries(name, status, known)).unwrap_or_default();
        let answer = stood_in(answer, &canaries);
        let near = if service.is_some() { Vec::new() } else { request.near(set) };
        let drift = Routing::of(&status.desired, request, status.manners).won.map(|(_, service)| service);
        Self {
            host: request.host.clone(),
            path: request.path.clone(),
            route: routing.won.map(|(route, service)| Route::new(route, service, status, known.members)),
            beats: routing.beaten.into_iter().map(host).collect(),
            passes: routing.passed.into_iter().map(host).collect(),
            near: near.into_iter().map(HostPattern::to_string).collect(),
            drift: (drift != service).then(|| drift.map_or_else(|| "-".into(), ServiceName::to_string)),
            rules: service.map(|name| rules(status.services.get(name))).unwrap_or_default(),
            canaries,
            pool: fates.iter().map(|fate| ExplainedEndpoint::new(fate, known.wall)).collect(),
            answer: if theirs {
                Answers { why: Some("the routes of this data plane are not ours to make".into()), ..answer }
            } else {
                answer
            },
        }
    }
}

fn rules(policy: &ServicePolicy) -> Vec<String> {
    let networks: Vec<String> = policy.allow.iter().map(ToString::to_string).collect();
    let allow = (!networks.is_empty()).then(|| format!("others than {} are answered 403", networks.join(", ")));
    let https = policy.redirect_https.then(|| "without TLS it is answered 308, to the same over https".to_owned());
    let rate = policy.rate_limit.map(|rate| format!("beyond {rate} of one address it is answered 429"));
    let sticky =
        policy.sticky.as_ref().map(|cookie| format!("who has the cookie {} stays where it was", cookie.as_str()));
    [https, allow, rate, sticky].into_iter().flatten().collect()
}

fn canaries(service: &ServiceName, status: &model::Status, known: Known<'_>) -> Vec<ExplainedCanary> {
    let own = status.services.get(service).canaries.iter();
    let told = own.map(|canary| {
        let fates = fate::of_service(&canary.service, status, known.members, known.now);
        let by = Answers::of(&fates, status).by;
        ExplainedCanary { service: canary.service.to_string(), picks: canary.pick.to_string(), by }
    });
    told.collect()
}

/// Where the service itself has nobody, its first canary that has somebody answers whatever it picks.
fn stood_in(answer: Answers, canaries: &[ExplainedCanary]) -> Answers {
    let instead = canaries.iter().find(|canary| !canary.by.is_empty());
    match (answer.status, instead) {
        (Some(502 | 503), Some(canary)) => {
            let why = Some(format!("of {}, for the service itself has nobody", canary.service));
            Answers { status: None, by: canary.by.clone(), why }
        }
        _ => answer,
    }
}

impl Answers {
    /// By what was read back: those that take requests, in the share of their weights. One that fails the data plane's own
    /// check gets none while there is another.
    fn of(fates: &[fate::Fate], status: &model::Status) -> Self {
        let (plane, nobody) = (&status.plane, Some(status.manners.no_server_status()));
        let open: Vec<_> = fates.iter().filter(|fate| fate.takes_requests()).collect();
        let sound: Vec<_> = open.iter().copied().filter(|fate| !fate.down).collect();
        let share = |fate: &&fate::Fate| {
            let weight = fate.live.as_ref().map_or(0, |e| e.weight.into());
            Share { name: fate.id.endpoint.to_string(), weight }
        };
        let shares = |fates: &[&fate::Fate]| fates.iter().map(share).collect();
        let fail = || Some(format!("all fail {}'s own check", plane.name));
        match (open.is_empty(), sound.is_empty()) {
            (true, _) => Self { status: nobody, by: Vec::new(), why: Some("no endpoint takes requests".into()) },
            (false, false) => Self { status: None, by: shares(&sound), why: None },
            (false, true) if plane.asks_failing => Self { status: None, by: shares(&open), why: fail() },
            (false, true) => Self { status: nobody, by: Vec::new(), why: fail() },
        }
    }
}
