//! `backchat config`: looks a configuration file through without starting anything by it.

mod check;

use super::{Exit, output};

/// Look a configuration file through, without starting anything by it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat config check /etc/backchat/lb.toml
  backchat config check b.toml --as agent                    where no key tells whose it is
  backchat config check lb.toml --no-engine                  without asking haproxy or nginx
  backchat config check lb.toml -- --key-file key            with flags that the daemon is given beside it

Looked at: keys and values; what does not go together; the files of key and token; those of its sources; its
template, on what those list and on an example that has a bit of everything; and what it renders, by the
engine's own check in a folder of its own: no port is bound, and the run folder is left alone.

Status 78: a mistake, with file, line and reason. An engine that is not installed is none of the file's:
it is said on standard error.")]
pub(super) struct Flags {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    Check(check::Flags),
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    let Action::Check(flags) = flags.action;
    output::print(&check::run(flags).await?)?;
    Ok(Exit::Done)
}
