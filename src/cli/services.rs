//! `backchat services`: what is served.

use super::{
    Exit,
    connection::{Connection, Format, Show},
    output,
};
use crate::admin::answers::Services;

/// What is served, as this host's balancer read it back
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat services
  backchat services -o wide           with every endpoint
  backchat services --format json | jq '.services[] | select(.state != \"ok\")'")]
pub(super) struct Flags {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    show: Show,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    let answer = flags.connection.open()?.get::<Services>("/v1/services").await?;
    if flags.show.format == Format::Json {
        output::print(&answer.text)?;
        return Ok(Exit::Done);
    }
    output::print(&output::services::text(&answer.value, flags.show.format, flags.show.no_headers))?;
    output::note(&output::services::totals(&answer.value));
    Ok(Exit::Done)
}
