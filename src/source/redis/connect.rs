//! Connections to a Redis: where, as whom, and over TLS or not.

use std::{fs, path::Path, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, TlsCertificates,
    aio::{MultiplexedConnection, PubSub},
};

use crate::source::store::{Server, Store};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an answer may take: one to a pipeline of some hundred commands, too.
const ANSWER: Duration = Duration::from_secs(10);

/// What is said of one that says nothing.
pub(super) const SILENT: &str = "it does not answer";

/// Connects to one server, anew each time.
#[derive(Clone)]
pub(super) struct Connector {
    store: Store,
    server: Server,
}

impl Connector {
    /// To where it is read.
    pub(super) fn reader(store: Store) -> Self {
        let server = store.server.clone();
        Self { store, server }
    }

    /// To where it is written.
    pub(super) fn writer(store: Store) -> Self {
        let server = store.primary.as_ref().unwrap_or(&store.server).clone();
        Self { store, server }
    }

    /// A connection for commands.
    pub(super) async fn connection(&self) -> Result<MultiplexedConnection, String> {
        let settings =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(ANSWER));
        let client = self.client()?;
        client.get_multiplexed_async_connection_with_config(&settings).await.map_err(|e| said(&e))
    }

    /// A connection on which it is told; nothing else limits how long that takes.
    pub(super) async fn told(&self) -> Result<PubSub, String> {
        self.client()?.get_async_pubsub().await.map_err(|e| said(&e))
    }

    /// Where that is.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    fn client(&self) -> Result<Client, String> {
        let store = &self.store;
        let (host, port) = (self.server.host.clone(), self.server.port);
        let addr = if store.tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let mut who = RedisConnectionInfo::default().set_db(store.database.into());
        if let Some(user) = &store.user {
            who = who.set_username(user);
        }
        if let Some(password) = store.password()? {
            who = who.set_password(password);
        }
        let refused = |e: RedisError| said(&e);
        let info = addr.into_connection_info().map_err(refused)?.set_redis_settings(who);
        if store.tls { Client::build_with_tls(info, certificates(store)?) } else { Client::open(info) }.map_err(refused)
    }
}

fn certificates(store: &Store) -> Result<TlsCertificates, String> {
    let read = |path: &Path| fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
    let client_tls = match &store.cert {
        Some((cert, key)) => Some(ClientTlsConfig { client_cert: read(cert)?, client_key: read(key)? }),
        None => None,
    };
    Ok(TlsCertificates { client_tls, root_cert: store.ca.as_deref().map(read).transpose()? })
}

/// The server's own words, where it said some.
pub(super) fn said(error: &RedisError) -> String {
    if error.is_timeout() {
        return SILENT.into();
    }
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (None, Some(detail)) => detail.to_owned(),
        _ => error.to_string(),
    }
}
