//! What both daemons are told, layer upon layer: flags and environment over the file that `--config` names.

use std::path::PathBuf;

use crate::config::{self, FileError, Layer};

/// A daemon's flags and the file below them.
#[derive(clap::Args)]
pub(super) struct Layers<L: Layer> {
    #[command(flatten)]
    upper: L,

    /// Read flags from a TOML file
    #[arg(long, env = "BACKCHAT_CONFIG", value_name = "FILE", help_heading = "Daemon")]
    config: Option<PathBuf>,
}

impl<L: Layer> Layers<L> {
    /// All layers as one.
    pub(super) fn read(self) -> Result<L, FileError> {
        match self.config {
            Some(path) => Ok(self.upper.over(config::read(&path)?)),
            None => Ok(self.upper),
        }
    }
}
