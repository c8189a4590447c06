//! Listening and accepting: bounded in connections, sizes and time.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{Router, extract::Request, middleware};
use hyper::{body::Incoming as Body, service::Service as _};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    Addr, Sources, Token,
    events::{self, Feed},
    guard,
    line::Line,
    routes,
};

/// Connections at a time, at each listener: strangers who fill one keep nobody from the others. Further ones wait in the
/// kernel's queue.
const CONNECTIONS: usize = 64;
/// How long a request's headers may take, and how long a connection may idle.
const HEADERS: Duration = Duration::from_secs(10);
/// How long a connection may live, unless its answer has no end.
const LIFE: Duration = Duration::from_secs(300);
/// How long open requests may take once the daemon ends.
const GOODBYE: Duration = Duration::from_secs(1);
/// The kernel's queue of connections not yet taken.
const BACKLOG: i32 = 64;

/// Why an address cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another daemon serves there.
    #[error("admin {0}: another daemon answers there; choose another --run-dir or --admin")]
    Taken(Addr),
    /// The system refused.
    #[error("admin {addr}: cannot {action}: {source}")]
    Io {
        /// Where.
        addr: Addr,
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// The admin server, bound and not yet serving.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    token: Option<Token>,
}

#[derive(Debug)]
enum Listener {
    Unix(UnixListener, SocketFile),
    Tcp(TcpListener),
}

/// A socket's file, removed when its server goes.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Gone already, or not ours to remove any more: there is nobody left to tell.
        let _gone = fs::remove_file(&self.0);
    }
}

impl Server {
    /// Binds all addresses, or none. A unix socket has mode 0600, a folder made for it 0700; a socket that a killed
    /// daemon left is replaced.
    ///
    /// # Errors
    /// Where another daemon answers at an address, or the system refuses.
    pub async fn bind(addrs: &[Addr]) -> Result<Self, BindError> {
        let mut listeners = Vec::with_capacity(addrs.len());
        for addr in addrs {
            listeners.push(match addr {
                Addr::Unix(path) => unix(path, addr).await?,
                Addr::Tcp(tcp) => Listener::Tcp(TcpListener::bind(tcp).await.map_err(failed(addr, "bind"))?),
            });
        }
        Ok(Self { listeners, token: None })
    }

    /// Answers over TCP only who has this token, where there is one.
    #[must_use]
    pub fn asking_for(self, token: Option<Token>) -> Self {
        Self { token, ..self }
    }

    /// The TCP addresses bound, with the ports that the system chose.
    pub fn tcp_addrs(&self) -> Vec<SocketAddr> {
        let tcp = |l: &Listener| match l {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(..) => None,
        };
        self.listeners.iter().filter_map(tcp).collect()
    }

    /// Serves until the token is cancelled; then ends open requests and removes the sockets.
    pub async fn serve(self, sources: Sources, stop: CancellationToken) {
        let feed = Arc::new(Feed::new(SystemTime::now()));
        let told = events::follow(&feed, &sources, stop.clone());
        let router = routes::router(sources.clone(), feed.clone()).layer(middleware::from_fn(guard::no_browser));
        let token = self.token.as_ref();
        let loops = self.listeners.into_iter().map(|l| l.serve(router.clone(), token, stop.clone()));
        tokio::join!(futures_util::future::join_all(loops), told);
    }
}

fn failed(addr: &Addr, action: &'static str) -> impl FnOnce(io::Error) -> BindError {
    let addr = addr.clone();
    move |source| BindError::Io { addr, action, source }
}

async fn unix(path: &Path, addr: &Addr) -> Result<Listener, BindError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(failed(addr, "make its folder"))?;
    }
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket()) {
        if UnixStream::connect(path).await.is_ok() {
            return Err(BindError::Taken(addr.clone()));
        }
        fs::remove_file(path).map_err(failed(addr, "remove a dead socket"))?;
    }
    private(path).map(|listener| Listener::Unix(listener, SocketFile(path.to_owned()))).map_err(failed(addr, "bind"))
}

/// The mode is set before anybody can connect: between bind and listen.
fn private(path: &Path) -> io::Result<UnixListener> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(std::os::fd::OwnedFd::from(socket).into())
}

impl Listener {
    /// The file of a unix socket lets in who may; over TCP a token does, or that it is asked from this very host.
    async fn serve(self, router: Router, token: Option<&Token>, stop: CancellationToken) {
        match (self, token) {
            (Self::Unix(listener, _file), _) => accept(&listener, router, stop).await,
            (Self::Tcp(listener), Some(token)) => {
                let router = router.layer(middleware::from_fn_with_state(token.clone(), guard::token));
                accept(&listener, router, stop).await;
            }
            (Self::Tcp(listener), None) => {
                let router = router.layer(middleware::from_fn(guard::loopback_host));
                accept(&listener, router, stop).await;
            }
        }
    }
}

/// Where connections come from.
trait Incoming {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection. Cancel-safe.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Incoming for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Incoming for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// Takes connections, one slot each, until the token is cancelled; then waits for those that are open.
async fn accept(listener: &impl Incoming, router: Router, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        // Cancel-safe: a permit not used goes back, and accepting has no state between polls.
        let taken = tokio::select! {
            () = stop.cancelled() => break,
            Some(_ended) = open.join_next() => continue,
            taken = async { (slots.clone().acquire_owned().await, listener.next().await) } => taken,
        };
        match taken {
            (Ok(slot), Ok(stream)) => {
                let connection = connection(stream, router.clone(), stop.clone());
                open.spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "admin: cannot accept");
                // Out of file descriptors, for one: at once it would be the same again.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            // The semaphore is never closed.
            (Err(_), Ok(_)) => break,
        }
    }
    // Whoever has not ended by now is cut off when the set is dropped.
    let _late = timeout(GOODBYE, open.join_all()).await;
}

async fn connection<S>(stream: S, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_headers(32);
    let (line, answers) = (Line::default(), TowerToHyperService::new(router));
    let of_line = line.clone();
    let service = hyper::service::service_fn(move |mut request: Request<Body>| {
        request.extensions_mut().insert(of_line.clone());
        answers.call(request)
    });
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // Cancel-safe, all: what is cut off is not gone on with.
    let served = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
        () = over(&line) => return,
    };
    if let Err(error) = served {
        tracing::debug!(%error, "admin: a connection broke");
    }
}

/// Ends when the connection has lived long enough.
async fn over(line: &Line) {
    let lived = async {
        tokio::time::sleep(LIFE).await;
        if line.is_streaming() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = line.is_cut() => {}
        () = lived => {}
    }
}
