//! Hipache's keys in a real etcd: followed while all runs, kept while it is away, read by one who must say who they are
//! and over TLS; marks of the dead that go with their lease.

mod server;
pub(super) mod tls;

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt};

use rustix::process::Signal;
use serde_json::json;

use self::{server::Etcd, tls::Ca};
use super::{
    plane::ANY,
    sources::{says, web},
    world::{World, free, get, none_failed},
};

/// A list for a key `frontend:HOST`.
fn list(backends: &[SocketAddr]) -> String {
    let urls = backends.iter().map(|addr| format!("http://{addr}"));
    serde_json::to_string(&["name".to_owned()].into_iter().chain(urls).collect::<Vec<_>>()).unwrap()
}

/// Waits until this host is answered by this server.
async fn answers(world: &World, host: &str, name: &str) {
    let http = world.proxy().http;
    let answered = || async { get(http, host).await == Some((200, name.to_owned())) };
    world.eventually(&format!("{name} answers {host}"), answered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_followed_and_kept_while_etcd_is_away() {
    let mut world = World::empty(ANY);
    let (a, b, c) = (web("a").await, web("b").await, web("c").await);
    let mut etcd = Etcd::new(&world).await;
    let at = etcd.addr;
    etcd.put("/h/frontend:*", &list(&[a.addr(), b.addr()])).await;
    etcd.put("/h/frontend:one.example", &list(&[a.addr()])).await;
    etcd.put("frontend:other.example", &list(&[c.addr()])).await;
    let source = format!("etcd://{at}#/h/");
    world.start_balancer("proxy", &["--no-gossip", "--source", &source]).await;
    world.serves(&["a", "b"]).await;
    answers(&world, "one.example", "a").await;
    says(&world, &["ok", "source", &source, "3 endpoints of 2 services"]).await;
    let traffic = world.traffic();

    etcd.put("/h/frontend:*", &list(&[a.addr(), b.addr(), c.addr()])).await;
    world.serves(&["a", "b", "c"]).await;
    etcd.put("/h/frontend:one.example", &list(&[c.addr()])).await;
    answers(&world, "one.example", "c").await;
    etcd.put("/h/frontend:two.example", "http://10.0.0.1").await;
    says(&world, &["warn", "refused", "/h/frontend:two.example", "it holds no JSON list of texts"]).await;
    etcd.delete("/h/frontend:two.example").await;
    assert_eq!(says(&world, &["ok", "source", "4 endpoints of 2 services"]).await, Some(0));

    etcd.kill().await;
    assert_eq!(says(&world, &["FAIL", "source", "Connection refused", "listed before stays"]).await, Some(1));
    world.serves(&["a", "b", "c"]).await;
    // What happens meanwhile is compacted away, and it comes back elsewhere first.
    etcd.start(&world, free()).await;
    etcd.put("/h/frontend:*", &list(&[a.addr()])).await;
    etcd.put("/h/frontend:*", &list(&[b.addr()])).await;
    etcd.delete("/h/frontend:one.example").await;
    etcd.put("/h/frontend:three.example", &list(&[c.addr()])).await;
    etcd.compact().await;
    etcd.kill().await;
    etcd.start(&world, at).await;
    world.serves(&["b"]).await;
    answers(&world, "three.example", "c").await;
    answers(&world, "one.example", "b").await;
    etcd.put("/h/frontend:*", &list(&[a.addr(), b.addr()])).await;
    world.serves(&["a", "b"]).await;

    // A disk that is lost is no word that nobody serves.
    etcd.kill().await;
    etcd.forget();
    etcd.start(&world, at).await;
    let lost = ["FAIL", "source", "there is no key /h/frontend:* any more", "listed before stays"];
    assert_eq!(says(&world, &lost).await, Some(1));
    world.serves(&["a", "b"]).await;
    etcd.put("/h/frontend:*", &list(&[c.addr()])).await;
    world.serves(&["c"]).await;
    none_failed(traffic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_falls_silent_is_noticed() {
    let mut world = World::empty(ANY);
    let (a, b) = (web("a").await, web("b").await);
    let etcd = Etcd::new(&world).await;
    etcd.put("frontend:*", &list(&[a.addr()])).await;
    world.start_balancer("proxy", &["--no-gossip", "--source", &format!("etcd://{}", etcd.addr)]).await;
    world.serves(&["a"]).await;
    etcd.signal(Signal::STOP);
    assert_eq!(says(&world, &["FAIL", "source", "it does not answer", "listed before stays"]).await, Some(1));
    world.serves(&["a"]).await;
    etcd.signal(Signal::CONT);
    etcd.put("frontend:*", &list(&[b.addr()])).await;
    world.serves(&["b"]).await;
    says(&world, &["ok", "source", "1 endpoint of 1 service"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_keys_come_page_by_page() {
    let mut world = World::empty(ANY);
    let a = web("a").await;
    let etcd = Etcd::new(&world).await;
    for block in 0..21 {
        let keys = (0..100).map(|n| (format!("frontend:h{}.example", block * 100 + n), r#"["name", "backchat:web"]"#));
        etcd.put_all(keys).await;
    }
    etcd.put("frontend:h9999.example", &list(&[a.addr()])).await;
    let source = format!("etcd://{}", etcd.addr);
    world.start_balancer("proxy", &["--no-gossip", "--source", &source]).await;
    answers(&world, "h9999.example", "a").await;
    says(&world, &["ok", "source", "1 endpoint of 2 services"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontend_may_be_a_service_that_gossips() {
    let mut world = World::empty(ANY);
    let a = web("a").await;
    let etcd = Etcd::new(&world).await;
    etcd.put("frontend:guest.example", r#"["guest", "backchat:shop"]"#).await;
    etcd.put("frontend:other.example", &list(&[a.addr()])).await;
    world.start_balancer("proxy", &["--source", &format!("etcd://{}", etcd.addr)]).await;
    answers(&world, "other.example", "a").await;
    world.start_agent("web1", &[]).await;
    etcd.put("frontend:guest.example", r#"["guest", "backchat:web"]"#).await;
    answers(&world, "guest.example", "web1").await;
    etcd.put("frontend:guest.example", &list(&[a.addr()])).await;
    answers(&world, "guest.example", "a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_is_said_and_the_password_never() {
    let mut world = World::empty(ANY);
    let (a, b) = (web("a").await, web("b").await);
    let mut etcd = Etcd::new(&world).await;
    etcd.put("/h/frontend:any.example", &list(&[a.addr()])).await;
    etcd.protect("proxy", "s3cret", "/h/", "READWRITE").await;
    let file = world.folder.path().join("password");
    fs::write(&file, "wr0ng\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    // Nobody is at the first server: the next one is asked.
    let source = format!("etcd://proxy@{}?also={}&password-file={}#/h/", free(), etcd.addr, file.display());
    world.start_balancer("proxy", &["--no-gossip", "--hipache-mark-dead", "--source", &source]).await;
    assert_eq!(says(&world, &["FAIL", "source", "invalid user ID or password"]).await, Some(1));
    fs::write(&file, "s3cret\n").unwrap();
    world.serves(&["a"]).await;
    says(&world, &["ok", "source", "1 endpoint of 1 service"]).await;

    // A token that does not hold any more is replaced, here to write a mark: they go with a user's password.
    etcd.ask("auth/user/changepw", json!({ "name": "proxy", "password": "s3cret2" })).await;
    fs::write(&file, "s3cret2\n").unwrap();
    etcd.put("/h/frontend:any.example", &list(&[b.addr(), free()])).await;
    world.eventually("a mark is written", || async { etcd.get("/h/dead:any.example").await.is_some() }).await;
    world.serves(&["b"]).await;
    let status = world.status_text().await.0 + &world.status().await.to_string() + &world.last_words();
    assert!(!status.contains("s3cret") && !status.contains("wr0ng"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_both_ways() {
    let mut world = World::empty(ANY);
    let a = web("a").await;
    let (own, foreign) = (world.folder.path().join("own"), world.folder.path().join("foreign"));
    let cas = [&own, &foreign].map(|folder| {
        fs::create_dir(folder).unwrap();
        Ca::new(folder)
    });
    let [ca, others] = cas;
    ca.sign("server", "127.0.0.1");
    ca.sign("proxy", "proxy.example");
    let words = |flag: &str, file: &str| [flag.to_owned(), ca.path(file)];
    let flags = [
        words("--cert-file", "server.pem"),
        words("--key-file", "server.key"),
        words("--trusted-ca-file", "ca.pem"),
        ["--client-cert-auth".into(), "--log-level=error".into()],
    ];
    let etcd = Etcd::with(&world, flags.as_flattened()).await;
    etcd.put("frontend:*", &list(&[a.addr()])).await;
    let url = |ca: &str, more: &str| format!("etcds://{}?ca={ca}{more}", etcd.tls);
    let shown = format!("&cert={}&key={}", ca.path("proxy.pem"), ca.path("proxy.key"));

    let source = url(&others.path("ca.pem"), &shown);
    world.start_balancer("proxy", &["--no-gossip", "--source", &source]).await;
    assert_eq!(says(&world, &["FAIL", "source", "invalid peer certificate"]).await, Some(1));
    world.end_lb().await;
    world.restart_balancer_with("proxy", &["--no-gossip", "--source", &url(&ca.path("ca.pem"), "")]);
    assert_eq!(says(&world, &["FAIL", "source", "ertificate"]).await, Some(1));
    world.end_lb().await;
    world.restart_balancer_with("proxy", &["--no-gossip", "--source", &url(&ca.path("ca.pem"), &shown)]);
    world.serves(&["a"]).await;
    says(&world, &["ok", "source", "1 endpoint of 1 service"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_of_the_dead_are_read_written_and_go_with_their_lease() {
    let mut world = World::empty(ANY);
    let (a, b, gone) = (web("a").await, web("b").await, free());
    let etcd = Etcd::new(&world).await;
    let host = "any.example";
    etcd.put(&format!("frontend:{host}"), &list(&[a.addr(), gone, b.addr()])).await;
    let flags = ["--no-gossip", "--hipache-mark-dead", "--source", &format!("etcd://{}", etcd.addr)];
    world.start_balancer("proxy", &flags).await;
    let dead = format!("dead:{host}");
    let is_marked = || async { etcd.get(&dead).await.is_some_and(|(marks, lease)| marks == "[1]" && lease != "0") };
    world.eventually("the one that is not there is marked", is_marked).await;
    let (_, lease) = etcd.get(&dead).await.unwrap();
    let left = etcd.ask("lease/timetolive", json!({ "ID": lease })).await;
    assert_eq!(left["grantedTTL"], "30", "{left}");

    // Another's mark, for a while: the shortest that etcd has.
    let granted = etcd.ask("lease/grant", json!({ "TTL": "1" })).await;
    etcd.put_for(&dead, "[0, 1]", granted["ID"].as_str().unwrap()).await;
    world.serves(&["b"]).await;
    world.serves(&["a", "b"]).await;
    world.eventually("it is marked again", is_marked).await;
}

/// Who may not write marks leaves no leases behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_with_which_nothing_is_written_is_given_back() {
    let mut world = World::empty(ANY);
    let (a, b) = (web("a").await, web("b").await);
    let mut etcd = Etcd::new(&world).await;
    etcd.put("/h/frontend:any.example", &list(&[a.addr(), free()])).await;
    etcd.protect("proxy", "s3cret", "/h/", "READ").await;
    let source = format!("etcd://proxy:s3cret@{}#/h/", etcd.addr);
    world.start_balancer("proxy", &["--no-gossip", "--hipache-mark-dead", "--source", &source]).await;
    let refused = || async { world.last_words().contains("cannot mark a dead backend") };
    world.eventually("a mark is refused", refused).await;
    for n in 0..20 {
        etcd.put(&format!("/h/frontend:h{n}.example"), &list(&[b.addr()])).await;
        answers(&world, &format!("h{n}.example"), "b").await;
    }
    let given_back =
        || async { etcd.ask("lease/leases", json!({})).await["leases"].as_array().is_none_or(Vec::is_empty) };
    world.eventually("no lease is left", given_back).await;
    assert!(etcd.get("/h/dead:any.example").await.is_none());
}
