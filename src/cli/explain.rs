//! `backchat explain`: why something is served or not.

use super::{
    Exit,
    connection::{Connection, Show},
    output,
};
use crate::admin::answers::Explain;

/// Why a node, a service or a URL is served or not, from the member's word to the live server
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat explain http://new.example.com/cart    which route it takes and over what, and who answers
  backchat explain web1                           what it says, and what became of its services
  backchat explain api                            who serves it, who does not and why
  backchat explain service/web1                   the service, where a node has that name too
  backchat explain shop.example.com -o json       a host is a URL, unless a node or a service is called so

An agent knows the members; what a balancer made of them is asked there.")]
pub(super) struct Flags {
    /// What about: a node, a service or a URL; node/NAME and service/NAME are never in doubt
    #[arg(value_name = "NODE|SERVICE|URL")]
    about: String,

    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    show: Show,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    let client = flags.connection.open()?;
    let asked = reqwest::Url::parse_with_params("http://localhost/v1/explain", [("about", &flags.about)])?;
    let path = format!("{}?{}", asked.path(), asked.query().unwrap_or_default());
    let answer = client.get::<Explain>(&path).await?;
    flags.show.print(&answer, output::explain::text)?;
    Ok(Exit::Done)
}
