//! `backchat completions`: what a shell needs to complete command lines.

use clap_complete::Shell;

use super::{Exit, output};

/// Print completions for a shell
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat completions bash > /etc/bash_completion.d/backchat
  backchat completions fish > ~/.config/fish/completions/backchat.fish")]
pub(super) struct Flags {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(flags: &Flags) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut super::command(), "backchat", &mut script);
    output::print(&String::from_utf8(script)?)?;
    Ok(Exit::Done)
}
