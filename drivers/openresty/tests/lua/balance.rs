//! Which server gets a request: by weight, none that drains, none that fails.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use backchat_contract::EndpointState::{Drain, Ready};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    rig::{ROOM, Rig, Set, eventually},
    web::{self, Reserved, Web},
};

async fn shares(rig: &Rig, requests: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        let (status, body) = rig.get("/").await;
        *shares.entry(if status == 200 { body } else { status.to_string() }).or_default() += 1;
    }
    shares
}

/// Each worker is at most a request a server away from the exact shares.
async fn weigh(workers: u16) {
    let (a, b, c) = (Web::start("a").await, Web::start("b").await, Web::start("c").await);
    let rig = Rig::start(workers).await;
    let weights = |a_weight, b_weight| {
        Set::new().with("a", a.addr, a_weight, Ready).with("b", b.addr, b_weight, Ready).with("c", c.addr, 20, Ready)
    };
    rig.push(&weights(50, 30)).await;
    let near = |count: usize, expected: usize| count.abs_diff(expected) <= 2 * usize::from(workers);
    let found = shares(&rig, 500).await;
    assert!(near(found["a"], 250) && near(found["b"], 150) && near(found["c"], 100), "{found:?}");
    rig.push(&weights(0, 20)).await;
    let found = shares(&rig, 200).await;
    assert!(!found.contains_key("a") && near(found["b"], 100) && near(found["c"], 100), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_follow_the_weights() {
    weigh(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_follow_the_weights_over_several_workers() {
    weigh(3).await;
}

/// A table that is pushed again and again does not begin each time with the same server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_do_not_disturb_the_shares() {
    let (a, b) = (Web::start("a").await, Web::start("b").await);
    let rig = Rig::start(1).await;
    let mut found = BTreeMap::<_, usize>::new();
    for _ in 0..100 {
        rig.push(&Set::new().ready("a", a.addr).ready("b", b.addr)).await;
        *found.entry(rig.get("/").await.1).or_default() += 1;
    }
    assert!(found["a"].abs_diff(50) <= 2, "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_drains_ends_what_it_has_and_gets_nothing() {
    let (a, b) = (Web::start("a").await, Web::start("b").await);
    let rig = Rig::start(2).await;
    rig.push(&Set::new().ready("a", a.addr)).await;
    let http = rig.http();
    let held = tokio::spawn(async move { web::get(http, "a.example", "/hold").await });
    a.holds(1).await;
    rig.push(&Set::new().with("a", a.addr, 100, Drain).ready("b", b.addr)).await;
    assert_eq!(shares(&rig, 20).await, BTreeMap::from([("b".into(), 20)]));
    let flights = rig.read().await.flights;
    assert_eq!(flights.iter().map(|(id, n)| (id.to_string(), *n)).collect::<Vec<_>>(), [("web/a".into(), 1)]);
    // Gone from the table altogether, it is counted until it has ended.
    rig.push(&Set::new().ready("b", b.addr)).await;
    assert_eq!(rig.read().await.flights.values().sum::<u64>(), 1);
    a.release();
    assert_eq!(held.await.unwrap(), (200, "a".into()));
    eventually("nothing is in flight", async || rig.read().await.flights.is_empty()).await;
}

async fn post(to: SocketAddr) -> (u16, String) {
    web::send(to, "POST / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi").await
}

/// Nobody listens at one of the two: no request is lost, and it is said to be down; once it listens it gets its share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_server_is_passed_over() {
    let (a, late) = (Web::start("a").await, Reserved::new());
    let rig = Rig::start(2).await;
    let late_addr = late.addr();
    rig.push(&Set::new().ready("a", a.addr).ready("late", late_addr)).await;
    for _ in 0..40 {
        assert_eq!(rig.get("/").await, (200, "a".into()));
        assert_eq!(post(rig.http()).await, (200, "a".into()));
    }
    eventually("it is down", async || {
        assert_eq!(rig.get("/").await.0, 200);
        rig.read().await.down.contains(&late_addr)
    })
    .await;
    let _late = late.listen("late");
    eventually("it serves", async || shares(&rig, 20).await.len() == 2).await;
    eventually("it is up", async || rig.read().await.down.is_empty()).await;
}

/// All that are left are asked, however often they failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_servers_are_always_asked() {
    let (one, two) = (Reserved::new(), Reserved::new());
    let rig = Rig::start(1).await;
    // The one that stays away is always asked first.
    rig.push(&Set::new().with("one", one.addr(), 1, Ready).with("two", two.addr(), 256, Ready)).await;
    for _ in 0..10 {
        assert_eq!(rig.get("/").await.0, 502);
    }
    let _one = one.listen("one");
    for _ in 0..10 {
        assert_eq!(rig.get("/").await, (200, "one".into()));
    }
}

/// A server that takes each request and closes.
struct Closing {
    addr: SocketAddr,
    taken: Arc<AtomicUsize>,
}

async fn closing() -> Closing {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, taken) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Whatever came: it is dropped.
            let _ = stream.read(&mut [0; 1024]).await;
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    Closing { addr, taken }
}

/// A server that failed is left alone for a while: it is not found out anew by every other request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_server_is_left_alone_for_a_while() {
    let (bad, good) = (closing().await, Web::start("good").await);
    let rig = Rig::start(1).await;
    rig.push(&Set::new().ready("bad", bad.addr).ready("good", good.addr)).await;
    assert_eq!(shares(&rig, 200).await, BTreeMap::from([("good".into(), 200)]));
    let tried = bad.taken.load(Ordering::Relaxed);
    // A hundred if nobody remembered; it doubles from a second, so that half a minute brings five.
    assert!((1..50).contains(&tried), "{tried} times");
}

