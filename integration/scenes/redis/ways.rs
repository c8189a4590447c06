//! How a Redis is reached: with a password, in another database and below a prefix, over TLS, and where it is read at a
//! replica and written at the primary.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{
    flags,
    rig::{Redis, answers, web},
    says,
};
use crate::scenes::{
    etcd::tls::Ca,
    plane::ANY,
    world::{World, free, get},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_password_a_database_and_a_prefix() {
    let mut world = World::empty(ANY);
    let a = web("a").await;
    let redis = Redis::start(&world, &["--requirepass", "s3cret", "--notify-keyspace-events", "AK"]).await;
    let file = world.folder.path().join("password");
    fs::write(&file, "wrong\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let uri = redis.uri(&format!("/3?password-file={}#my[app]:", file.display()));
    world.start_balancer("proxy", &flags(&uri, &[])).await;
    says(&world, &["FAIL", "source", "/3#my[app]:", "authentication failed"]).await;

    // Mended while it runs.
    fs::write(&file, "s3cret\n").unwrap();
    let cli = ["-a", "s3cret", "--no-auth-warning", "-n", "3", "rpush", "my[app]:frontend:any.example", "x"];
    redis.cli(&[&cli[..], &[&format!("http://{}", a.addr())]].concat()).await;
    answers(&world, "any.example", "a").await;
    // Another application's key, and another database's.
    redis
        .cli(&["-a", "s3cret", "--no-auth-warning", "-n", "3", "rpush", "frontend:b.example", "x", "http://10.0.0.1"])
        .await;
    redis
        .cli(&["-a", "s3cret", "--no-auth-warning", "rpush", "my[app]:frontend:c.example", "x", "http://10.0.0.1"])
        .await;
    redis
        .cli(&[
            "-a",
            "s3cret",
            "--no-auth-warning",
            "-n",
            "3",
            "rpush",
            "my[app]:frontend:d.example",
            "x",
            &format!("http://{}", a.addr()),
        ])
        .await;
    answers(&world, "d.example", "a").await;
    for host in ["b.example", "c.example"] {
        assert_eq!(get(world.proxy().http, host).await.map(|(status, _)| status), Some(404), "{host}");
    }
    let (text, _) = world.status_text().await;
    assert!(!text.contains("s3cret") && !world.last_words().contains("s3cret"), "{text}");
}

/// An account that may read its keys and nothing else: no channel, no setting.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_not_be_told() {
    let mut world = World::empty(ANY);
    let (a, b) = (web("a").await, web("b").await);
    let redis = Redis::start(&world, &["--notify-keyspace-events", "AK"]).await;
    let rights = ["resetchannels", "~frontend:*", "~dead:*", "+@read", "+@connection"];
    redis.run(&[&["ACL", "SETUSER", "reader", "on", ">s3cret"], &rights[..]].concat()).await;
    redis.frontend("any.example", &[&a]).await;
    let uri = format!("redis://reader:s3cret@{}", redis.addr);
    world.start_balancer("proxy", &flags(&uri, &[])).await;
    world.serves(&["a"]).await;
    redis.frontend("any.example", &[&b]).await;
    world.serves(&["b"]).await;
    says(&world, &["ok", "source", "1 endpoint of 1 service"]).await;
    let said = world.last_words();
    assert!(said.contains("it may not say what changes (NOPERM"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls() {
    let mut world = World::empty(ANY);
    let a = web("a").await;
    let folder = world.folder.path().to_owned();
    let pem = backchat::certificates::sign(&["localhost".to_owned()], std::time::SystemTime::now()).unwrap();
    let [cert, other] = ["redis.pem", "other.pem"].map(|name| folder.join(name));
    fs::write(&cert, pem).unwrap();
    fs::write(&other, backchat::certificates::sign(&["localhost".to_owned()], std::time::SystemTime::now()).unwrap())
        .unwrap();
    let (tls, path) = (free().port().to_string(), cert.display().to_string());
    let settings = [
        "--tls-port",
        &tls,
        "--tls-cert-file",
        &path,
        "--tls-key-file",
        &path,
        "--tls-ca-cert-file",
        &path,
        "--tls-auth-clients",
        "no",
        "--notify-keyspace-events",
        "AK",
    ];
    let redis = Redis::start(&world, &settings).await;
    redis.frontend("any.example", &[&a]).await;

    // Somebody else's certificate is not trusted.
    let stranger = format!("rediss://localhost:{tls}?ca={}", other.display());
    world.start_balancer("proxy", &flags(&stranger, &[])).await;
    says(&world, &["FAIL", "source", "localhost", "certificate"]).await;
    world.kill_lb().await;
    let uri = format!("rediss://localhost:{tls}?ca={path}");
    world.restart_balancer_with("proxy", &flags(&uri, &[]));
    answers(&world, "any.example", "a").await;
}

/// A server that asks for certificates is shown one.
#[tokio::test(flavor = "multi_thread")]
async fn over_tls_with_a_certificate() {
    let mut world = World::empty(ANY);
    let a = web("a").await;
    let ca = Ca::new(world.folder.path());
    ca.sign("server", "localhost");
    ca.sign("client", "lb");
    let [trusted, cert, key] = ["ca.pem", "server.pem", "server.key"].map(|name| ca.path(name));
    let tls = free().port().to_string();
    let tls_flags =
        ["--tls-port", &tls, "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &trusted];
    let more = ["--tls-auth-clients", "yes", "--notify-keyspace-events", "AK"];
    let redis = Redis::start(&world, &[&tls_flags[..], &more[..]].concat()).await;
    redis.frontend("any.example", &[&a]).await;

    let without = format!("rediss://localhost:{tls}?ca={trusted}");
    world.start_balancer("proxy", &flags(&without, &[])).await;
    says(&world, &["FAIL", "source", "localhost"]).await;
    world.kill_lb().await;
    let uri = format!("{without}&cert={}&key={}", ca.path("client.pem"), ca.path("client.key"));
    world.restart_balancer_with("proxy", &flags(&uri, &[]));
    answers(&world, "any.example", "a").await;
}

/// A replica is read; marks are written to the primary.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_read_and_the_primary_written() {
    let mut world = World::empty(ANY);
    let (a, b) = (web("a").await, web("b").await);
    let primary = Redis::start(&world, &[]).await;
    primary.frontend("any.example", &[&a, &b]).await;
    let port = primary.addr.port().to_string();
    let replica = Redis::start(&world, &["--replicaof", "127.0.0.1", &port, "--notify-keyspace-events", "AK"]).await;
    let uri = replica.uri(&format!("?primary={}", primary.addr));
    world.start_balancer("proxy", &flags(&uri, &["--hipache-mark-dead"])).await;
    world.serves(&["a", "b"]).await;
    drop(b);
    let marked = || async { primary.run(&["SMEMBERS", "dead:any.example"]).await == "1" };
    world.eventually("the mark is at the primary", marked).await;
    world.serves(&["a"]).await;
}
