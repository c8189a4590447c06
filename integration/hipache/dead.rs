//! Servers that fail: who is asked again, and when.

use std::time::Duration;

use backchat_contract::Driver;
use tokio::time::{Instant, sleep};

use super::{
    rigs::{Hipache, one_service, with},
    server::Seen,
};
use crate::conformance::{LONG, Reserved, send};

const POST: &str = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// How long Hipache leaves one out.
const DEAD: Duration = Duration::from_secs(30);

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
        assert!(took > DEAD - Duration::from_secs(5) && took < DEAD + Duration::from_secs(15), "{took:?}");
        "yes".into()
    }
}

pub(super) async fn all_dead<R: Hipache>() -> String {
    let (one, two) = (Reserved::new(), Reserved::new());
    let wanted = one_service(&[]).ready("web", "one", one.addr()).ready("web", "two", two.addr());
    let bench = with::<R>(&wanted).await;
    for _ in 0..10 {
        let begun = Instant::now();
        assert_eq!(bench.get("a.example", "/").await.0, 502);
        assert!(begun.elapsed() < LONG / 6);
    }
    "yes".into()
}

/// Beside a good one: of how many requests it gets what share, once it has answered so.
async fn share<R: Hipache>(answer: &str) -> (usize, usize) {
    let (good, bad) = (Seen::status("200 OK").await, Seen::answering(answer).await);
    let bench = with::<R>(&one_service(&[&good, &bad])).await;
    // Both are there, and it has answered as often as makes a difference anywhere: each worker learns by itself.
    let asked = || bad.asked().requests;
    let learnt = Instant::now() + Duration::from_secs(2);
    while asked() < 8 && (asked() == 0 || Instant::now() < learnt) {
        send(bench.rig.http(), POST).await;
    }
    let before = asked();
    for _ in 0..60 {
        send(bench.rig.http(), POST).await;
    }
    (asked() - before, 60)
}

/// A server that is asked as much as the other stays; HAProxy asks one that is left out again when its check passes.
async fn left_out<R: Hipache>(status: &str) -> (bool, bool) {
    let (got, of) = share::<R>(&format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")).await;
    (got < of / 3, got == 0)
}

pub(super) async fn answers_502<R: Hipache>() -> String {
    said_of_left_out(left_out::<R>("502 Mine").await)
}

pub(super) async fn answers_501<R: Hipache>() -> String {
    said_of_left_out(left_out::<R>("501 Mine").await)
}

fn said_of_left_out(seen: (bool, bool)) -> String {
    match seen {
        (true, true) => "yes".into(),
        (true, false) => "after three in a row, until its check passes".into(),
        (false, _) => "no".into(),
    }
}

fn said_of_staying(seen: (bool, bool)) -> String {
    if seen.0 { "no: as one that answers 502".into() } else { "yes".into() }
}

pub(super) async fn answers_500<R: Hipache>() -> String {
    said_of_staying(left_out::<R>("500 Mine").await)
}

pub(super) async fn retry_after<R: Hipache>() -> String {
    said_of_staying(left_out::<R>("503 Mine\r\nRetry-After: 1").await)
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
