//! The OpenResty driver: endpoints and routes are pushed into Lua at run time, without a reload; the file and the
//! process are nginx's.
//!
//! It knows the contract and nginx; never gossip, never a command line.

pub mod admin;
pub mod config;
mod driver;
mod following;
pub mod observe;
pub mod offline;
#[cfg(any(test, feature = "paper"))]
pub mod paper;
pub mod plan;
pub mod policy;
pub mod program;
pub mod push;
mod settings;
pub mod state;
pub mod table;
mod theirs;

pub use backchat_nginx::{Limits, paths::Paths};
pub use backchat_template::Template;
pub use driver::OpenrestyDriver;
pub use settings::{AttachedSettings, ManagedSettings};
