//! What every driver that owns a file shares: render a template, install what it renders, run its checker.
//!
//! It knows text, files and processes; no data plane's words, so that each driver brings its own.

mod command;
pub mod failpoint;
mod install;
mod render;
mod set;

pub use command::{CommandError, Output, run};
pub use install::{Installed, LAST_GOOD, Staged, install, last_good, stage};
pub use render::{RenderError, Template};
pub use set::{FileSet, PlacedSet, StagedSet};
