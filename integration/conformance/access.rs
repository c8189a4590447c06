//! The access log: one line a request, whatever the request says, and whoever answers it.

use std::{collections::BTreeSet, path::PathBuf};

use backchat_contract::{AccessLog, Driver};
use serde_json::Value;

use super::{
    bench::Bench,
    rig::Rig,
    web::{self, Web},
    words::Wanted,
};

/// A rig whose data plane can be told to write a line a request.
pub(crate) trait Logs: Rig {
    /// The folder in which it may.
    fn folder(&self) -> PathBuf;

    /// A driver that has it write.
    fn logging(&self, access: AccessLog) -> Self::Driver;
}

/// A data plane with one service behind `a.example`, an empty one behind `empty.example`, and a log.
struct Logged<R: Logs> {
    bench: Bench<R>,
    wanted: Wanted,
    _server: Web,
}

impl<R: Logs> Logged<R> {
    async fn start(format: &str) -> Self {
        let server = Web::start("one").await;
        let wanted = Wanted::default().ready("Web-1", "one", server.addr).route("a.example", "/", "Web-1");
        let wanted = wanted.service("empty").route("empty.example", "/", "empty");
        let rig = R::new();
        let file = rig.folder().join("access.log").try_into().unwrap();
        let mut driver = rig.logging(AccessLog { file, format: format.parse().unwrap() });
        driver.ensure().await.unwrap();
        let mut bench = Bench { rig, driver };
        bench.converge(&wanted).await;
        bench.comes_to("a.example", "/up", 200, "one").await;
        Self { bench, wanted, _server: server }
    }

    fn text(&self) -> String {
        // Whatever a client sends, what is written is text.
        String::from_utf8(std::fs::read(self.bench.rig.folder().join("access.log")).unwrap()).unwrap()
    }

    /// The one line that holds these words.
    async fn line(&self, words: &[&str]) -> String {
        let find = || {
            let text = self.text();
            let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let lines: Vec<_> = whole.filter(|line| words.iter().all(|word| line.contains(word))).collect();
            assert!(lines.len() < 2, "{lines:#?}");
            lines.first().map(|line| line.trim_end_matches('\n').to_owned())
        };
        self.bench.eventually(&format!("a line with {words:?} in {}", self.text()), async || find().is_some()).await;
        find().unwrap()
    }

    async fn get(&self, host: &str, path: &str) -> u16 {
        self.bench.get(host, path).await.0
    }

    async fn raw(&self, request: &[u8]) -> u16 {
        web::send_bytes(self.bench.rig.http(), request).await.0
    }
}

/// The fields of a line of Apache's `combined` format, as any reader of it takes them apart.
fn combined(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut until, mut escaped) = (Vec::new(), String::new(), None, false);
    for letter in line.chars() {
        match (until, letter) {
            (Some('"'), _) if escaped => {
                escaped = false;
                field.push(letter);
            }
            (Some('"'), '\\') => escaped = true,
            (Some(end), _) if letter == end => until = None,
            (None, '"') => until = Some('"'),
            (None, '[') => until = Some(']'),
            (None, ' ') => fields.push(std::mem::take(&mut field)),
            _ => field.push(letter),
        }
    }
    assert_eq!(until, None, "a field without an end: {line}");
    fields.push(field);
    fields
}

