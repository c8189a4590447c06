//! The nginx driver: one file, checked, reloaded and confirmed, and the process beside it.
//!
//! It knows the contract and nginx; never gossip, never a command line. What an engine that *is* nginx needs too (its
//! process, its reload, its check, what its workers say of themselves) is public.

pub mod access;
pub mod ages;
pub mod certificates;
mod changeover;
pub mod check;
pub mod config;
pub mod control;
mod driver;
mod following;
mod includes;
pub mod keys;
pub mod layout;
pub mod lines;
pub mod log;
pub mod names;
pub mod observe;
pub mod offline;
#[cfg(any(test, feature = "paper"))]
pub mod paper;
pub mod paths;
pub mod plan;
pub mod policy;
pub mod process;
pub mod reload;
pub mod routes;
pub mod runner;
mod settings;
mod sight;
pub mod stream;
pub mod titles;
pub mod user;
pub mod version;

pub use backchat_template::Template;
pub use driver::NginxDriver;
pub use settings::{AttachedSettings, Limits, ManagedSettings};
