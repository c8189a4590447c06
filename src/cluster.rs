//! The gossip cluster: who is there and what each says of itself.
//!
//! `node` and `records` and `wire` are pure; one task owns them and does the IO. It must not know what a
//! balancer does with the members.

mod cbor;
pub mod exchange;
pub mod identity;
pub mod message;
pub mod node;
pub mod profile;
pub mod records;
