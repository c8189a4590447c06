//! Bodies: of any length, and of another length than was said.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    rigs::{Hipache, one_service, with},
    server::Seen,
};
use crate::conformance::{LONG, send};

const MEGABYTE: usize = 1_000_000;
const MEGABYTES: usize = 500;

/// The server has some of it before all was sent, so nobody in between waits for the whole.
pub(super) async fn big_put<R: Hipache>() -> String {
    let server = Seen::answering("method").await;
    let bench = with::<R>(&one_service(&[&server])).await;
    bench.comes_to("a.example", "/", 200, "").await;
    let put = async {
        let mut stream = TcpStream::connect(bench.rig.http()).await.unwrap();
        let head = "PUT /big HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let chunk = [format!("{MEGABYTE:x}\r\n").into_bytes(), vec![b'x'; MEGABYTE], b"\r\n".to_vec()].concat();
        stream.write_all(&chunk).await.unwrap();
        server.until(|asked| asked.bytes > 0).await;
        for _ in 1..MEGABYTES {
            stream.write_all(&chunk).await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(LONG * 2, put).await.expect("sent in time");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(server.asked().bytes, MEGABYTE * MEGABYTES);
    "yes".into()
}

pub(super) async fn too_long<R: Hipache>() -> String {
    let server = Seen::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more").await;
    let bench = with::<R>(&one_service(&[&server])).await;
    bench.comes_to("a.example", "/", 200, "hello").await;
    "yes".into()
}

pub(super) async fn too_short<R: Hipache>() -> String {
    let server = Seen::answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello").await;
    let bench = with::<R>(&one_service(&[&server])).await;
    bench.comes_to("a.example", "/", 200, "hello").await;
    // A client that counts sees that it ends too soon: the length is said, and not what came.
    let request = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    assert_eq!(send(bench.rig.http(), request).await, (200, "hello".into()));
    "yes".into()
}
