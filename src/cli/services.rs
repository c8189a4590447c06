//! `backchat services`: what is served.

use super::{
    Exit,
    connection::{Connection, Show},
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
    let show = flags.show;
    let answer = flags.connection.open()?.get::<Services>("/v1/services").await?;
    let text = |services: &Services| output::services::text(services, show.format, show.no_headers);
    show.table(&answer, text, output::services::totals)?;
    Ok(Exit::Done)
}