/// What was sent and not answered is sent again, unless it is a POST.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_is_not_sent_twice() {
    let (bad, good) = (closing().await, Web::start("good").await);
    let rig = Rig::start(1).await;
    // Its turn comes first, and only then the other one's.
    let set = Set::new().with("bad", bad.addr, 256, Ready).with("good", good.addr, 1, Ready);
    rig.push(&set).await;
    assert_eq!(rig.get("/").await, (200, "good".into()));
    assert_eq!((bad.taken.load(Ordering::Relaxed), good.begun()), (1, 1));
    eventually("it is tried again", async || {
        let before = (bad.taken.load(Ordering::Relaxed), good.begun());
        let (status, _) = post(rig.http()).await;
        let tried = bad.taken.load(Ordering::Relaxed) - before.0;
        assert_eq!((status, good.begun() - before.1), if tried == 0 { (200, 1) } else { (502, 0) });
        tried == 1
    })
    .await;
}

/// Connections to a server are kept, and one that it closed meanwhile costs nobody an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_servers_are_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, accepted) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                // Five requests each, and then it closes without a word.
                for _ in 0..5 {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        request.push(byte);
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                }
            });
        }
    });
    let rig = Rig::start(1).await;
    rig.push(&Set::new().ready("one", addr)).await;
    for _ in 0..50 {
        assert_eq!(rig.get("/").await, (200, "ok".into()));
    }
    assert!((10..=20).contains(&accepted.load(Ordering::Relaxed)), "{accepted:?}");
}

/// Where the memory for counters is full, nobody is told to be idle who may not be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_counter_is_told() {
    const REQUESTS: usize = 150;
    let one = Web::start("one").await;
    let small = |text: String| text.replace("backchat_flight {{ dicts.flight }}k", "backchat_flight 12k");
    let rig = Rig::with(1, ROOM, small).await;
    let set = (0..REQUESTS).fold(Set::new(), |set, n| set.ready(&format!("one{n}"), one.addr));
    rig.push(&set).await;
    assert!(!rig.read().await.lost);
    let http = rig.http();
    let held: Vec<_> =
        (0..REQUESTS).map(|_| tokio::spawn(async move { web::get(http, "a.example", "/hold").await })).collect();
    one.holds(REQUESTS).await;
    let state = rig.read().await;
    assert!(state.lost && state.flights.len() < REQUESTS, "{} counted", state.flights.len());
    one.release();
    for request in held {
        assert_eq!(request.await.unwrap(), (200, "one".into()));
    }
}
