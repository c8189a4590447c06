//! Hipache's keys in a real Redis: the scene of 2014, keys and marks followed live, and a Redis that comes and goes.

mod away;
mod rig;
mod ways;

use std::{net::SocketAddr, time::Duration};

use backchat::demo::{Driver, Web};

use self::rig::{Redis, answers, web};
use super::world::{World, free, get, none_failed, reached};
use crate::conformance::ask;

/// The flags of a balancer that only follows this Redis.
fn flags<'a>(uri: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    ["--no-gossip", "--source", uri].into_iter().chain(more.iter().copied()).collect()
}

/// As it was written then: `redis-cli rpush` twice, and `curl -k`.
pub(super) async fn the_scene_of_2014(driver: Driver) {
    let mut world = World::empty(driver);
    let redis = Redis::start(&world, &[]).await;
    let (https, sinatra) = (free(), web("hello from sinatra1").await);
    let listen = https.to_string();
    let (uri, host) = (redis.uri(""), "sinatra1.10.1.2.164.xip.io");
    let more = ["--redis-notify", "--tls-listen", &listen, "--self-signed", "--hipache"];
    world.start_balancer("proxy", &flags(&uri, &more)).await;

    redis.cli(&["rpush", &format!("frontend:{host}"), "sinatra1"]).await;
    redis.cli(&["rpush", &format!("frontend:{host}"), &format!("http://{}", sinatra.addr())]).await;
    let url = format!("https://{host}:{}/", https.port());
    let resolve = format!("{host}:{}:127.0.0.1", https.port());
    let curl = || async {
        let args = ["-sk", "--max-time", "2", "--resolve", &resolve, &url];
        let said = tokio::process::Command::new("curl").args(args).output().await.expect("curl runs");
        String::from_utf8_lossy(&said.stdout).trim() == "hello from sinatra1"
    };
    world.eventually("curl -k says hello", curl).await;
}

pub(super) async fn keys_are_followed_and_no_request_is_lost(driver: Driver) {
    let mut world = World::empty(driver);
    let (a, b, c) = (web("a").await, web("b").await, web("c").await);
    let redis = Redis::start(&world, &["--notify-keyspace-events", "AK"]).await;
    redis.frontend("*", &[&a, &b]).await;
    redis.frontend("*.apps.example", &[&c]).await;
    let uri = redis.uri("");
    world.start_balancer("proxy", &flags(&uri, &[])).await;
    world.serves(&["a", "b"]).await;
    answers(&world, "x.apps.example", "c").await;
    world.converges().await;
    let traffic = world.traffic_over_a_reload();

    // A third one, the first taken out, a new host, one that goes.
    redis.run(&["RPUSH", "frontend:*", &format!("http://{}", c.addr())]).await;
    world.serves(&["a", "b", "c"]).await;
    redis.run(&["LREM", "frontend:*", "0", &format!("http://{}", a.addr())]).await;
    world.serves(&["b", "c"]).await;
    redis.frontend("new.apps.example", &[&a]).await;
    answers(&world, "new.apps.example", "a").await;
    redis.run(&["DEL", "frontend:new.apps.example"]).await;
    answers(&world, "new.apps.example", "c").await;
    redis.run(&["RENAME", "frontend:*.apps.example", "frontend:*.other.example"]).await;
    answers(&world, "x.other.example", "c").await;
    none_failed(traffic).await;

    // What cannot be taken is told with its key, and leaves the others alone.
    redis.run(&["RPUSH", "frontend:*", "http://app1:3000"]).await;
    redis.run(&["SET", "frontend:text.example", "x"]).await;
    says(&world, &["warn", "refused", "frontend:*", "use the IP in place of a name"]).await;
    says(&world, &["warn", "refused", "frontend:text.example", "it holds no list"]).await;
    world.serves(&["b", "c"]).await;
}

