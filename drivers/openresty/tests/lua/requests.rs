//! What a request is answered with, whatever it says.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    rig::{Rig, Set, eventually},
    web::{self, Web},
};

/// A path is taken as it came, whatever it holds; a long one costs no more than a short one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_paths() {
    let (root, api) = (Web::start("root").await, Web::start("api").await);
    let rig = Rig::start(1).await;
    let mut set = Set::new().ready("one", root.addr);
    let service = Set::new().ready("two", api.addr).0.services.into_values().next().unwrap();
    set.0.services.insert("api".parse().unwrap(), service);
    let long = format!("/{}", ["p".repeat(127), "q".repeat(127)].join("/"));
    for path in ["/api", long.as_str()] {
        let route = backchat_contract::Route { host: "*".parse().unwrap(), path: path.parse().unwrap() };
        set.0.routes.insert(route, "api".parse().unwrap());
    }
    rig.push(&set).await;
    let deep = "/x".repeat(3000);
    for (path, expected) in [
        ("/", "root"),
        ("//", "root"),
        ("//api", "root"),
        ("/api//x", "api"),
        ("/api/../x", "api"),
        ("/API", "root"),
        ("/%61pi", "root"),
        ("/api%2fx", "root"),
        ("/apix", "root"),
        ("/api?a=/b", "api"),
        ("/?/api", "root"),
        (deep.as_str(), "root"),
        (&format!("/api{deep}"), "api"),
        (&format!("{long}/x"), "api"),
        (&format!("{long}x"), "root"),
        (&long, "api"),
    ] {
        assert_eq!(rig.get(path).await, (200, expected.into()), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_our_own() {
    let rig = Rig::start(1).await;
    assert_eq!(rig.get("/").await, (404, "no route for this host and path\n".into()));
    rig.push(&Set::new()).await;
    assert_eq!(rig.get("/").await, (503, "no server for this service\n".into()));
    assert_eq!(web::send(rig.http(), "GET / HTTP/1.0\r\n\r\n").await, (400, "no host, or more than one\n".into()));
    assert_eq!(web::send(rig.http(), "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n").await.0, 400);
}

/// An upgraded connection goes both ways, and counts as in flight while it lasts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgraded_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let said = String::from_utf8(request).unwrap().to_lowercase();
        assert!(said.contains("connection: upgrade") && said.contains("upgrade: echo"), "{said}");
        stream.write_all(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await.unwrap();
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    });
    let rig = Rig::start(1).await;
    rig.push(&Set::new().ready("one", addr)).await;
    let mut client = TcpStream::connect(rig.http()).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n").await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    client.write_all(b"hello").await.unwrap();
    let mut echo = [0; 5];
    client.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"hello");
    assert_eq!(rig.read().await.flights.values().sum::<u64>(), 1);
    drop(client);
    eventually("it has ended", async || rig.read().await.flights.is_empty()).await;
}

/// A service may lose its last server while a request still sends its body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_takes_longer_than_its_service() {
    let one = Web::start("one").await;
    let rig = Rig::start(2).await;
    rig.push(&Set::new().ready("one", one.addr)).await;
    let mut client = TcpStream::connect(rig.http()).await.unwrap();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    client.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    rig.push(&Set::new()).await;
    client.write_all(b"hi").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!((one.begun(), rig.read().await.flights.len()), (0, 0));
}

/// What a server says to an nginx before it is none of ours: its answer goes to the client as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_sends_nobody_elsewhere() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let said = b"HTTP/1.1 200 OK\r\nX-Accel-Redirect: /elsewhere\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(said).await.unwrap();
        }
    });
    let rig = Rig::start(1).await;
    rig.push(&Set::new().ready("one", addr)).await;
    assert_eq!(rig.get("/").await, (200, "ok".into()));
    eventually("nothing is in flight", async || rig.read().await.flights.is_empty()).await;
}
