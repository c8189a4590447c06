//! The gossip cluster: who is there and what each says of itself.
//!
//! `node` and `records` and `wire` are pure; one task owns them and does the IO. It must not know what a
//! balancer does with the members.

mod counters;
mod epoch;
mod error;
pub mod exchange;
pub mod identity;
mod join;
pub mod keyring;
mod label;
pub mod message;
pub mod node;
pub mod profile;
pub mod records;
mod sync;
mod transport;
pub mod wire;

pub use error::Error;
pub use join::{DEFAULT_PORT, JoinAddr, JoinAddrError};
pub use keyring::{Fingerprint, Key, Keyring};
pub use label::ClusterLabel;
pub use profile::Profile;
pub use transport::Advertise;
