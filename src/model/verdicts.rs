//! What the model refuses and what the guard holds back, each with its why: seen in status, plan, explain.

use serde::Serialize;

use super::{EndpointId, Moment, ServiceName};

/// Something a member said that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Rejection {
    /// Who said it.
    pub node: String,
    /// What was refused: `host shop.example.com`, `service we;b`, `record`.
    pub subject: String,
    /// The service that it was said of, where that has a name.
    pub service: Option<ServiceName>,
    /// Why, as a fragment for people.
    pub why: String,
    /// A short code for metrics: `name`, `host`, `path`, `weight`, `port`, `address`, `protocol`, `conflict`, `duplicate`, `bounds`,
    /// `record`.
    pub code: &'static str,
}

/// Removals of one service that the guard holds back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Short and stable while the hold lasts: `h3c9`.
    pub id: String,
    /// Why: `2 of 3 members failed within 10 s and do not answer us; limit half`.
    pub why: String,
    /// What is kept that would go.
    pub endpoints: Vec<EndpointId>,
    /// Since when.
    #[serde(skip)]
    pub since: Moment,
}
