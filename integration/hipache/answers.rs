//! What is answered: by us where no server does, and by servers as they will.

use super::{
    rigs::{Hipache, hurried, one_service, ruled, with},
    server::Seen,
};
use crate::conformance::{Reserved, ask, send};

/// `yes`, or what was answered in place of 200.
fn passed(status: u16) -> String {
    if status == 200 { "yes".into() } else { format!("no: {status}") }
}

pub(super) async fn nobody<R: Hipache>() -> String {
    // One that is not there at all, one that nobody listens for, one that never answers.
    let (late, gone) = (Seen::answering("").await, Reserved::new());
    let wanted = one_service(&[&late]).service("empty").route("empty.example", "/", "empty");
    let wanted = wanted.ready("gone", "g", gone.addr()).route("gone.example", "/", "gone");
    let bench = ruled::<R>(&wanted, hurried()).await;
    bench
        .eventually("the late one is asked", async || {
            bench.get("a.example", "/").await;
            late.asked().requests > 0
        })
        .await;
    for host in ["empty.example", "gone.example", "a.example"] {
        let answer = ask(bench.rig.http(), host, "/", &[]).await;
        assert_eq!(answer.status, 502, "{host}: {answer:?}");
        for other in ["503", "504"] {
            assert!(!answer.body.contains(other), "{host}: {answer:?}");
        }
    }
    "yes".into()
}

pub(super) async fn theirs<R: Hipache>() -> String {
    for status in ["400 Bad Request", "404 Not Found", "500 Mine", "502 Mine", "503 Mine", "504 Mine"] {
        let code = status.split(' ').next().unwrap();
        let body = format!("mine\n{code}");
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}", body.len());
        let server = Seen::answering(&format!("{head}\r\n\r\n{body}")).await;
        let bench = with::<R>(&one_service(&[&server])).await;
        // HAProxy asks none that has not passed its check.
        bench.eventually("it is asked", async || bench.get("a.example", "/").await.1 == body).await;
        let post = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        // HAProxy tries a GET again, and leaves a server out that answers so three times in a row, until its check passes.
        let answered = (code.parse().unwrap(), body);
        bench
            .eventually(&format!("{status} is passed on"), async || send(bench.rig.http(), post).await == answered)
            .await;
    }
    "yes".into()
}

pub(super) async fn methods<R: Hipache>() -> String {
    let server = Seen::answering("method").await;
    let bench = with::<R>(&one_service(&[&server])).await;
    bench.comes_to("a.example", "/", 200, "").await;
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "POST", "PUT"] {
        let length = if matches!(method, "POST" | "PUT") { "Content-Length: 0\r\n" } else { "" };
        let request = format!("{method} /x HTTP/1.1\r\nHost: a.example\r\n{length}Connection: close\r\n\r\n");
        let before = server.asked().requests;
        assert_eq!(send(bench.rig.http(), &request).await.0, 200, "{method}");
        assert_eq!(server.asked().requests, before + 1, "{method}");
    }
    "yes".into()
}

pub(super) async fn trace<R: Hipache>() -> String {
    let server = Seen::answering("method").await;
    let bench = with::<R>(&one_service(&[&server])).await;
    bench.comes_to("a.example", "/", 200, "").await;
    let request = "TRACE / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
    passed(send(bench.rig.http(), request).await.0)
}

pub(super) async fn malformed_uri<R: Hipache>() -> String {
    let server = Seen::answering("method").await;
    let bench = with::<R>(&one_service(&[&server])).await;
    bench.comes_to("a.example", "/", 200, "").await;
    let request = "GET /pipo&%$#( HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
    passed(send(bench.rig.http(), request).await.0)
}