/// Field by field, answered by a server or by the balancer itself.
pub(crate) async fn combined_is_read_back<R: Logs>() {
    let logged = Logged::<R>::start("combined").await;
    for (host, path, status) in
        [("a.example", "/ok?x=1", 200), ("b.example", "/none", 404), ("empty.example", "/e", 503)]
    {
        assert_eq!(logged.get(host, path).await, status);
        let fields = combined(&logged.line(&[path]).await);
        let [client, ident, user, time, request, said, bytes, referer, agent] = &fields[..] else {
            panic!("{fields:?}")
        };
        assert_eq!([client, ident, user, referer, agent], ["127.0.0.1", "-", "-", "-", "-"]);
        assert_eq!((request.as_str(), said.as_str()), (&*format!("GET {path} HTTP/1.1"), &*status.to_string()));
        assert!(bytes.parse::<u64>().is_ok_and(|bytes| bytes > 0), "{fields:?}");
        assert_eq!(time.len(), "28/Nov/2026:21:04:52 +0000".len(), "{time}");
    }
    assert_eq!(logged.raw(b"GET /nohost HTTP/1.0\r\n\r\n").await, 400);
    assert_eq!(combined(&logged.line(&["/nohost"]).await)[5], "400");
    // No request at all: no word of it need be there, but a line must.
    assert_eq!(logged.raw(b"what is\x01 this\r\n\r\n").await, 400);
    logged.bench.eventually("a second 400", async || logged.text().matches("\" 400 ").count() == 2).await;
    let basic = b"GET /user HTTP/1.1\r\nHost: a.example\r\nAuthorization: Basic am9lOng=\r\nConnection: close\r\n\r\n";
    assert_eq!(logged.raw(basic).await, 200);
    assert_eq!(combined(&logged.line(&["/user"]).await)[2], "joe");
}

/// As many lines as requests, over a reload too.
pub(crate) async fn one_line_a_request<R: Logs>() {
    let mut logged = Logged::<R>::start("%r").await;
    let asked = |round: usize| (0..10).map(move |n| format!("GET /n{round}x{n} HTTP/1.1"));
    for round in 0..3 {
        for n in 0..10 {
            assert_eq!(logged.get("a.example", &format!("/n{round}x{n}")).await, 200);
        }
        match round {
            0 => logged.bench.rig.reload(),
            // Rotation by cutting: what was written is gone, what follows is written on.
            1 => {
                logged.line(&["/n1x9"]).await;
                // What an engine says of its own reload is said elsewhere.
                assert!(logged.text().lines().all(|line| line.starts_with("GET /")), "{}", logged.text());
                std::fs::File::create(logged.bench.rig.folder().join("access.log")).unwrap();
            }
            _ => {}
        }
        let wanted = logged.wanted.clone();
        logged.bench.settle(&wanted).await;
        logged.bench.comes_to("a.example", "/up", 200, "one").await;
    }
    logged.line(&["/n2x9"]).await;
    let text = logged.text();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("/n")).collect();
    assert_eq!(lines.len(), 10, "{text}");
    assert_eq!(lines.into_iter().map(ToOwned::to_owned).collect::<BTreeSet<_>>(), asked(2).collect::<BTreeSet<_>>());
}

/// What the format says, in its order, with all there is to say.
pub(crate) async fn any_format<R: Logs>() {
    let format = "%h|%m|%U|%q|%H|%s|%v|%p|%{X-Id}i|%{Content-Type}o|%{service}x|%{endpoint}x|%%{}#;[]|%D|%T|%{ms}T|%b|%B|%{iso8601}t|%sx";
    let logged = Logged::<R>::start(format).await;
    let request =
        "POST /a/b?c=d?e HTTP/1.1\r\nHost: A.example:81\r\nX-Id: 7 8\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(logged.raw(request.as_bytes()).await, 200);
    let line = logged.line(&["/a/b"]).await;
    let fields: Vec<&str> = line.split('|').collect();
    let port = logged.bench.rig.http().port().to_string();
    assert_eq!(
        fields[..11],
        ["127.0.0.1", "POST", "/a/b", "?c=d?e", "HTTP/1.1", "200", "a.example", &port, "7 8", "-", "Web-1"]
    );
    let one = &logged.wanted.0.services[&"Web-1".parse().unwrap()].endpoints[&"one".parse().unwrap()];
    assert!([one.addr.to_string().as_str(), "one"].contains(&fields[11]), "{line}");
    assert_eq!(fields[12], "%{}#;[]");
    assert!(fields[13..18].iter().all(|number| number.parse::<u64>().is_ok()), "{line}");
    assert_eq!(fields[18].len(), "2026-11-28T21:04:52+00:00".len(), "{line}");
    assert_eq!(fields[19], "200x");
    assert_eq!(logged.get("c.example", "/none").await, 404);
    let line = logged.line(&["/none"]).await;
    let fields: Vec<&str> = line.split('|').collect();
    assert_eq!((fields[3], fields[5], fields[10], fields[11]), ("-", "404", "-", "-"), "{line}");
}

