//! `backchat watch`: what happens, as it happens. Appends, never clears; goes on when the daemon is started anew.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    Exit,
    client::{Client, ClientError, Events, Heard},
    connection::{Connection, Show},
    output::{self, watch::Columns},
};

/// Before each try to reach a daemon that has ended: one that ends each answer at once is not asked without a break.
const AGAIN: Duration = Duration::from_millis(500);

/// What happens, as it happens: members, endpoints, applies, trouble; until Ctrl-C
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat watch
  backchat watch -o wide              the date too, and which kind of thing it is
  backchat watch --format json        one object a line
  backchat watch -o json | jq -r 'select(.kind == \"member\" and .to == \"failed\").node'

Times are UTC, as in the log. What happened before is in the daemon's log. Where the daemon is started anew, watch
says so and goes on; where something was missed, it says that too.")]
pub(super) struct Flags {
    #[command(flatten)]
    connection: Connection,

    #[command(flatten)]
    show: Show,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    let client = flags.connection.open()?;
    let mut watch = Watch { client, show: flags.show, columns: Columns::default(), last: None };
    // Cancel-safe: whoever ends it wants nothing more of it.
    tokio::select! {
        ended = watch.follow() => ended.map(|()| Exit::Done),
        pressed = tokio::signal::ctrl_c() => Ok(pressed.map(|()| Exit::Done)?),
    }
}

struct Watch {
    client: Client,
    show: Show,
    columns: Columns,
    /// The event that was shown last: from there it goes on.
    last: Option<u64>,
}

impl Watch {
    /// Shows all that comes, from one life of the daemon to the next.
    async fn follow(&mut self) -> anyhow::Result<()> {
        let mut events = self.client.events(None).await?;
        output::note(&format!("watching {}", self.client.addr()));
        loop {
            while let Some(line) = events.line().await? {
                if let Some(heard) = self.client.heard(&line)? {
                    self.show(&heard)?;
                }
            }
            output::note(&format!("watch: {} does not answer any more; waiting for it", self.client.addr()));
            events = self.back().await?;
            output::note(&format!("watch: {} is back", self.client.addr()));
        }
    }

    /// Tries until somebody answers there. What does not cure itself ends it.
    async fn back(&self) -> Result<Events, ClientError> {
        loop {
            sleep(AGAIN).await;
            match self.client.events(self.last).await {
                Err(
                    ClientError::Nobody { .. }
                    | ClientError::Broken { .. }
                    | ClientError::Refused { status: 503 | 504, .. },
                ) => {}
                tried => return tried,
            }
        }
    }

    fn show(&mut self, heard: &Heard) -> anyhow::Result<()> {
        self.last = Some(heard.value.id);
        let columns = &mut self.columns;
        self.show.print(heard, |event| columns.line(event, self.show.format))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        task::JoinHandle,
        time::Instant,
    };

    use super::*;
    use crate::cli::connection::Format;

    /// A server that answers everybody with this and hangs up.
    async fn against(body: String) -> (Watch, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string().parse().unwrap();
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _asked = stream.read(&mut [0; 4096]).await.unwrap();
                let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}");
                // Whoever has read enough of it hangs up first.
                let _gone = stream.write_all(answer.as_bytes()).await;
            }
        });
        let client = Client::open(Some(addr), Arc::from([])).unwrap();
        let show = Show { format: Format::Json, no_headers: false };
        (Watch { client, show, columns: Columns::default(), last: None }, server)
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_at_once_is_asked_again_after_a_pause() {
        let (watch, server) = against(String::new()).await;
        for _ in 0..2 {
            let began = Instant::now();
            let mut events = watch.back().await.unwrap();
            assert!(began.elapsed() >= AGAIN, "{:?}", began.elapsed());
            assert_eq!(events.line().await.unwrap(), None);
        }
        server.abort();
    }

    #[tokio::test]
    async fn a_line_without_an_end_ends_it() {
        let (mut watch, server) = against(format!("data: {}\n", "x".repeat(2 * 1024 * 1024))).await;
        let followed = tokio::time::timeout(Duration::from_secs(20), watch.follow()).await;
        let error = followed.expect("it ends").unwrap_err().to_string();
        assert!(
            error.ends_with("it sent a line of more than 1048576 bytes, which no event of backchat's is"),
            "{error}"
        );
        server.abort();
    }
}
