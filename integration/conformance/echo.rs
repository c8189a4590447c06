//! A server that answers with what it was asked, so that a case sees what a data plane made of a request; and a client
//! that keeps its cookies and sees the headers of an answer.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use super::web::LONG;

/// Answers every request with its name and, line by line, the head of the request; one that wants to upgrade with 101,
/// and whatever it sends from then on.
pub(crate) struct Echo {
    pub(crate) addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Echo {
    pub(crate) async fn start(name: &str) -> Self {
        Self::on(name, "127.0.0.1:0").await
    }

    /// On this address.
    pub(crate) async fn on(name: &str, addr: &str) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let name = name.to_owned();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, name.clone()));
            }
        });
        Self { addr, task }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, name: String) {
    let mut stream = BufReader::new(stream);
    while let Some(head) = head(&mut stream).await {
        if head.to_ascii_lowercase().contains("\r\nupgrade: ") {
            // The answer to the one key that is sent here (RFC 6455, section 1.3): HAProxy checks it.
            let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
            let upgrade = format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{accept}");
            let switch = format!("HTTP/1.1 101 Switching Protocols\r\n{upgrade}\r\n\r\n");
            if stream.write_all(switch.as_bytes()).await.is_err() {
                return;
            }
            let (mut from, mut to) = tokio::io::split(stream);
            // The other side ends it.
            let _ = tokio::io::copy(&mut from, &mut to).await;
            return;
        }
        let body = format!("{name}\n{head}");
        let own = "X-Own: said\r\nX-Secret: inner";
        let reply = format!("HTTP/1.1 200 OK\r\n{own}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The head of the next message, without the empty line; `None` where none comes.
async fn head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    loop {
        let before = head.len();
        let read = stream.read_line(&mut head).await.ok()?;
        if read == 0 {
            return None;
        }
        if head.get(before..) == Some("\r\n") {
            head.truncate(before);
            return Some(head);
        }
    }
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Who answered: the first line of the body.
    pub(crate) fn who(&self) -> &str {
        self.body.lines().next().unwrap_or_default()
    }

    /// A header of the answer, whatever case it is written in.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.head, name)
    }

    /// A header of the request as the server saw it.
    pub(crate) fn asked(&self, name: &str) -> Option<&str> {
        find(&self.body, name)
    }

    /// The request line as the server saw it.
    pub(crate) fn line(&self) -> &str {
        self.body.lines().nth(1).unwrap_or_default()
    }

    /// The cookie that the answer sets, `name=value`.
    pub(crate) fn cookie(&self) -> Option<&str> {
        self.header("set-cookie").map(|cookie| cookie.split(';').next().unwrap_or_default())
    }
}

fn find<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.trim()))
}

/// Asks on a connection of its own, with these headers too.
pub(crate) async fn ask(to: SocketAddr, host: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let more: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let more = more.concat();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(to).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let text = timeout(LONG, exchange).await.expect("an answer in time").unwrap_or_default();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// Upgrades a connection, sends this and reads as much back.
pub(crate) async fn upgraded(to: SocketAddr, host: &str, said: &str) -> String {
    let exchange = async {
        let mut stream = BufReader::new(TcpStream::connect(to).await.unwrap());
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13";
        let upgrade = format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{key}");
        let ask = format!("GET /ws HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.unwrap();
        let head = head(&mut stream).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut back = vec![0; said.len()];
        stream.read_exact(&mut back).await.unwrap();
        String::from_utf8(back).unwrap()
    };
    timeout(LONG, exchange).await.expect("an answer in time")
}