/// Whatever bytes a client sends: each line is one object, and says what was text of it as it was.
pub(crate) async fn json_is_json<R: Logs>() {
    let logged = Logged::<R>::start("json").await;
    let quotes = r#"","status":1,"x":"\"\\\u0000 \n %0a ${x} 'y'"#;
    let hostile: Vec<u8> = (1..=255).filter(|byte| !b"\r\n".contains(byte)).collect();
    let agents: [&[u8]; 6] =
        [quotes.as_bytes(), "gr\u{fc}n \u{20ac}".as_bytes(), b"\xff\xfe", &hostile, b"\xc3", &[b'"'; 3000]];
    for (n, agent) in agents.into_iter().enumerate() {
        let mut request =
            format!("GET /q{n}x?\"a\\ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nUser-Agent: ").into_bytes();
        request.extend(agent);
        request.extend(b"\r\n\r\n");
        let status = logged.raw(&request).await;
        // An engine may take some of it for no request: then it says so, and logs that.
        if status != 200 {
            assert_eq!(status, 400, "{n}");
        }
    }
    for junk in [
        &b"\"}\x00{\"\r\n\r\n"[..],
        b"GET /\xff\"\\ HTTP/1.1\r\nHost: \"\\\xff\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
    ] {
        logged.raw(junk).await;
    }
    assert_eq!(logged.get("a.example", "/last").await, 200);
    logged.line(&["/last"]).await;
    let text = logged.text();
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    let of = |path: &str| lines.iter().find(|line| line["path"] == path);
    for (n, agent) in [(0, quotes), (1, "gr\u{fc}n \u{20ac}")] {
        let line = of(&format!("/q{n}x")).unwrap();
        assert_eq!(
            (line["user_agent"].as_str(), line["query"].as_str(), &line["status"]),
            (Some(agent), Some("?\"a\\"), &200.into())
        );
        assert_eq!(line["service"], "Web-1");
    }
    assert!(
        lines.iter().all(|line| line["status"].is_i64() && line["ms"].is_i64() && line["bytes"].is_i64()),
        "{text}"
    );
    let status = |line: &Value| line["status"].as_i64().unwrap();
    assert!(
        lines.iter().map(status).all(|status| status == 200 || status == 400 || status == 404 || status == 503),
        "{text}"
    );
}

/// A header that says a line of its own is a field of the one line that it belongs to.
pub(crate) async fn no_header_forges_a_line<R: Logs>() {
    let logged = Logged::<R>::start("combined").await;
    let forged = r#"x" 200 5 "-" "-"\r\n6.6.6.6 - - [28/Nov/2026:21:04:52 +0000] "GET /forged HTTP/1.1" 200 5 "-" "x"#;
    let request = format!(
        "GET /real HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nReferer: {forged}\r\nUser-Agent: a\\\r\n\r\n"
    );
    assert_eq!(logged.raw(request.as_bytes()).await, 200);
    let fields = combined(&logged.line(&["/real"]).await);
    assert_eq!(fields.len(), 9, "{fields:?}");
    assert_eq!((fields[0].as_str(), fields[7].as_str(), fields[8].as_str()), ("127.0.0.1", forged, "a\\"));
    // A line's end within a header: refused, folded or cut off, and one line at most either way.
    for between in ["\n", "\r", "\r\n ", "\x0b", "\x00"] {
        let request = format!(
            "GET /split HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nUser-Agent: a{between}6.6.6.6 /forged\r\n\r\n"
        );
        logged.raw(request.as_bytes()).await;
    }
    assert_eq!(logged.get("a.example", "/last").await, 200);
    logged.line(&["/last"]).await;
    assert!(
        logged.text().lines().all(|line| !line.starts_with("6.6.6.6") && combined(line).len() == 9),
        "{}",
        logged.text()
    );
}
