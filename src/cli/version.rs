//! `backchat version`.

use super::{Exit, output};

/// Which version this is
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat version")]
pub(super) struct Flags {}

pub(super) fn run(_: &Flags) -> anyhow::Result<Exit> {
    output::print(concat!("backchat ", env!("CARGO_PKG_VERSION"), "\n"))?;
    Ok(Exit::Done)
}
