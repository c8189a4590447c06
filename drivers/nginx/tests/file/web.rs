//! A web server to put behind nginx, and requests to send at it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

/// What anything here may take, on a machine that others use too.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A web server: answers every request with its name, a request for `/hold` only when it is released, one for `/cut` by
/// closing the connection, one for `/accel` by sending nginx on to another service.
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let counts = Arc::new(watch::Sender::new(Counts::default()));
        let (name, shared): (Arc<str>, _) = (name.into(), Arc::clone(&counts));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&name), Arc::clone(&shared)));
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

async fn serve(stream: TcpStream, name: Arc<str>, counts: Arc<watch::Sender<Counts>>) {
    let mut stream = BufReader::new(stream);
    let (mut line, mut path) = (String::new(), String::new());
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        if path.is_empty() {
            path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        }
        if line == "\r\n" {
            counts.send_modify(|c| c.begun += 1);
            if path == "/cut" {
                return;
            }
            if path == "/hold" {
                counts.send_modify(|c| c.held += 1);
                let released = counts.subscribe().wait_for(|c| c.released).await.is_ok();
                assert!(released, "the sender lives as long as its server");
            }
            let on = if path == "/accel" { "X-Accel-Redirect: /bc/other\r\n" } else { "" };
            let reply = format!("HTTP/1.1 200 OK\r\n{on}Content-Length: {}\r\n\r\n{name}", name.len());
            if stream.write_all(reply.as_bytes()).await.is_err() {
                return;
            }
            path.clear();
        }
        line.clear();
    }
}

/// A request on a connection of its own; status and body of the answer, status 0 where there is none.
pub(crate) async fn ask(to: SocketAddr, method: &str, host: &str, path: &str) -> (u16, String) {
    let exchange = async {
        let mut stream = TcpStream::connect(to).await?;
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(LONG, exchange).await.expect("an answer in time").unwrap_or_default();
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
}
