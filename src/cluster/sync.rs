//! Exchanges over TCP, on the gossip port: everything that does not fit a datagram or needs an answer.
//!
//! A stream carries one question and its answer: [`message`] says what is said, [`session`] seals it.

mod client;
mod message;
mod server;
mod session;

pub(super) use client::{drained, everything, exchange, knock, order};
pub(super) use message::{DrainAsk, Hello, OrderAsk, OrderBody};
pub(super) use server::{Asked, Desk, Server};
#[cfg(test)]
pub(super) use session::answered_and_closed;
pub(super) use session::{Speaker, SyncError};
