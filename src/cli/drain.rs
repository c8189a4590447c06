//! `backchat drain` and `backchat undrain`: takes a node, or one service of it, out by hand, and puts it back.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Exit,
    client::{Answer, Client, ClientError},
    connection::{Connection, Show},
    output,
};
use crate::{
    admin::answers::{self, Format, OrderRequest, Ordered},
    config::Span,
    model::Target,
};

/// How long the daemon waits in one request; between two it is said what is waited for.
const ROUND: Duration = Duration::from_secs(1);

/// Take a node, or one service of it, out by hand: every balancer ends what runs there and sends nothing new
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat drain web1 --wait                    then reboot it
  backchat drain web1/api                       one service; the others serve on
  backchat drain web1 --wait --timeout 10m      for long downloads
  backchat undrain web1                         and back

Any daemon of the cluster takes the order. The node says so of itself from then on, and balancers that join or
restart later keep to it; its agent forgets it when it ends. 'backchat status' lists what is drained by hand.
The last ready endpoint of a service is drained with --force alone, for requests get 503 without it, or 502
by --hipache.
Status 75: not all balancers have let go in time; it drains on.")]
pub(super) struct DrainFlags {
    #[command(flatten)]
    what: What,

    /// Drain the last ready endpoint of a service too
    #[arg(long)]
    force: bool,
}

/// Put back what was drained by hand: a node with all of its services, or one service
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat undrain web1
  backchat undrain web1/api
  backchat undrain web1 --wait                  until every balancer sends requests there again

Status 75: not all balancers send requests there in time.")]
pub(super) struct UndrainFlags {
    #[command(flatten)]
    what: What,
}

#[derive(clap::Args)]
struct What {
    /// Which node, or which service of it
    #[arg(value_name = "NODE[/SERVICE]")]
    target: Target,

    /// Wait until every living balancer has followed
    #[arg(long)]
    wait: bool,

    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "60s", requires = "wait")]
    timeout: Span,

    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    show: Show,
}

/// An answer to one of the two orders, and the words for it.
trait Following: Format + serde::de::DeserializeOwned {
    const PATH: &'static str;
    const COMMAND: &'static str;
    /// `web1 …`, what is so now.
    const IS: &'static str;
    /// `web1 is not …`, `… by proxy`.
    const DONE: &'static str;
    fn followed(&self) -> &Ordered;
}

impl Following for answers::Drain {
    const PATH: &'static str = "/v1/drain";
    const COMMAND: &'static str = "drain";
    const IS: &'static str = "drains";
    const DONE: &'static str = "let go";
    fn followed(&self) -> &Ordered {
        &self.followed
    }
}

impl Following for answers::Undrain {
    const PATH: &'static str = "/v1/undrain";
    const COMMAND: &'static str = "undrain";
    const IS: &'static str = "serves again";
    const DONE: &'static str = "served";
    fn followed(&self) -> &Ordered {
        &self.followed
    }
}

pub(super) async fn drain(flags: DrainFlags) -> anyhow::Result<Exit> {
    let (show, follow) = Follow::begin::<answers::Drain>(flags.what, flags.force).await?;
    let Follow { first, .. } = &follow;
    if !first.value.last.is_empty() {
        output::note(&format!(
            "drain: nobody serves {} now: requests get 503, or 502 by --hipache",
            first.value.last.join(", ")
        ));
    }
    follow.end(&show).await
}

pub(super) async fn undrain(flags: UndrainFlags) -> anyhow::Result<Exit> {
    let (show, follow) = Follow::begin::<answers::Undrain>(flags.what, false).await?;
    follow.end(&show).await
}

/// An order that was given, and how long to follow it.
struct Follow<T> {
    client: Client,
    target: Target,
    limit: Option<Duration>,
    first: Answer<T>,
}

impl Follow<()> {
    /// Gives the order.
    async fn begin<T: Following>(what: What, force: bool) -> Result<(Show, Follow<T>), ClientError> {
        let What { target, wait, timeout: Span(limit), connection, show } = what;
        let client = connection.open()?;
        let request = OrderRequest { target: target.to_string(), force, ..OrderRequest::default() };
        let first = client.post::<T>(T::PATH, &request).await?;
        Ok((show, Follow { client, target, limit: wait.then_some(limit), first }))
    }
}

impl<T: Following> Follow<T> {
    /// Waits where that was wanted, and says what came of it.
    async fn end(self, show: &Show) -> anyhow::Result<Exit> {
        let Self { client, target, limit, first } = self;
        let Some(limit) = limit else {
            show.print(&first, |_| format!("{target} {}\n", T::IS))?;
            return Ok(Exit::Done);
        };
        let last = wait::<T>(&client, &target, limit).await?;
        let missing = waiting_for(last.value.followed());
        if missing.is_empty() {
            show.print(&last, |answer| format!("{target} {}; {}\n", T::IS, by::<T>(answer.followed())))?;
            return Ok(Exit::Done);
        }
        if show.is_json() {
            show.print(&last, |_| String::new())?;
        }
        let within = humantime::format_duration(limit);
        output::complain(&format!("{}: {target} is not {} within {within}: {missing}", T::COMMAND, T::DONE));
        Ok(Exit::Held)
    }
}

/// Asks again and again, for the daemon waits a short while at a time, and says what changes.
async fn wait<T: Following>(client: &Client, target: &Target, limit: Duration) -> Result<Answer<T>, ClientError> {
    let until = Instant::now() + limit;
    let mut said = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // The last one is the longest: in a short one nobody would have the time to say why not.
        let is_last = left < 2 * ROUND;
        let round = if is_last { left } else { ROUND };
        let wait_ms = u64::try_from(round.as_millis()).unwrap_or(1).max(1);
        let request = OrderRequest { target: target.to_string(), only_wait: true, wait_ms, ..OrderRequest::default() };
        let last = match client.post::<T>(T::PATH, &request).await {
            Ok(answer) => answer,
            // Said of what was ordered a moment ago: the node may be busy, and is asked again.
            Err(ClientError::Refused { status: 502, text }) if left > ROUND => {
                output::note(&format!("{}: {text}", T::COMMAND));
                tokio::time::sleep(ROUND).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let missing = waiting_for(last.value.followed());
        if missing.is_empty() || is_last {
            return Ok(last);
        }
        // That it takes a second longer each second is no news.
        let whys =
            last.value.followed().missing.iter().map(|m| (m.balancer.clone(), m.why.replace(char::is_numeric, "")));
        let news: Vec<_> = whys.collect();
        if news != said {
            output::note(&format!("{}: waiting for {missing}", T::COMMAND));
            said = news;
        }
    }
}

/// `proxy (still drains), proxy2 (no answer in time)`.
fn waiting_for(followed: &Ordered) -> String {
    let missing = followed.missing.iter().map(|m| format!("{} ({})", m.balancer, m.why));
    missing.collect::<Vec<_>>().join(", ")
}

fn by<T: Following>(followed: &Ordered) -> String {
    if followed.confirmed.is_empty() {
        return "no balancer is there".to_owned();
    }
    format!("{} by {}", T::DONE, output::safe(&followed.confirmed.join(", ")))
}
