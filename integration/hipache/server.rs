//! A server that answers as it is told, badly too, and counts what it was asked.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use crate::conformance::LONG;

/// What it was asked so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Requests.
    pub(super) requests: usize,
    /// Bytes of bodies.
    pub(super) bytes: usize,
}

/// The server; it ends with this.
pub(super) struct Seen {
    pub(super) addr: SocketAddr,
    asked: Arc<watch::Sender<Asked>>,
    task: JoinHandle<()>,
}

impl Seen {
    /// Answers every request with this, and closes.
    pub(super) async fn answering(answer: &str) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), answer)
    }

    /// Answers with this status and nothing else.
    pub(super) async fn status(status: &str) -> Self {
        Self::answering(&format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")).await
    }

    /// The same at an address that is bound already.
    pub(super) fn on(listener: TcpListener, answer: &str) -> Self {
        let (addr, asked) = (listener.local_addr().unwrap(), Arc::new(watch::Sender::new(Asked::default())));
        let (answer, shared): (Arc<str>, _) = (answer.into(), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&answer), Arc::clone(&shared)));
            }
        });
        Self { addr, asked, task }
    }

    /// What it was asked so far.
    pub(super) fn asked(&self) -> Asked {
        *self.asked.borrow()
    }

    /// Waits until what it was asked is so.
    pub(super) async fn until(&self, is: impl FnMut(&Asked) -> bool) {
        let mut asked = self.asked.subscribe();
        timeout(LONG, asked.wait_for(is)).await.expect("asked in time").unwrap();
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, answer: Arc<str>, asked: Arc<watch::Sender<Asked>>) {
    let mut stream = BufReader::new(stream);
    let Some(head) = head(&mut stream).await else { return };
    asked.send_modify(|asked| asked.requests += 1);
    let _ended = body(&mut stream, &head, &asked).await;
    // Who asks by HEAD takes no body, and what is told of it is left out.
    let text = match &*answer {
        "method" => {
            let method = head.split(' ').next().unwrap_or_default();
            format!("HTTP/1.1 200 OK\r\nX-Method: {method}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        "" => std::future::pending().await,
        answer => answer.to_owned(),
    };
    // Who has gone hears nothing.
    let _gone = stream.write_all(text.as_bytes()).await;
    let _gone = stream.shutdown().await;
}

/// The head of a request, in lower case but for the first line.
async fn head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
        if head.get(before..) == Some("\r\n") {
            return Some(head);
        }
    }
}

/// Reads a body of a length that was said, or in chunks, and counts it.
async fn body(stream: &mut BufReader<TcpStream>, head: &str, asked: &watch::Sender<Asked>) -> std::io::Result<()> {
    let lower = head.to_ascii_lowercase();
    if let Some((_, rest)) = lower.split_once("\r\ncontent-length:") {
        let length = rest.split("\r\n").next().and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        return swallow(stream, length, asked).await;
    }
    if !lower.contains("\r\ntransfer-encoding: chunked") {
        return Ok(());
    }
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
        swallow(stream, length, asked).await?;
        stream.read_line(&mut line).await?;
        if length == 0 {
            return Ok(());
        }
    }
}

async fn swallow(
    stream: &mut BufReader<TcpStream>,
    mut left: usize,
    asked: &watch::Sender<Asked>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 65_536];
    while left > 0 {
        let some = left.min(buffer.len());
        let read = stream.read(&mut buffer[..some]).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        asked.send_modify(|asked| asked.bytes += read);
        left -= read;
    }
    Ok(())
}
