//! `backchat join`: the running daemon tries addresses once, now.

use super::{
    Exit,
    connection::{Connection, Show},
    output,
};
use crate::{
    admin::answers::{Join, JoinRequest, Joined},
    cluster::JoinAddr,
};

/// Let this host's daemon join by these addresses, once and now
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat join 10.0.0.2
  backchat join seed.example.com:7946 [2001:db8::2]:7946

Status 1 where none of them answered. What --join gave at the start is tried for ever anyway.")]
pub(super) struct Flags {
    /// Members to join by
    #[arg(required = true, value_name = "ADDR[:PORT]")]
    addrs: Vec<JoinAddr>,

    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    show: Show,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    let request = JoinRequest { addrs: flags.addrs.iter().map(ToString::to_string).collect() };
    let answer = flags.connection.open()?.post::<Join>("/v1/join", &request).await?;
    flags.show.print(&answer, |join| join.joined.iter().map(line).collect())?;
    for failed in &answer.value.failed {
        // What the cluster says names the address and what it resolved to.
        let known = failed.why.starts_with(&failed.addr);
        let about = if known { String::new() } else { format!("{}: ", failed.addr) };
        output::complain(&format!("join: {about}{}", failed.why));
    }
    Ok(if answer.value.joined.is_empty() { Exit::Failed } else { Exit::Done })
}

fn line(joined: &Joined) -> String {
    format!("joined by {}; {} known\n", output::safe(&joined.addr), output::count(joined.members, "member"))
}
