//! What servers, clients and the log are told of a request.

use backchat_contract::{AccessLog, LogFormat, Manners, Policies};

use super::rigs::{Hipache, ruled, started};
use crate::conformance::{
    Bench, Echo, HaproxyRig, LONG, NginxRig, OpenrestyRig, Tls, Wanted, ask, client, policies, tls::certificate,
};

/// One server behind `a.example` that answers with what it was asked.
async fn echo() -> (Echo, Wanted) {
    let echo = Echo::start("echo").await;
    let wanted = Wanted::default().ready("Web-1", "one", echo.addr).route("a.example", "/", "Web-1");
    (echo, wanted)
}

async fn up<R: Hipache>(bench: &Bench<R>) {
    let asks = async || ask(bench.rig.http(), "a.example", "/up", &[]).await.status == 200;
    bench.eventually("it answers", asks).await;
}

pub(super) async fn forwarded<R: Hipache>() -> String {
    let (_echo, wanted) = echo().await;
    // A service with headers of its own has these too.
    let own = backchat_contract::ServicePolicy {
        request_headers: vec![crate::conformance::header("X-Own", "own")],
        ..Default::default()
    };
    for policies in [Policies::default(), policies([("Web-1", own)])] {
        let bench = ruled::<R>(&wanted, policies).await;
        up(&bench).await;
        let to = bench.rig.http();
        let port = to.port().to_string();
        let ours = [
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-protocol", "http"),
            ("x-forwarded-port", &port),
            ("x-real-ip", "127.0.0.1"),
        ];
        let theirs = [
            ("x-forwarded-for", "10.1.2.3"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-protocol", "https"),
            ("x-forwarded-port", "8443"),
            ("x-real-ip", "10.1.2.4"),
        ];
        for (said, expected) in [(&[][..], ours), (&theirs[..], theirs)] {
            let answer = ask(to, "a.example", "/", said).await;
            for (name, value) in expected {
                assert_eq!(answer.asked(name), Some(value), "{name} of {said:?}");
            }
        }
    }
    "yes".into()
}

pub(super) async fn debug<R: Hipache>() -> String {
    let six = Echo::on("six", "[::1]:0").await;
    let (echo, wanted) = echo().await;
    let wanted = wanted.ready("six", "six", six.addr).route("six.example", "/", "six");
    let six = format!("http://{}", six.addr);
    let own = backchat_contract::ServicePolicy {
        response_headers: vec![crate::conformance::header("X-Own", "own")],
        ..Default::default()
    };
    let url = format!("http://{}", echo.addr);
    let known = [
        ("x-debug-backend-url", url.as_str()),
        ("x-debug-backend-id", "one"),
        ("x-debug-vhost", "Web-1"),
        ("x-debug-frontend-key", "a.example"),
    ];
    let mut lacks = Vec::new();
    for policies in [Policies::default(), policies([("Web-1", own)])] {
        let bench = ruled::<R>(&wanted, policies).await;
        up(&bench).await;
        let to = bench.rig.http();
        let names = known.map(|(name, _)| name).into_iter().chain(["x-debug-time-total", "x-debug-time-backend"]);
        let quiet = ask(to, "a.example", "/", &[]).await;
        assert!(names.clone().all(|name| quiet.header(name).is_none()), "{quiet:?}");
        let told = ask(to, "A.example", "/", &[("X-Debug", "1")]).await;
        lacks = names.filter(|name| told.header(name).is_none()).collect();
        for (name, value) in known {
            assert!(lacks.contains(&name) || told.header(name) == Some(value), "{name}: {told:?}");
        }
        for name in ["x-debug-time-total", "x-debug-time-backend"] {
            let millis = told.header(name).map(str::parse::<u128>);
            assert!(matches!(millis, Some(Ok(millis)) if millis < LONG.as_millis()), "{name}: {told:?}");
        }
        let asks =
            async || ask(to, "six.example", "/", &[("X-Debug", "1")]).await.header("x-debug-backend-url") == Some(&six);
        bench.eventually("an address with colons", asks).await;
        // Where nobody answers there is nobody to name.
        let unknown = ask(to, "b.example", "/", &[("X-Debug", "1")]).await;
        assert_eq!(unknown.header("x-debug-backend-url"), None, "{unknown:?}");
        assert_eq!(unknown.header("x-debug-vhost"), None, "{unknown:?}");
    }
    if lacks.is_empty() { "yes".into() } else { format!("all but {}", lacks.join(", ")) }
}

pub(super) async fn access_log<R: Hipache>() -> String {
    let (_echo, wanted) = echo().await;
    let rig = R::new();
    let path = rig.room().join("access.log");
    let access = AccessLog { file: path.clone().try_into().unwrap(), format: LogFormat::of(Manners::Hipache) };
    let bench = started(rig, &wanted, Policies::default(), Some(access)).await;
    up(&bench).await;
    let line = async |word: &str| {
        let find = || {
            let text = std::fs::read_to_string(&path).unwrap();
            text.lines().find(|line| line.contains(word)).map(ToOwned::to_owned)
        };
        bench.eventually(word, async || find().is_some()).await;
        find().unwrap()
    };
    ask(bench.rig.http(), "a.example", "/logged?x", &[("User-Agent", "me"), ("Referer", "there")]).await;
    let (combined, rest) = split(&line("/logged?x").await);
    assert!(combined.starts_with("127.0.0.1 - - [") && combined.contains("] \"GET /logged?x HTTP/1.1\" 200 "));
    assert!(combined.ends_with(" \"there\" \"me\""), "{combined}");
    let [service, total, backend] = &rest;
    assert_eq!(service, "\"Web-1\"");
    for seconds in [total, backend] {
        let (whole, digits) = seconds.split_once('.').unwrap();
        assert!(whole.parse::<u64>().is_ok() && digits.len() == 3 && digits.parse::<u64>().is_ok(), "{rest:?}");
    }
    ask(bench.rig.http(), "b.example", "/nobody", &[]).await;
    let (combined, [service, _, backend]) = split(&line("/nobody").await);
    assert!(combined.contains(" 400 "), "{combined}");
    assert_eq!((service.as_str(), backend.as_str()), ("\"-\"", "-"));
    "yes".into()
}

/// The part that is `combined`, and the three words behind it.
fn split(line: &str) -> (String, [String; 3]) {
    let mut words = line.rsplitn(4, ' ').map(ToOwned::to_owned);
    let mut next = || words.next().unwrap();
    let (backend, total, service) = (next(), next(), next());
    (next(), [service, total, backend])
}

/// Over TLS it is that which is told, and its port.
async fn over_tls<R: Hipache + Tls>() {
    let (_echo, wanted) = echo().await;
    let wanted = wanted.default_certificate("first", &certificate(&["a.example"]));
    let bench = ruled::<R>(&wanted, Policies::default()).await;
    let (https, port) = (bench.rig.https(), bench.rig.https().port());
    let lines = ["proto: https".into(), "protocol: https".into(), format!("port: {port}")];
    let asks = async || {
        let (status, body) = client::ask(https, "a.example", "/").await;
        let body = body.to_ascii_lowercase();
        status == 200 && lines.iter().all(|line| body.contains(&format!("\r\nx-forwarded-{line}\r\n")))
    };
    bench.eventually("it is told of TLS", asks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_told_by_haproxy() {
    Box::pin(over_tls::<HaproxyRig>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_told_by_nginx() {
    Box::pin(over_tls::<NginxRig>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_told_by_openresty() {
    Box::pin(over_tls::<OpenrestyRig>()).await;
}
