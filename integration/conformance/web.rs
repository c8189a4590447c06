//! Web servers to put behind a data plane, and requests to send at it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

/// What anything here may take, on a machine that others use too.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A web server: answers every request with its name, a request for `/hold` only when it is released, one for `/proto`
/// with what it was told of how it was asked.
pub(crate) struct Web {
    pub(crate) addr: SocketAddr,
    counts: Arc<watch::Sender<Counts>>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    begun: usize,
    held: usize,
    released: bool,
}

impl Web {
    pub(crate) async fn start(name: &str) -> Self {
        Self::on(name, "127.0.0.1:0").await
    }

    /// On this address.
    pub(crate) async fn on(name: &str, addr: &str) -> Self {
        Self::listen(name, TcpListener::bind(addr).await.unwrap())
    }

    pub(crate) fn listen(name: &str, listener: TcpListener) -> Self {
        let addr = listener.local_addr().unwrap();
        let counts = Arc::new(watch::Sender::new(Counts::default()));
        let (name, shared): (Arc<str>, _) = (name.into(), Arc::clone(&counts));
        let task = tokio::spawn(async move {
            // Its connections end with it, as a killed process's do.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&name), Arc::clone(&shared)));
            }
        });
        Self { addr, counts, task }
    }

    /// Requests that came in so far.
    pub(crate) fn begun(&self) -> usize {
        self.counts.borrow().begun
    }

    /// Waits until so many requests are held.
    pub(crate) async fn holds(&self, held: usize) {
        let mut counts = self.counts.subscribe();
        timeout(LONG, counts.wait_for(|c| c.held == held)).await.expect("held in time").unwrap();
    }

    /// Lets what is held go on.
    pub(crate) fn release(&self) {
        self.counts.send_modify(|c| c.released = true);
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address where nobody listens yet, kept for whoever listens there later.
pub(crate) struct Reserved(TcpSocket);

impl Reserved {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn listen(self, name: &str) -> Web {
        Web::listen(name, self.0.listen(64).unwrap())
    }
}

async fn serve(stream: TcpStream, name: Arc<str>, counts: Arc<watch::Sender<Counts>>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let mut hold = false;
    let (mut asks_proto, mut proto) = (false, String::new());
    while stream.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
        hold |= line.starts_with(b"GET /hold");
        asks_proto |= line.starts_with(b"GET /proto");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix(b"x-forwarded-proto:") {
            proto += String::from_utf8_lossy(value).trim();
        }
        if line == b"\r\n" {
            counts.send_modify(|c| c.begun += 1);
            if std::mem::take(&mut hold) {
                counts.send_modify(|c| c.held += 1);
                let released = counts.subscribe().wait_for(|c| c.released).await.is_ok();
                assert!(released, "the sender lives as long as its server");
            }
            let body = if std::mem::take(&mut asks_proto) { std::mem::take(&mut proto) } else { name.to_string() };
            proto.clear();
            let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(reply.as_bytes()).await.is_err() {
                return;
            }
        }
        line.clear();
    }
}

/// Sends bytes on a connection of its own; status and body of the answer, status 0 where there is none.
pub(crate) async fn send(to: SocketAddr, request: &str) -> (u16, String) {
    send_bytes(to, request.as_bytes()).await
}

/// The same of bytes that are no text.
pub(crate) async fn send_bytes(to: SocketAddr, request: &[u8]) -> (u16, String) {
    let exchange = async {
        let mut stream = TcpStream::connect(to).await?;
        stream.write_all(request).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(LONG, exchange).await.expect("an answer in time").unwrap_or_default();
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
}

/// A plain request.
pub(crate) async fn get(to: SocketAddr, host: &str, path: &str) -> (u16, String) {
    send(to, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
}
