//! What every driver that owns a file shares: render a template, install what it renders, run its
//! checker, watch its process.
//!
//! It knows text, files and processes; no data plane's words, so that each driver brings its own.

mod ask;
mod command;
#[cfg(any(test, feature = "documented"))]
pub mod documented;
mod exit;
pub mod failpoint;
mod follow;
mod install;
mod listeners;
pub mod log;
mod master;
mod memo;
mod own;
mod plain;
mod render;
mod restarts;
mod rollout;
mod seal;
mod set;
mod stopped;

pub use ask::ask;
pub use command::{CommandError, Output, run};
pub use follow::{Templates, read_template};
pub use install::{Installed, LAST_GOOD, Staged, install, last_good, stage, stage_soon};
pub use listeners::taken;
pub use master::MasterProcess;
pub use memo::Memo;
pub use own::{aside, edited, edited_as, keep_edited, keep_edited_as, read, refuse_foreign, unwritten};
pub use plain::{PLAIN, check_run_folder, is_plain};
pub use render::{BLANK_STRUCTURE, Cell, Generation, RenderError, Rows, Template, filled};
pub use restarts::{Restarts, TooSoon};
pub use rollout::{Engine, Placed, Stage, blocking, checked, roll_out};
pub use seal::{Seal, SealOnce, hash, seal, unsealed};
pub use set::{FileSet, PlacedSet, StagedSet};
pub use stopped::is_stopped;
