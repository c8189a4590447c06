//! `backchat keygen`: a fresh key for the cluster.

use std::path::PathBuf;

use super::{Exit, output};
use crate::cluster::Key;

/// Make a fresh key for the cluster
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat keygen --out key           a file only you can read; copy it to every node
  backchat keygen | ssh web1 'umask 077; cat > key'")]
pub(super) struct Flags {
    /// Write it there, with mode 0600; a file that is there stays as it is
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(flags: &Flags) -> anyhow::Result<Exit> {
    let key = Key::generate();
    match &flags.out {
        None => output::print(&(key.to_line() + "\n"))?,
        Some(path) => {
            key.write_new(path)?;
            output::note(&format!("wrote {}, fingerprint {}", path.display(), key.fingerprint()));
        }
    }
    Ok(Exit::Done)
}
