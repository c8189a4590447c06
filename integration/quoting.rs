//! What a template's filters quote comes out of the real engines as it went in: random words are put into a
//! configuration, and asked for.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use backchat::demo::{Child, child::Folder, ports};
use backchat_template::Template;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use serde_json::json;
use tokio::time::Instant;

/// How many words each engine is given.
const WORDS: usize = 150;
/// How long an engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where Debian keeps nginx's modules.
const MODULES: &str = "/usr/lib/nginx/modules";

/// Words of what a parser cares for, the same in every run.
fn words(pattern: &str) -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let words = (0..WORDS).map(|_| pattern.new_tree(&mut runner).unwrap().current());
    words.collect()
}

/// Renders a configuration with these words and the engine's port into a folder.
fn render(folder: &Folder, text: &str, words: &[String], listen: SocketAddr) -> String {
    let template = Template { name: "quoting.jinja".into(), text: text.into() };
    let data = json!({ "words": words, "listen": listen, "folder": folder.path(), "modules": MODULES });
    let file = folder.path().join("engine.conf");
    fs::write(&file, template.render(&data).unwrap()).unwrap();
    file.display().to_string()
}

fn start(folder: &Folder, program: &str, args: &[&str]) -> Child {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    Child::start(Path::new(program), &args, &folder.path().join("log")).unwrap()
}

/// Asks for a path, with a header where one is to be matched; waits for an engine that is about to start.
async fn ask(engine: &Child, listen: SocketAddr, path: &str, header: Option<&str>) -> (u16, String) {
    let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    let began = Instant::now();
    loop {
        let mut request = client.get(format!("http://{listen}{path}"));
        if let Some(value) = header {
            request = request.header("x-word", value);
        }
        match request.send().await {
            Ok(answer) => return (answer.status().as_u16(), answer.text().await.unwrap()),
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}\n{}", engine.last_words(20)),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn check_words(engine: &Child, listen: SocketAddr, words: &[String], prefix: &str) {
    for (index, word) in words.iter().enumerate() {
        assert_eq!(ask(engine, listen, &format!("{prefix}{index}"), None).await, (200, word.clone()), "{prefix}");
    }
}

/// The expression matches its word, and neither more of it nor another.
async fn check_expressions(engine: &Child, listen: SocketAddr, words: &[String]) {
    for (index, word) in words.iter().enumerate() {
        let path = format!("/r{index}");
        for (value, matches) in [(word.clone(), true), (format!("{word}x"), false), (word.replacen('x', "y", 1), false)]
        {
            let (status, _) = ask(engine, listen, &path, Some(&value)).await;
            assert_eq!(status == 200, matches || value == *word, "{value} by the expression for {word}");
        }
    }
}

/// Printable, with blanks within: what a header may hold.
const HEADER: &str = "x[ -~]{0,20}[!-~]";

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_reads_what_was_quoted() {
    let folder = Folder::new("backchat-quoting-").unwrap();
    let (listen, program) = (ports::free().unwrap(), std::env::var("BACKCHAT_HAPROXY").unwrap_or("haproxy".into()));
    let words = [words("[ -~\té€]{1,40}|[\"'\\\\${}%# a]{1,12}"), words(HEADER)].concat();
    let text = r#"
defaults
    mode http
    timeout client 10s
    timeout connect 10s
    timeout server 10s
frontend words
    bind {{ listen }}
{% for word in words %}
    http-request return status 200 content-type text/plain string {{ word|quote_haproxy }} if { path /{{ loop.index0 }} }
    http-request return status 200 if { path /r{{ loop.index0 - 150 }} } { req.fhdr(x-word) -m reg {{ ("^" ~ word|regex_escape ~ "$")|quote_haproxy }} }
{% endfor %}
    http-request return status 404
"#;
    let file = render(&folder, text, &words, listen);
    let haproxy = start(&folder, &program, &["-db", "-f", &file]);
    check_words(&haproxy, listen, &words, "/").await;
    check_expressions(&haproxy, listen, &words[WORDS..]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_and_its_lua_read_what_was_quoted() {
    if !Path::new(MODULES).join("ngx_http_lua_module.so").exists() {
        eprintln!("SKIPPED: there is no lua module in {MODULES}");
        return;
    }
    let folder = Folder::new("backchat-quoting-").unwrap();
    let listen = ports::free().unwrap();
    let words =
        [words("[ -#%-~\té€]{0,40}|[\"'\\\\{};# a]{1,12}"), words("\\PC{0,20}|[\0-\u{1f}\"'\\\\\\[\\]}{$-]{1,12}")]
            .concat();
    let text = r"
load_module {{ modules }}/ndk_http_module.so;
load_module {{ modules }}/ngx_http_lua_module.so;
daemon off;
pid {{ folder }}/pid;
events {}
http {
    access_log off;
    default_type text/plain;
    server {
        listen {{ listen }};
{% for word in words %}
{% if loop.index0 < 150 %}
        location = /{{ loop.index0 }} { return 200 {{ word|quote_nginx }}; }
{% else %}
        location = /l{{ loop.index0 - 150 }} { content_by_lua_block { ngx.print({{ word|quote_lua }}) } }
{% endif %}
{% endfor %}
    }
}
";
    let file = render(&folder, text, &words, listen);
    let prefix = folder.path().display().to_string();
    let nginx = start(&folder, "nginx", &["-e", "stderr", "-p", &prefix, "-c", &file]);
    check_words(&nginx, listen, &words[..WORDS], "/").await;
    check_words(&nginx, listen, &words[WORDS..], "/l").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_matches_what_was_escaped_and_nothing_else() {
    let folder = Folder::new("backchat-quoting-").unwrap();
    let (listen, words) = (ports::free().unwrap(), words(HEADER));
    let text = r#"
daemon off;
pid {{ folder }}/pid;
events {}
http {
    access_log off;
    server {
        listen {{ listen }};
{% for word in words %}
        location = /r{{ loop.index0 }} {
            if ($http_x_word ~ {{ ("^" ~ word|regex_escape ~ "\\z")|quote_nginx }}) { return 200; }
            return 404;
        }
{% endfor %}
    }
}
"#;
    let file = render(&folder, text, &words, listen);
    let prefix = folder.path().display().to_string();
    let nginx = start(&folder, "nginx", &["-e", "stderr", "-p", &prefix, "-c", &file]);
    check_expressions(&nginx, listen, &words).await;
}
