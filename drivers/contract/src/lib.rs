//! What a backchat driver is: the words it takes, the trait it fills, the plan as people read it.
//!
//! Drivers know this crate alone. It must not know gossip, command lines or any data plane.

mod access;
mod certificate;
mod change;
mod desired;
mod digits;
mod driver;
mod error;
mod listen;
mod magic;
mod manners;
mod names;
#[cfg(feature = "paper")]
pub mod paper;
pub mod policy;
mod view;

pub use access::{AccessLog, LogField, LogFile, LogFormat, LogFormatError, LogPart};
pub use certificate::{Certificate, Fingerprint, KeyForm, LeafPrint, Pem};
pub use change::{Action, Change, ChangeKind, ChangeStatus, Reason, diff, diff_by_way_of, sort, waiting, words};
pub use desired::{Desired, Endpoint, EndpointId, EndpointState, Protocol, Route, Service};
pub use digits::{push_addr, push_number};
pub use driver::{Driver, Idle, Mode, Plane, Report, Step, Structure, Trial};
pub use error::{DriverError, Refusal};
pub use listen::TcpListen;
pub use magic::{MagicDomain, magic};
pub use manners::{HIPACHE_LABELS_MAX, Manners};
pub use names::{
    CertName, EndpointAddr, EndpointName, HostPattern, NameError, NodeName, PathPrefix, ServiceName, Weight,
};
pub use policy::{Policies, ServicePolicy};
pub use view::{FileChange, PlanView, Summary};
