//! The answers of the admin API: what the server writes and the client reads. Each is an object that
//! names its format.

mod apply;
mod cluster;
mod event;
mod explain;
mod flapping;
mod orders;
mod plan;
mod services;
mod status;

use serde::{Deserialize, Serialize};

pub use apply::{Applied, ApplyRequest, PlanRequest, TemplateText};
pub use cluster::{Member, Members, Offer};
pub use event::Event;
pub use explain::{
    Answers, Explain, ExplainedEndpoint, ExplainedMember, ExplainedOffer, ExplainedPlane, ExplainedRequest,
    ExplainedService, Known, Share, Standing, Unexplained,
};
pub use flapping::Flapping;
pub use orders::{Drain, Missing, OrderRequest, Ordered, Undrain};
pub use plan::{Change, Driver, File, Hold, PLAN_SCHEMA, Plan, Ready, Reason, Summary};
pub use services::{Endpoint, Route, Routes, Service, ServiceState, Services};
pub use status::{Approval, Certificate, Check, LastApply, Refused, Rejection, Source, Status};

/// An answer's format, `backchat.members/1`: a number that grows when a reader would misread.
pub trait Format: Serialize {
    /// What the answer's field `format` says.
    const FORMAT: &'static str;
}

/// An answer with its format in front.
#[derive(Serialize, Deserialize)]
pub struct Tagged<T> {
    /// The format.
    pub format: String,
    /// The answer.
    #[serde(flatten)]
    pub answer: T,
}

impl<T: Format> From<T> for Tagged<T> {
    fn from(answer: T) -> Self {
        Self { format: T::FORMAT.to_owned(), answer }
    }
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// In words, as a fragment.
    pub error: String,
}

/// Whether the daemon lives, or is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether it is.
    pub ok: bool,
    /// Why not.
    pub why: Option<String>,
}

/// Which addresses to join by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The addresses, 1 to 64.
    pub addrs: Vec<String>,
}

/// What came of joining.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The addresses that answered.
    pub joined: Vec<Joined>,
    /// The addresses that did not, and why.
    pub failed: Vec<NotJoined>,
}

/// An address that answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The address.
    pub addr: String,
    /// How many members are known after it.
    pub members: usize,
}

/// An address that did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotJoined {
    /// The address.
    pub addr: String,
    /// Why.
    pub why: String,
}

/// The daemon is about to leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    /// Who leaves.
    pub node: String,
}

/// Which hold to let go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// Its id, `h3c9`.
    pub hold: String,
}

/// A hold was let go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its id.
    pub hold: String,
}

/// Which backchat it is. No daemon answers it: `backchat version` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// `0.1.0`.
    pub version: String,
}

macro_rules! formats {
    ($($answer:ty => $format:literal),+ $(,)?) => {
        $(impl Format for $answer {
            const FORMAT: &'static str = concat!("backchat.", $format);
        })+
    };
}

formats! {
    Status => "status/1",
    Members => "members/1",
    Services => "services/1",
    Routes => "routes/1",
    Plan => "plan/1",
    Explain => "explain/1",
    Event => "event/1",
    Applied => "apply/1",
    Join => "join/1",
    Leave => "leave/1",
    Drain => "drain/1",
    Undrain => "undrain/1",
    Release => "release/1",
    Version => "version/1",
    Health => "health/1",
    Error => "error/1",
}
