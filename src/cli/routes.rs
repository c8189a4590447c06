//! `backchat routes`: where requests go.

use super::{
    Exit,
    connection::{Connection, Show},
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
    let show = flags.show;
    let answer = flags.connection.open()?.get::<Routes>("/v1/routes").await?;
    show.table(&answer, |routes| output::services::routes(routes, show.no_headers), output::services::route_totals)?;
    Ok(Exit::Done)
}
