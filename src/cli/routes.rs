//! `backchat routes`: where requests go.

use super::{
    Exit,
    connection::{Connection, Format, Show},
    output,
};
use crate::admin::answers::Routes;

/// Where requests go: host and path to service, and who said so
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat routes
  backchat routes --format json | jq '.routes[] | select(.ready == 0)'")]
pub(super) struct Flags {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    show: Show,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    let answer = flags.connection.open()?.get::<Routes>("/v1/routes").await?;
    if flags.show.format == Format::Json {
        output::print(&answer.text)?;
        return Ok(Exit::Done);
    }
    output::print(&output::services::routes(&answer.value, flags.show.no_headers))?;
    output::note(&output::services::route_totals(&answer.value));
    Ok(Exit::Done)
}
