//! Nodes of the real cluster on loopback sockets: sockets, keys, names, lives. No data plane.

mod drains;
mod golden;
pub(crate) mod hostile;
mod joins;
mod lives;
mod names;
mod observer;
mod orders;
mod peer;
mod strangers;