/// An identifier alone answers for itself: nothing falls through to the wildcard.
pub(super) async fn a_frontend_without_backends_answers_for_itself(driver: Driver) {
    let mut world = World::empty(driver);
    let any = web("any").await;
    let redis = Redis::start(&world, &[]).await;
    redis.frontend("*", &[&any]).await;
    redis.frontend("empty.example", &[]).await;
    let uri = redis.uri("");
    world.start_balancer("proxy", &flags(&uri, &["--hipache"])).await;
    answers(&world, "other.example", "any").await;
    let http = world.proxy().http;
    let refused = || async { matches!(get(http, "empty.example").await, Some((502, _))) };
    world.eventually("a frontend without backends is answered 502", refused).await;
    // So does one that holds no list.
    redis.run(&["SET", "frontend:text.example", "x"]).await;
    let refused = || async { matches!(get(http, "text.example").await, Some((502, _))) };
    world.eventually("a frontend that is no list is answered 502", refused).await;
    says(&world, &["warn", "service", "hipache.text.example", "so it is 502"]).await;
}

/// As a client that debugs and the log of Hipache are told: the frontend of the store, and the URL that its list has.
pub(super) async fn debuggers_and_the_log_are_told_of_the_keys(driver: Driver) {
    let mut world = World::empty(driver);
    let any = web("any").await;
    let redis = Redis::start(&world, &["--notify-keyspace-events", "AK"]).await;
    redis.frontend("any.example", &[&any]).await;
    let (uri, log) = (redis.uri(""), world.folder.path().join("access.log"));
    let file = log.display().to_string();
    world.start_balancer("proxy", &flags(&uri, &["--hipache", "--access-log", &file])).await;
    answers(&world, "any.example", "any").await;

    let told = ask(world.proxy().http, "any.example", "/told", &[("X-Debug", "1")]).await;
    let url = format!("http://{}", any.addr());
    assert_eq!((told.status, told.header("x-debug-backend-url")), (200, Some(&*url)), "{told:?}");
    assert_eq!(told.header("x-debug-frontend-key"), Some("any.example"));
    assert_eq!(told.header("x-debug-vhost"), Some("hipache.any.example"));
    let logged = || async {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines().any(|line| line.contains("GET /told HTTP/1.1\" 200 ") && line.contains("\"hipache.any.example\""))
    };
    world.eventually("the log has it", logged).await;
}

pub(super) async fn marks_are_honoured_for_their_time(driver: Driver) {
    let mut world = World::empty(driver);
    let (a, b) = (web("a").await, web("b").await);
    // Without notifications: Hipache's own channel tells of them.
    let redis = Redis::start(&world, &[]).await;
    redis.frontend("*", &[&a, &b]).await;
    let uri = redis.uri("");
    world.start_balancer("proxy", &flags(&uri, &[])).await;
    world.serves(&["a", "b"]).await;
    world.converges().await;
    let traffic = world.traffic();

    redis.run(&["SADD", "dead:any.example", "0"]).await;
    redis.run(&["PUBLISH", "dead", &format!("any.example;http://{};0;2", a.addr())]).await;
    stands(&world, a.addr(), "drain").await;
    stands(&world, b.addr(), "ready").await;
    world.serves(&["b"]).await;
    redis.run(&["PEXPIRE", "dead:any.example", "1000"]).await;
    stands(&world, a.addr(), "ready").await;
    world.serves(&["a", "b"]).await;
    none_failed(traffic).await;
}

