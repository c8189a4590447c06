//! A table takes the place of another: as a whole or not at all, and for every request that comes behind the answer.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use backchat_openresty::{
    admin::Pushed,
    table::{self, Table},
};

use crate::{
    rig::{ROOM, Rig, Set},
    web::{self, Web},
};

/// A thousand pushes, each to another server, under the load of four clients: each answer is by a server that a table
/// named between the beginning of the request and its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_served_from_an_older_table() {
    const SERVERS: usize = 16;
    let mut servers = Vec::new();
    for n in 0..SERVERS {
        servers.push(Web::start(&n.to_string()).await);
    }
    let rig = Rig::start(2).await;
    let set = |version: u64| Set::new().ready("one", servers[usize::try_from(version).unwrap() % SERVERS].addr);
    let first = rig.push(&set(2)).await.version;
    assert_eq!(first, 2);
    // The newest table that was answered, and the newest that was sent.
    let marks = (AtomicU64::new(first), AtomicU64::new(first), AtomicBool::new(false));
    let marks = Arc::new(marks);
    let http = rig.http();
    let client = |marks: Arc<(AtomicU64, AtomicU64, AtomicBool)>| async move {
        let mut asked = 0;
        while !marks.2.load(Ordering::SeqCst) {
            let from = marks.0.load(Ordering::SeqCst);
            let (status, body) = web::get(http, "a.example", "/").await;
            let to = marks.1.load(Ordering::SeqCst);
            assert_eq!(status, 200);
            let allowed: BTreeSet<String> = (from..=to).map(|v| (v % SERVERS as u64).to_string()).collect();
            assert!(allowed.contains(&body), "{body} answered between {from} and {to}");
            asked += 1;
        }
        asked
    };
    let clients: Vec<_> = (0..4).map(|_| tokio::spawn(client(Arc::clone(&marks)))).collect();
    let mut over = rig.read().await;
    for version in first + 1..=first + 1000 {
        let table = Table { version, set: set(version).0 };
        marks.1.store(version, Ordering::SeqCst);
        assert_eq!(rig.put(&table, &over).await, Pushed::Served);
        marks.0.store(version, Ordering::SeqCst);
        over.version = version;
        // And one request that must see it.
        let expected = (version % SERVERS as u64).to_string();
        assert_eq!(rig.get("/").await, (200, expected));
    }
    marks.2.store(true, Ordering::SeqCst);
    let mut asked = 0;
    for client in clients {
        asked += client.await.unwrap();
    }
    assert!(asked > 1000, "only {asked} requests: no load");
}

/// The same goes for routes: a host that moves, moves for all workers at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_routed_by_an_older_table() {
    let (blue, green) = (Web::start("blue").await, Web::start("green").await);
    let rig = Rig::start(3).await;
    let mut set = Set::new().ready("one", blue.addr);
    let other = Set::new().ready("one", green.addr).0.services.into_values().next().unwrap();
    set.0.services.insert("other".parse().unwrap(), other);
    for round in 0..100 {
        let (service, expected) = if round % 2 == 0 { ("other", "green") } else { ("web", "blue") };
        for service_of in set.0.routes.values_mut() {
            *service_of = service.parse().unwrap();
        }
        rig.push(&set).await;
        for _ in 0..3 {
            assert_eq!(rig.get("/").await, (200, expected.into()), "round {round}");
        }
    }
}

