//! Services whose servers speak HTTP/2 without TLS, as those of gRPC do.

use std::net::SocketAddr;

use backchat_contract::{Certificate, Policies, ServicePolicy, policy::Header};
use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::{HeaderMap, Request, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use super::{
    bench::Bench,
    client,
    echo::ask,
    policies::policies,
    rig::{Ruled, Tls},
    tls::certificate,
    web::LONG,
    words::Wanted,
};

const HOST: &str = "grpc.example";

/// A server that speaks HTTP/2 alone, from the first byte on: answers with its name and, line by line, the head of the
/// request. What comes in a body goes back as it comes, and trailers behind it.
struct Server {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, name));
            }
        });
        Self { addr, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, name: &'static str) {
    // A connect that checks whether somebody is there says nothing.
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let mut requests = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        requests.spawn(answer(request, respond, name));
    }
}

async fn answer(request: Request<RecvStream>, mut to: SendResponse<Bytes>, name: &str) -> Result<(), h2::Error> {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let mut text = format!("{name}\n{} {path} {:?}\n", head.method, head.version);
    let authority = head.uri.authority().map(|authority| ("host", authority.as_str()));
    let headers = head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("no text")));
    text.extend(authority.into_iter().chain(headers).map(|(name, value)| format!("{name}: {value}\n")));

    let answer = Response::builder().header("x-own", "said").header("x-accel-redirect", "/bc/other");
    if body.is_end_stream() {
        let answer = answer.header("content-length", text.len()).body(()).unwrap();
        return to.send_response(answer, false)?.send_data(text.into(), true);
    }
    let mut answer = to.send_response(answer.header("content-type", "application/grpc").body(()).unwrap(), false)?;
    answer.send_data(text.into(), false)?;
    while let Some(data) = body.data().await.transpose()? {
        body.flow_control().release_capacity(data.len())?;
        answer.send_data(data, false)?;
    }
    let status = [("grpc-status", "0"), ("grpc-message", "as it should be")];
    answer.send_trailers(
        status.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).into_iter().collect(),
    )
}

fn spoken() -> Policies {
    let header = |name: &str, value: &str| Header { name: name.parse().unwrap(), value: value.parse().unwrap() };
    let policy = ServicePolicy {
        http2: true,
        request_headers: vec![header("X-Team", "ours")],
        response_headers: vec![header("X-Own", "theirs")],
        ..ServicePolicy::DEFAULT
    };
    policies([("grpc", policy)])
}

/// A client of HTTP/1.1 is answered by such a server: its request comes as it was, on any path.
pub(crate) async fn servers_of_http_2<R: Ruled>() {
    let (one, two) = (Server::start("one").await, Server::start("two").await);
    let mut bench = Bench::<R>::ruled(spoken()).await;
    let wanted = Wanted::default().ready("grpc", "one", one.addr).route(HOST, "/", "grpc");
    bench.converge(&wanted).await;
    let to = bench.rig.http();
    bench.eventually("it answers", async || ask(to, HOST, "/", &[]).await.status == 200).await;
    for path in ["/", "/a.B/C", "/a?x=1&y=/z", "/d%20e%2Ff/..//g?h=%20", "/bc/other", "/bc/grpc"] {
        let answer = ask(to, HOST, path, &[("X-Team", "theirs"), ("X-Other", "stays")]).await;
        assert_eq!((answer.status, answer.who()), (200, "one"), "{path}");
        assert_eq!(answer.line(), format!("GET {path} HTTP/2.0"));
        assert_eq!(answer.asked("host"), Some(HOST));
        assert_eq!(answer.asked("x-team"), Some("ours"));
        assert_eq!(answer.asked("x-other"), Some("stays"));
        assert_eq!(answer.asked("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(answer.asked("x-forwarded-proto"), Some("http"));
        assert_eq!(answer.header("x-own"), Some("theirs"));
    }
    bench.converge(&wanted.clone().ready("grpc", "two", two.addr)).await;
    bench.eventually("another one is asked", async || ask(to, HOST, "/", &[]).await.who() == "two").await;
    bench.converge(&wanted.clone().draining("grpc", "one", one.addr).ready("grpc", "two", two.addr)).await;
    for _ in 0..8 {
        assert_eq!(ask(to, HOST, "/", &[]).await.who(), "two");
    }
    bench.converge(&Wanted::default().service("grpc").route(HOST, "/", "grpc")).await;
    bench.eventually("nobody is there", async || ask(to, HOST, "/", &[]).await.status == 503).await;
}

/// A call of gRPC, from a client over TLS: messages go both ways while the call lasts, and its status comes last.
pub(crate) async fn calls_of_grpc<R: Ruled + Tls>() {
    let server = Server::start("one").await;
    let shown = certificate(&[HOST]);
    let mut bench = Bench::<R>::ruled(spoken()).await;
    let wanted = Wanted::default().ready("grpc", "one", server.addr).route(HOST, "/", "grpc");
    bench.converge(&wanted.default_certificate("first", &shown)).await;
    let to = bench.rig.https();
    bench.eventually("it answers", async || client::ask(to, HOST, "/").await.0 == 200).await;
    let (head, trailers) = timeout(LONG, call(to, &shown)).await.expect("a call in time");
    for said in ["POST /a.B/C HTTP/2.0", "te: trailers", "content-type: application/grpc", "x-team: ours"] {
        assert!(head.lines().any(|line| line == said), "{said}: {head}");
    }
    assert!(head.contains(&format!("host: {HOST}\n")) && head.contains("x-forwarded-proto: https\n"), "{head}");
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers["grpc-message"], "as it should be");
}

/// Two messages, the second when the first was answered; what the server saw, and what it said last.
async fn call(to: SocketAddr, trusted: &Certificate) -> (String, HeaderMap) {
    let stream = client::speaking_h2(to, HOST, trusted).await;
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    // It ends with the call, however the other side ends it.
    tokio::spawn(connection);
    let request = Request::post(format!("https://{HOST}/a.B/C"));
    let request = request.header("te", "trailers").header("content-type", "application/grpc").body(()).unwrap();
    let (answer, mut say) = client.ready().await.unwrap().send_request(request, false).unwrap();
    say.send_data("first;".into(), false).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["x-own"]), (200, &"theirs".parse().unwrap()));
    let mut body = answer.into_body();
    let head = until(&mut body, "first;").await;
    say.send_data("second;".into(), true).unwrap();
    assert_eq!(until(&mut body, "second;").await, "second;");
    (head, body.trailers().await.unwrap().expect("trailers"))
}

/// Reads up to the end of this.
async fn until(body: &mut RecvStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let data = body.data().await.expect("more of it").unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        text += std::str::from_utf8(&data).unwrap();
    }
    text
}
