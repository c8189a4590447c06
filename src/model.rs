//! What is known and what should be: plain data and pure functions. Knows no IO, no clock, no async.

pub mod checks;
pub mod desired;
pub mod drains;
pub mod events;
pub mod evidence;
pub mod fate;
pub mod fingerprint;
pub mod flaps;
pub mod guard;
pub mod handlers;
mod health;
mod histogram;
mod ids;
pub mod ledger;
mod listed;
pub mod member;
pub mod offers;
pub mod owner;
pub mod proposal;
pub mod reasons;
pub mod record;
mod routes;
pub mod routing;
mod shelf;
pub mod since;
pub mod status;
pub mod tally;
pub mod user_event;
pub mod verdicts;
pub mod words;

pub use backchat_contract::{
    CertName, Certificate, Desired, Endpoint, EndpointAddr, EndpointId, EndpointName, EndpointState, HostPattern,
    LogFormat, MagicDomain, NameError, NodeName, PathPrefix, Plane, Protocol, Route, Service, ServiceName, Weight,
};
pub use checks::Checks;
pub use desired::{Policy, desired};
pub use drains::{Drains, Obstacle, Order, Target};
pub use events::{Event, What};
pub use evidence::{Cut, Evidence, Windows};
pub use fingerprint::Fingerprint;
pub use flaps::Flapping;
pub use guard::guard;
pub use health::Health;
pub use histogram::Histogram;
use ids::short_id;
pub use ledger::Ledger;
pub use listed::{FRONTEND, Listed, ListedEndpoint, Place};
pub use member::{Liveness, Member, Moment, Snapshot, SourceName, Verdict};
pub use proposal::{Applied, Assumption, NoProposal, Proposal, Ready, Unapplied};
pub use record::{Kind, RawOffer, RawRecord, State};
pub use routing::{Request, Routing};
pub use shelf::{SOON, Shelf, days_left};
pub use since::Since;
pub use status::{Approval, LastApply, SourceState, Status};
pub use tally::Tally;
pub use user_event::{BadEvent, EventName, Payload, UserEvent};
pub use verdicts::{Held, Rejection};
