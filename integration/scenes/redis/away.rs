//! A Redis that goes, comes back empty, or says nothing: what was known stays.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{
    flags, get,
    rig::{Redis, answers, web},
    says,
};
use crate::scenes::{
    plane::ANY,
    world::{World, none_failed},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_known_stays_until_it_is_back() {
    let mut world = World::empty(ANY);
    let (a, b, c) = (web("a").await, web("b").await, web("c").await);
    let mut redis = Redis::start(&world, &[]).await;
    redis.frontend("*", &[&a]).await;
    redis.frontend("b.example", &[&b]).await;
    let (uri, notify) = (redis.uri(""), ["--redis-notify"]);
    world.start_balancer("proxy", &flags(&uri, &notify)).await;
    world.serves(&["a"]).await;
    assert_eq!(
        redis.run(&["CONFIG", "GET", "notify-keyspace-events"]).await.split(' ').next_back().map(str::len),
        Some(7)
    );
    let traffic = world.traffic();

    redis.kill().await;
    says(&world, &["FAIL", "source", "redis://", "listed before stays"]).await;
    world.serves(&["a"]).await;
    // A new daemon removes nothing either.
    world.kill_lb().await;
    world.restart_balancer_with("proxy", &flags(&uri, &notify));
    says(&world, &["FAIL", "source", "redis://", "nothing is removed"]).await;
    world.serves(&["a"]).await;
    answers(&world, "b.example", "b").await;
    assert_eq!(world.status().await["synced"], false);

    // It comes back without its keys, which are written anew; and it has forgotten its settings.
    redis.restart(&world).await;
    redis.frontend("*", &[&a, &c]).await;
    redis.frontend("b.example", &[&b]).await;
    world.serves(&["a", "c"]).await;
    redis.frontend("*", &[&c]).await;
    world.serves(&["c"]).await;
    answers(&world, "b.example", "b").await;
    none_failed(traffic).await;
}

/// An emptied database is what a mistake leaves, or a Redis that lost its disk.
#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_database_removes_nothing() {
    let mut world = World::empty(ANY);
    let (a, b) = (web("a").await, web("b").await);
    let redis = Redis::start(&world, &["--notify-keyspace-events", "AK"]).await;
    redis.frontend("any.example", &[&a]).await;
    redis.frontend("b.example", &[&b]).await;
    let uri = redis.uri("");
    world.start_balancer("proxy", &flags(&uri, &[])).await;
    world.serves(&["a"]).await;

    redis.run(&["FLUSHALL"]).await;
    says(&world, &["FAIL", "source", "no key frontend:*", "listed before stays"]).await;
    world.serves(&["a"]).await;
    answers(&world, "b.example", "b").await;
    // What is told meanwhile makes it no better.
    redis.run(&["PUBLISH", "dead", "b.example;http://10.0.0.1;0;2"]).await;
    redis.run(&["CONFIG", "RESETSTAT"]).await;
    let looked = || async {
        let (text, _) = world.status_text().await;
        assert!(text.contains("no key frontend:* any more"), "{text}");
        redis.run(&["INFO", "commandstats"]).await.contains("cmdstat_dbsize:")
    };
    world.eventually("it is looked at again", looked).await;
    // One key is a word again.
    redis.frontend("b.example", &[&a]).await;
    answers(&world, "b.example", "a").await;
    says(&world, &["ok", "source", "1 endpoint of 1 service"]).await;
}

/// The balancer is started anew while Redis is away, and Redis comes back without its disk: what is served stays.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_redis_after_a_restart_removes_nothing() {
    let mut world = World::empty(ANY);
    let (a, b) = (web("a").await, web("b").await);
    let mut redis = Redis::start(&world, &[]).await;
    redis.frontend("any.example", &[&a]).await;
    redis.frontend("b.example", &[&b]).await;
    let uri = redis.uri("");
    world.start_balancer("proxy", &flags(&uri, &[])).await;
    world.serves(&["a"]).await;
    redis.kill().await;
    world.kill_lb().await;
    world.restart_balancer_with("proxy", &flags(&uri, &[]));
    says(&world, &["FAIL", "source", "redis://", "nothing is removed"]).await;
    redis.restart(&world).await;
    says(&world, &["FAIL", "source", "has no frontend", "2 are served"]).await;
    world.serves(&["a"]).await;
    answers(&world, "b.example", "b").await;
    redis.frontend("any.example", &[&b]).await;
    world.serves(&["b"]).await;
}

/// A host that was deleted while the balancer was away falls to the wildcard at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_meanwhile_is_gone() {
    let mut world = World::empty(ANY);
    let (a, b) = (web("a").await, web("b").await);
    let redis = Redis::start(&world, &[]).await;
    redis.frontend("*.example", &[&a]).await;
    redis.frontend("old.example", &[&b]).await;
    let uri = redis.uri("");
    world.start_balancer("proxy", &flags(&uri, &["--on-exit", "keep"])).await;
    answers(&world, "old.example", "b").await;
    world.converges().await;
    world.end_lb().await;
    redis.run(&["DEL", "frontend:old.example"]).await;
    world.restart_balancer_with("proxy", &flags(&uri, &["--on-exit", "keep"]));
    answers(&world, "old.example", "a").await;
}

