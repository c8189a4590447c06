//! What happened, as the admin API tells it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::status::millis;
use crate::model;

/// One thing that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// By this one goes on from here. Higher than that of any event before, those of a daemon before included.
    pub id: u64,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// What.
    #[serde(flatten)]
    pub event: model::Event,
}

impl Event {
    pub(in crate::admin) fn new(id: u64, at: SystemTime, event: model::Event) -> Self {
        Self { id, at: at.duration_since(UNIX_EPOCH).map_or(0, millis), event }
    }
}
