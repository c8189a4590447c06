//! Members that come and go, as the admin API shows them.

use serde::{Deserialize, Serialize};

use super::status::millis;
use crate::model;

/// A member that is held down for it comes and goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flapping {
    /// By this `release` lets it in: `f3c9a`.
    pub id: String,
    /// Who.
    pub node: String,
    /// Which of its services comes and goes, where the member itself stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// How often it came back.
    pub times: u32,
    /// Within how long, in milliseconds.
    pub within_ms: u64,
    /// The same in words: `4 times in 2 min`.
    pub why: String,
    /// For how much longer it is held down, in milliseconds.
    pub left_ms: u64,
    /// What is kept out: `web/web3`; empty while it is away, and where too few others are ready.
    pub endpoints: Vec<String>,
    /// Whether it was let in all the same, as too few others are ready.
    #[serde(default)]
    pub let_in: bool,
}

impl From<&model::Flapping> for Flapping {
    fn from(f: &model::Flapping) -> Self {
        Self {
            id: f.id.clone(),
            node: f.node.to_string(),
            service: f.service.as_ref().map(ToString::to_string),
            times: f.times,
            within_ms: millis(f.within),
            why: f.how_often(),
            left_ms: millis(f.left),
            endpoints: f.endpoints.iter().map(ToString::to_string).collect(),
            let_in: f.let_in,
        }
    }
}