/// One that is there and says nothing holds up nobody for ever: neither a daemon that starts nor one that runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_falls_silent_is_noticed() {
    let mut world = World::empty(ANY);
    let (a, b) = (web("a").await, web("b").await);
    let redis = Redis::start(&world, &["--notify-keyspace-events", "AK"]).await;
    redis.frontend("*", &[&a]).await;
    redis.signal(Signal::STOP);
    let uri = redis.uri("");
    world.start_balancer("proxy", &flags(&uri, &[])).await;
    says(&world, &["FAIL", "source", "it does not answer"]).await;
    redis.signal(Signal::CONT);
    world.serves(&["a"]).await;

    redis.signal(Signal::STOP);
    says(&world, &["FAIL", "source", "it does not answer", "listed before stays"]).await;
    world.serves(&["a"]).await;
    redis.signal(Signal::CONT);
    redis.frontend("*", &[&b]).await;
    world.serves(&["b"]).await;
    says(&world, &["ok", "source", "1 endpoint of 1 service"]).await;
}

/// What others do with their keys there is not looked at, however much it is; that all keys are gone is, even where one
/// comes with that.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_others_use_too() {
    let mut world = World::empty(ANY);
    let (a, b) = (web("a").await, web("b").await);
    let redis = Redis::start(&world, &["--notify-keyspace-events", "AK"]).await;
    redis.frontend("any.example", &[&a]).await;
    redis.frontend("b.example", &[&b]).await;
    let uri = redis.uri("");
    world.start_balancer("proxy", &flags(&uri, &[])).await;
    world.serves(&["a"]).await;
    let calls = async |command: &str| {
        let stats = redis.run(&["INFO", "commandstats"]).await;
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.and_then(|line| line.split(',').next()?.parse::<u32>().ok()).unwrap_or_default()
    };
    let before = (calls("dbsize").await, calls("scan").await);
    let pulses = || async {
        redis.run(&["INCR", "counter"]).await;
        let count = redis.run(&["GET", "counter"]).await;
        redis.run(&["SET", &format!("other:{count}"), "x"]).await;
        calls("dbsize").await >= before.0 + 3
    };
    world.eventually("it was felt three times", pulses).await;
    assert_eq!(calls("scan").await, before.1, "all keys were read for nothing");

    // In one go, so that there is something to hear.
    let web = format!("http://{}", b.addr());
    let script = "redis.call('FLUSHALL') redis.call('RPUSH', 'frontend:any.example', 'any', ARGV[1])";
    redis.run(&["EVAL", script, "0", &web]).await;
    let gone = || async { get(world.proxy().http, "b.example").await.is_some_and(|(status, _)| status == 404) };
    world.eventually("the key's route is gone", gone).await;
    answers(&world, "any.example", "b").await;
}

/// Said aloud, and followed all the same.
#[tokio::test(flavor = "multi_thread")]
async fn without_notifications_the_keys_are_looked_at() {
    let mut world = World::empty(ANY);
    let (a, b) = (web("a").await, web("b").await);
    let redis = Redis::start(&world, &[]).await;
    redis.frontend("any.example", &[&a]).await;
    let uri = redis.uri("");
    world.start_balancer("proxy", &flags(&uri, &[])).await;
    world.serves(&["a"]).await;
    redis.frontend("any.example", &[&b]).await;
    world.serves(&["b"]).await;
    redis.frontend("b.example", &[&a]).await;
    answers(&world, "b.example", "a").await;
    redis.run(&["DEL", "frontend:b.example"]).await;
    world
        .eventually("the key's route is gone", || async {
            get(world.proxy().http, "b.example").await.is_some_and(|(status, _)| status == 404)
        })
        .await;
    let said = world.last_words();
    assert!(said.contains("notify-keyspace-events") && said.contains("--redis-notify"), "{said}");
    // Nobody's settings are changed who did not ask for it.
    assert_eq!(redis.run(&["CONFIG", "GET", "notify-keyspace-events"]).await, "notify-keyspace-events ");
    assert_eq!(redis.run(&["INFO", "commandstats"]).await.matches("cmdstat_keys:").count(), 0);
}

/// Marks that cannot be written hold up nothing that is read; they are written when it can be done again.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_falls_silent_holds_up_nothing() {
    let mut world = World::empty(ANY);
    let (a, b, c) = (web("a").await, web("b").await, web("c").await);
    let primary = Redis::start(&world, &[]).await;
    let redis = Redis::start(&world, &["--notify-keyspace-events", "AK"]).await;
    redis.frontend("any.example", &[&a, &b]).await;
    redis.frontend("c.example", &[&a]).await;
    let uri = redis.uri(&format!("?primary={}", primary.addr));
    primary.signal(Signal::STOP);
    world.start_balancer("proxy", &flags(&uri, &["--hipache-mark-dead"])).await;
    world.serves(&["a", "b"]).await;
    b.stop().await.expect("it stops");
    let cannot = || async { world.last_words().contains("cannot mark a dead backend") };
    world.eventually("a mark could not be written", cannot).await;

    // It is tried all the while, and each try takes some seconds.
    for web in [&c, &a, &c] {
        let changed = Instant::now();
        redis.frontend("c.example", &[web]).await;
        answers(&world, "c.example", if web.addr() == a.addr() { "a" } else { "c" }).await;
        assert!(changed.elapsed() < Duration::from_secs(2), "{:?}", changed.elapsed());
    }
    primary.signal(Signal::CONT);
    let marked = || async { primary.run(&["SMEMBERS", "dead:any.example"]).await == "1" };
    world.eventually("the mark is at the primary", marked).await;
}
