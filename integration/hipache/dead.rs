//! Servers that fail: who is asked again, and when.

use std::time::Duration;

use backchat_contract::Driver;
use tokio::time::{Instant, sleep};

use super::{
    rigs::{Hipache, hurried, one_service, ruled, with},
    server::Seen,
};
use crate::conformance::{LONG, Reserved, send};

const POST: &str = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// How long Hipache leaves one out.
const DEAD: Duration = Duration::from_secs(30);

/// By how much that may be missed, on a machine that others use too.
const SLACK: Duration = Duration::from_secs(10);

pub(super) async fn refuses<R: Hipache>() -> String {
    let (good, dead) = (Seen::answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood").await, Reserved::new());
    let wanted = one_service(&[&good]).ready("web", "dead", dead.addr());
    let mut bench = with::<R>(&wanted).await;
    bench.comes_to("a.example", "/", 200, "good").await;
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(bench.get("a.example", "/").await.0, 200);
    }
    // Whoever looks sees it too, where anybody but nginx itself knows.
    let observed = bench.observe().await;
    let told = bench.driver.down(&observed).iter().any(|id| id.endpoint.as_str() == "dead");
    assert!(told || R::COLUMN == "nginx");
    let back = dead.listen("back");
    while back.begun() == 0 {
        assert_eq!(bench.get("a.example", "/").await.0, 200);
        assert!(begun.elapsed() < DEAD + LONG, "it never comes back");
        sleep(Duration::from_millis(20)).await;
    }
    let took = begun.elapsed();
    if took < Duration::from_secs(10) {
        "until its check passes".into()
    } else {
        assert!(took + SLACK > DEAD && took < DEAD + SLACK, "{took:?}");
        "yes".into()
    }
}

pub(super) async fn all_dead<R: Hipache>() -> String {
    let (one, two) = (Reserved::new(), Reserved::new());
    let wanted = one_service(&[]).ready("web", "one", one.addr()).ready("web", "two", two.addr());
    let bench = with::<R>(&wanted).await;
    for _ in 0..10 {
        assert_eq!(bench.get("a.example", "/").await.0, 502);
    }
    "yes".into()
}

/// How often one that answers so is asked beside a good one, of `REQUESTS`, once it has answered.
async fn asked_again<R: Hipache>(answer: &str) -> usize {
    let (good, bad) = (Seen::status("200 OK").await, Seen::answering(answer).await);
    let bench = ruled::<R>(&one_service(&[&good, &bad]), hurried()).await;
    let asked = || bad.asked().requests;
    bench
        .eventually("both are asked", async || {
            send(bench.rig.http(), POST).await;
            asked() > 0 && good.asked().requests > 0
        })
        .await;
    let before = asked();
    for _ in 0..REQUESTS {
        send(bench.rig.http(), POST).await;
    }
    asked() - before
}

const REQUESTS: usize = 60;

/// What became of a server that answered.
enum Fate {
    /// It is asked as before.
    Stays,
    /// It is asked for a while, and again and again: HAProxy's check of it passes.
    Falters,
    /// Nobody asks it.
    Out,
}

/// Of one that answers with this status, or never.
async fn fate<R: Hipache>(status: Option<&str>) -> Fate {
    let answer = |status| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    match asked_again::<R>(&status.map(answer).unwrap_or_default()).await {
        0 => Fate::Out,
        some if some < REQUESTS * 2 / 5 => Fate::Falters,
        _ => Fate::Stays,
    }
}

async fn is_left_out<R: Hipache>(status: Option<&str>) -> String {
    match fate::<R>(status).await {
        Fate::Out => "yes",
        Fate::Falters => "after three in a row, until its check passes",
        Fate::Stays => "no",
    }
    .into()
}

async fn stays<R: Hipache>(status: &str) -> String {
    if matches!(fate::<R>(Some(status)).await, Fate::Stays) {
        "yes".into()
    } else {
        "no: as one that answers 502".into()
    }
}

pub(super) async fn answers_502<R: Hipache>() -> String {
    is_left_out::<R>(Some("502 Mine")).await
}

pub(super) async fn answers_501<R: Hipache>() -> String {
    is_left_out::<R>(Some("501 Mine")).await
}

pub(super) async fn never_answers<R: Hipache>() -> String {
    is_left_out::<R>(None).await
}

pub(super) async fn answers_500<R: Hipache>() -> String {
    stays::<R>("500 Mine").await
}

pub(super) async fn retry_after<R: Hipache>() -> String {
    stays::<R>("503 Mine\r\nRetry-After: 1").await
}

pub(super) async fn the_only_one<R: Hipache>() -> String {
    let server = Seen::status("502 Mine").await;
    let bench = with::<R>(&one_service(&[&server])).await;
    bench
        .eventually("it is asked", async || {
            bench.get("a.example", "/").await;
            server.asked().requests > 0
        })
        .await;
    let before = server.asked().requests;
    for _ in 0..20 {
        assert_eq!(send(bench.rig.http(), POST).await.0, 502);
    }
    if server.asked().requests - before == 20 { "yes".into() } else { "no: as one of several".into() }
}
