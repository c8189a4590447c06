//! `backchat version`.

use super::{Exit, client::Answer, connection::Show};
use crate::admin::answers::{Tagged, Version};

/// Which version this is
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat version
  backchat version --format json | jq -r .version")]
pub(super) struct Flags {
    #[command(flatten)]
    show: Show,
}

pub(super) fn run(flags: &Flags) -> anyhow::Result<Exit> {
    let value = Version { version: env!("CARGO_PKG_VERSION").to_owned() };
    let text = serde_json::to_string(&Tagged::from(value.clone()))? + "\n";
    flags.show.print(&Answer { text, value }, |v| format!("backchat {}\n", v.version))?;
    Ok(Exit::Done)
}
