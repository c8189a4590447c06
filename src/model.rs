//! What is known and what should be: plain data and pure functions. Knows no IO, no clock, no async.

pub mod desired;
pub mod drains;
pub mod evidence;
pub mod flaps;
pub mod guard;
mod health;
mod ids;
pub mod ledger;
pub mod member;
pub mod offers;
pub mod owner;
pub mod proposal;
pub mod reasons;
pub mod record;
mod routes;
pub mod since;
pub mod status;
pub mod verdicts;
pub mod words;

pub use backchat_contract::{
    Desired, Endpoint, EndpointAddr, EndpointId, EndpointName, EndpointState, HostPattern, NameError, NodeName,
    PathPrefix, Protocol, Route, Service, ServiceName, Weight,
};
pub use desired::{Policy, desired};
pub use drains::{Drains, Obstacle, Order, Target};
pub use evidence::{Cut, Evidence, Windows};
pub use flaps::Flapping;
pub use guard::guard;
pub use health::Health;
use ids::short_id;
pub use ledger::Ledger;
pub use member::{Liveness, Member, Moment, Snapshot, SourceName, Verdict};
pub use proposal::{Assumption, Proposal, Ready};
pub use record::{Kind, RawOffer, RawRecord, State};
pub use since::Since;
pub use status::{LastApply, Status};
pub use verdicts::{Held, Rejection};
