//! The loop that brings the data plane to the desired set, and what it publishes of itself.

pub mod status;

pub use status::{LastApply, Status};
