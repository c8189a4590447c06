//! The gossip cluster: who is there and what each says of itself.
//!
//! `node` and `records` and `wire` are pure; one task owns them and does the IO. It must not know what a
//! balancer does with the members.

mod alone;
mod cbor;
mod counters;
mod drained;
mod epoch;
mod error;
pub mod exchange;
mod handle;
pub mod identity;
mod join;
pub mod keyring;
mod label;
mod mailbox;
pub mod message;
pub mod node;
mod observer;
mod orders;
mod place;
pub mod profile;
pub mod records;
mod settings;
mod start;
mod sync;
mod task;
mod transport;
mod view;
pub mod wire;

pub use counters::Counts;
pub use drained::Drained;
pub use error::Error;
pub use handle::{Announcement, DrainQuestion, Handle};
pub use join::{DEFAULT_PORT, JoinAddr, JoinAddrError};
pub use keyring::{Fingerprint, Key, Keyring};
pub use label::ClusterLabel;
pub use observer::{Observer, Unheard};
pub use orders::{DrainOrder, OrderError, Ordered, Wanted};
pub use profile::Profile;
pub use settings::Settings;
pub use start::Cluster;
pub use transport::Advertise;
pub use view::View;
