//! What is known and what should be: plain data and pure functions. Knows no IO, no clock, no async.

pub mod member;
pub mod record;
pub mod status;
pub mod verdicts;

pub use backchat_contract::{
    Desired, Endpoint, EndpointAddr, EndpointId, EndpointName, EndpointState, HostPattern, NameError, NodeName,
    PathPrefix, Protocol, Route, Service, ServiceName, Weight,
};
pub use member::{Liveness, Member, Moment, Snapshot, SourceName, Verdict};
pub use record::{Kind, RawOffer, RawRecord, State};
pub use status::{LastApply, Status};
pub use verdicts::{Held, Rejection};