async fn large(endpoints: u16) {
    let web = Web::start("one").await;
    let rig = Rig::start(2).await;
    let table = rig.push(&Set::many(endpoints, web.addr)).await;
    assert_eq!(rig.table().await, Some(table));
    for _ in 0..10 {
        assert_eq!(rig.get("/").await, (200, "one".into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_2500_servers() {
    large(2_500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_10000_servers() {
    large(10_000).await;
}

/// A body that nginx keeps in a file is a body like any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_longer_than_the_buffer() {
    let web = Web::start("one").await;
    let small = |text: String| text.replace("client_body_buffer_size {{ dicts.table }}k", "client_body_buffer_size 8k");
    let rig = Rig::with(1, ROOM, small).await;
    assert!(rig.settings.template.text.contains("buffer_size 8k"));
    rig.push(&Set::many(2_500, web.addr)).await;
    assert_eq!(rig.get("/").await, (200, "one".into()));
}

/// What does not fit is refused, and what was there is served on: read back, and again the next time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_without_room_is_refused() {
    let (one, other) = (Web::start("one").await, Web::start("other").await);
    // The client may send more than the shared memory holds.
    let body = |text: String| text.replace("client_max_body_size {{ dicts.table }}k", "client_max_body_size 0");
    let rig = Rig::with(1, 256, body).await;
    let before = rig.push(&Set::new().ready("one", one.addr)).await;
    for _ in 0..3 {
        let over = rig.read().await;
        let table = Table { version: over.version + 1, set: Set::many(10_000, other.addr).0 };
        let pushed = rig.put(&table, &over).await;
        let Pushed::Refused(why) = pushed else { panic!("{pushed:?}") };
        assert!(why.starts_with("507 ") && why.ends_with(" bytes into a dict of 262144: no memory"), "{why}");
        assert_eq!(rig.table().await, Some(before.clone()));
        assert_eq!(rig.get("/").await, (200, "one".into()));
    }
    rig.push(&Set::new().ready("other", other.addr)).await;
    assert_eq!(rig.get("/").await, (200, "other".into()));
}

/// Pushed over and over, tables leave nothing behind: a third of the room is always enough for the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_leave_no_waste() {
    let web = Web::start("one").await;
    let rig = Rig::with(1, 512, |text| text).await;
    for n in 0..200 {
        rig.push(&Set::many(1_000 + n * 7, web.addr)).await;
    }
}

/// A push for what is no longer there changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_is_for_what_was_read() {
    let rig = Rig::start(2).await;
    let over = rig.read().await;
    let newer = rig.push(&Set::new()).await;
    let table = Table { version: newer.version + 5, set: Set::new().0 };
    assert!(matches!(rig.put(&table, &over).await, Pushed::Stale(_)));
    let table = Table { version: newer.version, ..table };
    assert!(matches!(rig.put(&table, &rig.read().await).await, Pushed::Stale(_)));
    assert_eq!(rig.table().await, Some(newer));
}

/// Lua and Rust agree on what is a table; what is none changes nothing, and its line is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_refused_with_its_line() {
    let web = Web::start("one").await;
    let rig = Rig::start(2).await;
    let before = rig.push(&Set::new().ready("one", web.addr)).await;
    let whole = "table 70\nservice tcp-1 tcp\nservice web http\nendpoint web/web1 10.0.0.7:8080 100 ready\n\
        endpoint web/web1:81 [2001:db8::7]:81 0 drain\nroute www.example.com /api web\nroute *.example.com / web\nend 8\n";
    for (from, to) in [
        ("table 70", "table 0"),
        ("table 70", "table -7"),
        ("table 70", "table 1e3"),
        ("table 70", "table 1234567890123456"),
        ("table 70\n", ""),
        ("service web", "service -web"),
        ("service web", "service w;b"),
        ("web http", "web udp"),
        ("tcp-1 tcp", "web http"),
        ("web/web1 ", "other/web1 "),
        ("web/web1:81", "web/web1"),
        ("10.0.0.7:8080", "10.0.0.256:8080"),
        ("10.0.0.7:8080", "10.0.0.7:0"),
        ("10.0.0.7:8080", "10.0.0.7:65536"),
        ("10.0.0.7:8080", "unix:/tmp/x"),
        ("10.0.0.7:8080", "web.example:80"),
        ("10.0.0.7:8080", "[::g]:80"),
        ("10.0.0.7:8080", "2001:db8::7:80"),
        (" 100 ", " 257 "),
        (" 100 ", " -1 "),
        (" 100 ready", " 100"),
        (" ready", " down"),
        ("*.example.com /", "www.example.com /api"),
        ("/api web", "api web"),
        ("/api web", "/api webs"),
        ("www.example.com", "WWW_example.com"),
        ("end 8", "end 7"),
        ("end 8\n", "end 8"),
        ("end 8\n", ""),
        ("end 8\n", "end 8\nend 9\n"),
        ("route www", "routes www"),
        ("\nroute", "\n\nroute"),
    ] {
        let text = whole.replacen(from, to, 1);
        assert_ne!(text, whole, "{from}");
        let expected = table::decode(&text).unwrap_err();
        let (status, said) = rig.post(&text).await;
        assert_eq!(status, 400, "{from} → {to}: {said}");
        assert!(
            said.starts_with(&format!("line {}: ", expected.line)) || to.ends_with("end 9\n"),
            "{expected}: {said}"
        );
    }
    assert_eq!(rig.post("").await.0, 400);
    assert_eq!(rig.ask("PUT /table HTTP/1.0\r\nContent-Length: 0\r\n\r\n").await.0, 405);
    assert_eq!(rig.ask("GET /elsewhere HTTP/1.0\r\n\r\n").await.0, 404);
    assert_eq!(rig.table().await, Some(before));
    assert_eq!(rig.get("/").await, (200, "one".into()));
    assert_eq!(rig.post(whole).await.0, 200);
}