/// Who finds a backend failing tells all who read the same keys.
pub(super) async fn a_backend_that_fails_is_marked(driver: Driver) {
    let mut world = World::empty(driver);
    let (a, b) = (web("a").await, web("b").await);
    let redis = Redis::start(&world, &["--notify-keyspace-events", "AK"]).await;
    redis.frontend("any.example", &[&a, &b]).await;
    redis.frontend("*.wild.example", &[&a, &b]).await;
    let uri = redis.uri("");
    world.start_balancer("proxy", &flags(&uri, &["--hipache-mark-dead"])).await;
    world.serves(&["a", "b"]).await;
    let addr = b.addr();
    // With the connections that OpenResty keeps.
    b.stop().await.expect("it stops");
    let http = world.proxy().http;
    let marked = || async {
        // OpenResty finds out by requests.
        let _answered = get(http, "any.example").await;
        redis.run(&["SMEMBERS", "dead:any.example"]).await == "1"
    };
    world.eventually("the backend is marked", marked).await;
    let left: i64 = redis.run(&["TTL", "dead:any.example"]).await.parse().expect("a number");
    assert!((1..=30).contains(&left), "{left}");
    // The marks are of hosts that were asked for: nobody knows which of a wildcard's.
    assert_eq!(redis.run(&["KEYS", "dead:*"]).await, "dead:any.example");
    world.serves(&["a"]).await;

    let back = Web::start(addr, "b").await.expect("its port is free again");
    // Until it passes a check again, it is marked anew.
    let serves = || async {
        redis.run(&["DEL", "dead:any.example"]).await;
        reached(http, 6).await.len() == 2
    };
    world.eventually("both serve again", serves).await;
    drop(back);
}

/// A frontend may be one more host of a service that gossips; and what both name has who comes first.
pub(super) async fn a_host_of_a_service_that_gossips(driver: Driver) {
    let mut world = World::empty(driver);
    let other = web("other").await;
    let redis = Redis::start(&world, &["--notify-keyspace-events", "AK"]).await;
    let uri = redis.uri("");
    world.start_balancer("proxy", &["--source", &uri]).await;
    world.start_agent("web1", &[]).await;
    world.serves(&["web1"]).await;

    redis.run(&["RPUSH", "frontend:shop.example", "shop", "backchat:web"]).await;
    redis.frontend("other.example", &[&other]).await;
    answers(&world, "other.example", "other").await;
    answers(&world, "shop.example", "web1").await;
    world.start_agent("web2", &[]).await;
    let both = || async {
        let mut who = std::collections::BTreeSet::new();
        for _ in 0..6 {
            who.extend(get(world.proxy().http, "shop.example").await.map(|(_, name)| name));
        }
        who.into_iter().eq(["web1".to_owned(), "web2".to_owned()])
    };
    world.eventually("web2 serves that host too", both).await;

    // The cluster claimed it first: the key is refused, and gets it when the cluster lets go.
    redis.frontend("*", &[&other]).await;
    says(&world, &["warn", "refused", "frontend:*", "holds it"]).await;
    world.serves(&["web1", "web2"]).await;
    let told = world.json("proxy", &["explain", "http://other.example/"]).await.expect("it explains");
    assert_eq!(told["request"]["route"]["service"], "hipache.other.example", "{told:#}");
    // Nobody of the cluster takes a frontend's name.
    let stolen = format!("hipache.other.example:{},host=x.example", other.addr().port());
    world.start_agent("web3", &["--service", &stolen]).await;
    says(&world, &["warn", "refused", "web3", "hipache."]).await;
}

/// Waits until `explain` says that this backend stands so.
async fn stands(world: &World, addr: SocketAddr, state: &str) {
    let said = || async {
        let told = world.json("proxy", &["explain", "http://any.example/"]).await.unwrap_or_default();
        let pool = told["request"]["pool"].as_array().cloned().unwrap_or_default();
        pool.iter().any(|one| one["addr"] == addr.to_string() && one["state"] == state)
    };
    world.eventually(&format!("{addr} stands as {state}"), said).await;
}

/// Waits until a line of `status` has all of these words.
async fn says(world: &World, words: &[&str]) {
    let said = || async {
        let (text, _) = world.status_text().await;
        text.lines().any(|line| words.iter().all(|word| line.contains(word)))
    };
    world.eventually(&format!("status says {words:?}"), said).await;
}

/// How long a Redis may take to answer a test.
const ANSWER: Duration = Duration::from_secs(10);

fn loopback() -> SocketAddr {
    free()
}
