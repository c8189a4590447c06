//! The composition root: builds the parts of a daemon, joins them by channels, spawns every task, and ends them.
//!
//! What crosses from one part to another is translated here; the parts do not know one another.

mod agent;
mod bridge;
mod certificates;
mod lb;
pub mod offline;
mod orders;
mod rehearsal;

use std::{io, net::SocketAddr, time::Duration};

use backchat_contract::DriverError;
use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use agent::agent;
pub use lb::lb;
pub use rehearsal::dry_run;

use crate::{
    admin::{self, BindError, Server, Token, TokenError},
    cluster::{self, Cluster, Handle, Keyring, keyring::KeyFileError},
    lifecycle::signals::Stop,
    model::Kind,
    settings::{Common, KeySource},
    source::Unread,
};

/// How long tasks may take to end once they were told to.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a daemon did not start, or ended on its own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster: a socket that cannot be bound, a name that is taken.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// The key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The admin socket.
    #[error(transparent)]
    Admin(#[from] BindError),
    /// No member could be asked who is there, for a dry run.
    #[error(transparent)]
    Unheard(#[from] cluster::Unheard),
    /// The admin API's token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A file that lists services, or a store.
    #[error(transparent)]
    Source(#[from] Unread),
    /// The data plane.
    #[error("failed to {0}")]
    Driver(#[from] DriverError),
    /// Somebody else listens where the data plane is to.
    #[error("cannot bind tcp {0}: address in use; choose another --listen")]
    Listen(SocketAddr),
    /// No certificate to listen with.
    #[error("{0}")]
    Certificate(String),
    /// The run folder.
    #[error("run folder {path}: {source}")]
    RunDir {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Signals cannot be taken over.
    #[error("cannot take signals: {0}")]
    Signals(io::Error),
    /// The keeper of the service, which is this program, does not start.
    #[error("cannot start the service's keeper: {0}")]
    Service(io::Error),
    /// A task ended that must not.
    #[error("{0} ended unexpectedly")]
    Task(&'static str),
    /// `--once`, and what kept the desired set from being reached.
    #[error("{why}")]
    NotReached {
        /// What failed.
        why: String,
        /// Whether it is the template, or what it renders.
        config: bool,
    },
    /// `--once`, and what the guard keeps.
    #[error("{0}")]
    Held(String),
}

/// What both daemons have: a place in the cluster, an admin server, and the means to end.
struct Daemon {
    handle: Handle,
    /// Whether it takes part in the cluster.
    gossips: bool,
    cluster: JoinHandle<Result<(), cluster::Error>>,
    tasks: TaskTracker,
    /// Cancelled when the end begins: no longer ready.
    stopping: CancellationToken,
    /// Cancelled when the tasks are to end.
    stop: CancellationToken,
}

impl Daemon {
    /// Makes the run folder, binds the gossip sockets and the admin socket, and sets the cluster going.
    async fn start(common: &Common, kind: Kind, first: cluster::Announcement) -> Result<(Self, Server), Error> {
        let token = common.admin_token_file.as_deref().map(Token::load).transpose()?;
        run_dir(common).await?;
        let server = Server::bind(&common.admin).await?.asking_for(token);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let settings = cluster_settings(common, kind)?;
        let (handle, cluster) = if common.gossip {
            let (cluster, handle) = Cluster::bind(settings).await?;
            (handle, tasks.spawn(cluster.run(first, stop.clone())))
        } else {
            (Handle::alone(&settings), tasks.spawn(stop.clone().cancelled_owned().map(Ok)))
        };
        let gossips = common.gossip;
        let daemon = Self { handle, gossips, cluster, tasks, stopping: CancellationToken::new(), stop };
        Ok((daemon, server))
    }

    /// Serves the admin API until the end.
    fn serve(&self, server: Server, sources: admin::Sources) {
        self.tasks.spawn(server.serve(sources, self.stop.clone()));
    }

    /// Sees to what somebody asked for, until it is answered: the end does not wait for that.
    fn answer(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(Box::pin(work)).await });
    }

    /// A token that the next signal cancels: the graceful end is to be cut short.
    fn hurry(&self, signals: Stop) -> CancellationToken {
        let hurry = CancellationToken::new();
        let (token, stop) = (hurry.clone(), self.stop.clone());
        self.tasks.spawn(async move { stop.run_until_cancelled(signals.hurry(token)).await });
        hurry
    }

    /// Tells the cluster goodbye, unless that takes longer than `limit`.
    async fn leave(&self, limit: Duration) {
        if !self.gossips {
            return;
        }
        match tokio::time::timeout(limit, self.handle.leave()).await {
            Ok(Ok(())) => tracing::info!("left the cluster"),
            Ok(Err(error)) => tracing::warn!("failed to leave the cluster: {error}"),
            Err(_) => tracing::warn!(?limit, "the goodbye took too long: the others will take this node as failed"),
        }
    }

    /// Ends every task.
    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(LAST_WORDS, self.tasks.wait()).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
    }
}

/// What the cluster's task came to, where it ended although nobody asked.
async fn ended(cluster: &mut JoinHandle<Result<(), cluster::Error>>) -> Error {
    match cluster.await {
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) | Err(_) => Error::Task("the cluster's task"),
    }
}

async fn run_dir(common: &Common) -> Result<(), Error> {
    let mut builder = tokio::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(&common.run_dir).await;
    made.map_err(|source| Error::RunDir { path: common.run_dir.display().to_string(), source })
}

fn cluster_settings(common: &Common, kind: Kind) -> Result<cluster::Settings, Error> {
    let keyring = match &common.key {
        KeySource::File(path) => Some(Keyring::load(path)?),
        KeySource::Clear => None,
    };
    Ok(cluster::Settings {
        node: common.node.clone(),
        kind,
        bind: common.bind,
        advertise: common.advertise,
        join: common.joins.clone(),
        join_timeout: common.join_timeout,
        label: common.cluster.clone(),
        keyring,
        profile: common.profile,
        data_dir: common.data_dir.clone(),
    })
}
