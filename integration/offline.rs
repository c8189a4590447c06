//! `template render` and `config check` as a shell sees them: on real haproxy and nginx programs, without any that runs,
//! and without a trace outside a folder of their own.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// The drivers, each with its program as the tests know it.
fn drivers() -> [(&'static str, Option<String>); 3] {
    ["haproxy", "nginx", "openresty"]
        .map(|name| (name, std::env::var(format!("BACKCHAT_{}", name.to_uppercase())).ok()))
}

/// A folder with a file that lists services, and one for what must not come to be.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = "[services.web]\nhosts = ['www.example.com']\npath = '/shop'\nendpoints = [\n  \
                    { name = 'web1', addr = '192.0.2.1:8080', weight = 7 },\n]\n";
        fs::write(folder.path().join("s.toml"), text).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    /// Status, standard output and standard error; the folder's own name taken out.
    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backchat"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BACKCHAT_")) {
            command.env_remove(name);
        }
        // What it makes for itself is to be gone afterwards.
        fs::create_dir_all(self.path("tmp")).unwrap();
        command.env("TMPDIR", self.path("tmp")).current_dir(self.folder.path());
        let Output { status, stdout, stderr } = command.args(args).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).unwrap().replace(&self.folder.path().display().to_string(), "DESK")
        };
        assert_eq!(fs::read_dir(self.path("tmp")).unwrap().count(), 0, "it left something behind");
        assert!(!self.path("run").exists(), "it made its run folder");
        (status.code(), text(stdout), text(stderr))
    }

    /// A balancer's configuration with the driver's program in it.
    fn lb(&self, (driver, program): &(&str, Option<String>), more: &str) -> String {
        let program = program.as_ref().map_or_else(String::new, |path| format!("{driver} = '{path}'\n"));
        let run_dir = self.path("run").display().to_string();
        let text =
            format!("insecure = true\nnode = 'proxy'\nrun-dir = '{run_dir}'\ndriver = '{driver}'\n{program}{more}");
        self.write("lb.toml", &text)
    }
}

#[test]
fn each_drivers_files_are_printed() {
    let desk = Desk::new();
    let run_dir = desk.path("run").display().to_string();
    let args = ["template", "render", "--source", "file:s.toml", "--run-dir", &run_dir, "--listen", "192.0.2.9:8000"];
    for (driver, _) in drivers() {
        let (status, text, error) = desk.run(&[&args[..], &["--driver", driver]].concat());
        assert_eq!((status, error.as_str()), (Some(0), ""), "{driver}");
        for said in ["192.0.2.1:8080", "192.0.2.9:8000", "www.example.com", "/shop"] {
            assert!(text.contains(said), "{driver} lacks {said}: {text}");
        }
        let heads: Vec<&str> = text.lines().filter(|line| line.starts_with("==> ")).collect();
        let files = ["haproxy.cfg", "hosts.map", "services.map"].map(|name| format!("==> DESK/run/{name} <=="));
        assert_eq!(heads, if driver == "haproxy" { files.to_vec() } else { Vec::new() }, "{driver}");
        // The same input, the same bytes.
        assert_eq!(desk.run(&[&args[..], &["--driver", driver]].concat()).1, text, "{driver}");
    }
    let (_, config, _) = desk.run(&[&args[..], &["--file", "haproxy.cfg"]].concat());
    assert!(
        config.contains("backend web from")
            && config.contains("server web1 192.0.2.1:8080 id ")
            && config.contains("weight 7\n"),
        "{config}"
    );
    let (status, _, error) = desk.run(&[&args[..], &["--file", "x"]].concat());
    assert_eq!(status, Some(64), "{error}");
}

#[test]
fn what_does_not_render_is_said_with_its_line() {
    let desk = Desk::new();
    desk.write("my.jinja", "global\n    {{ servce }}\n");
    for driver in ["haproxy", "nginx", "openresty"] {
        let args = ["template", "render", "--driver", driver, "--source", "file:s.toml", "--template", "my.jinja"];
        let (status, text, error) = desk.run(&args);
        assert_eq!((status, text.as_str()), (Some(78), ""), "{error}");
        assert!(error.starts_with("template: my.jinja:2: 'servce' is undefined"), "{error}");
    }
    let (status, _, error) = desk.run(&["template", "render", "--source", "file:s.toml", "--template", "none.jinja"]);
    assert_eq!((status, error.as_str()), (Some(78), "template: --template none.jinja: No such file or directory\n"));
    desk.write("bad.toml", "[services.web]\nendpoint = []\n");
    let (status, _, error) = desk.run(&["template", "render", "--source", "file:bad.toml"]);
    let words = "template: bad.toml:2:1: unknown key 'endpoint' of service web; did you mean 'endpoints'?\n";
    assert_eq!((status, error.as_str()), (Some(78), words));
}

/// With the listeners taken: nobody looks whether they are free.
#[test]
fn a_good_file_passes_and_leaves_no_trace() {
    let desk = Desk::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    for driver in drivers() {
        let source = format!("file:{}", desk.path("s.toml").display());
        let file = desk.lb(&driver, &format!("listen = ['{port}']\nsource = ['{source}']\n"));
        let (status, text, error) = desk.run(&["config", "check", &file]);
        assert_eq!((status, error.as_str()), (Some(0), ""), "{driver:?}: {text}");
        assert!(text.starts_with("DESK/lb.toml: ok for lb ('driver' is its key)\n"), "{text}");
        assert!(text.contains("sources   1 endpoint of 1 service\n"), "{text}");
        assert!(text.contains("template  ours renders an example and what is listed\nengine    takes it\n"), "{text}");
    }
}

/// Each template with a word of its own that its engine does not know.
#[test]
fn what_the_engine_refuses_is_said_with_the_templates_line() {
    let desk = Desk::new();
    for driver in drivers() {
        let (_, ours, _) = desk.run(&["template", "show", driver.0]);
        let (before, after) = ours
            .split_at(ours.find(if driver.0 == "haproxy" { "    retries 3" } else { "    server_tokens" }).unwrap());
        let line = before.lines().count() + 1;
        let template = desk.write("my.jinja", &format!("{before}    nonsense on;\n{after}"));
        let file = desk.lb(&driver, &format!("template = '{template}'\n"));
        let (status, text, error) = desk.run(&["config", "check", &file]);
        assert_eq!((status, text.as_str()), (Some(78), ""), "{error}");
        assert!(error.starts_with(&format!("config: DESK/my.jinja:{line}: ")) && error.contains("nonsense"), "{error}");
        let (status, text, _) = desk.run(&["config", "check", &file, "--no-engine"]);
        assert!(status == Some(0) && text.contains("engine    not asked"), "{text}");
    }
}

#[test]
fn mistakes_are_said_with_file_line_and_column() {
    let desk = Desk::new();
    let check = |text: &str, flags: &[&str], status: i32, said: &str| {
        let file = desk.write("b.toml", text);
        let (got, out, error) = desk.run(&[&["config", "check", &file], flags].concat());
        assert_eq!((got, error.as_str()), (Some(status), said), "{text}{out}");
    };
    check(
        "driver = 'haproxy'\n lisen = []\n",
        &[],
        78,
        "config: DESK/b.toml:2:2: unknown key 'lisen'; did you mean 'listen'?\n",
    );
    check(
        "driver = 'caddy'\n",
        &[],
        78,
        "config: DESK/b.toml:1:10: unknown variant `caddy`, expected one of `haproxy`, `nginx`, `openresty`\n",
    );
    check(
        "driver = 'nginx'\ninsecure = true\n  spares = 3\n",
        &[],
        78,
        "config: DESK/b.toml:3:3: --spares goes with --driver haproxy: nginx reloads for a new service\n",
    );
    let needs = "config: DESK/b.toml: 0.0.0.0:7946 needs a key: 'backchat keygen --out key', then --key-file key; or --insecure\n";
    check("[[service]]\nname = 'web'\nport = 80\n", &[], 78, needs);
    check("[[service]]\nname = 'web'\nport = 80\n", &["--", "--insecure"], 0, "");
    check("node = 'a'\ninsecure = true\n", &["--as", "agent"], 0, "");
    check(
        "driver = 'nginx'\n",
        &["--", "--nonsense"],
        64,
        "config: behind '--': unexpected argument '--nonsense' found\n",
    );
    check("node = \n", &[], 78, "config: DESK/b.toml:1:8: string values must be quoted, expected literal string\n");
    let lost = desk.path("lost");
    let key = format!("insecure = false\nkey-file = '{}'\n", lost.display());
    check(&key, &["--as", "agent"], 78, "config: read key file DESK/lost: No such file or directory\n");
}

/// What is written of a store may hold its password: a mistake in it is said without.
#[test]
fn a_stores_password_is_not_shown() {
    let desk = Desk::new();
    let check = |uri: &str, why: &str| {
        let (status, _, error) = desk.run(&["lb", "--no-gossip", "--source", uri]);
        assert_eq!((status, error.as_str()), (Some(64), format!("lb: --source {why}\n").as_str()), "{uri}");
        let file = desk.write("b.toml", &format!("no-gossip = true\nsource = ['{uri}']\n"));
        let (status, _, error) = desk.run(&["config", "check", &file]);
        assert_eq!(
            (status, error.as_str()),
            (Some(78), format!("config: DESK/b.toml:2:10: {why}\n").as_str()),
            "{uri}"
        );
    };
    let usage = "use redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?OPTION=VALUE&…][#PREFIX]";
    check(
        "redis://:s3cret@r/x",
        &format!("redis://…: what stands behind the host is no number of a database: {usage}"),
    );
    check("redis://:s3cret@r:99999", &format!("redis://…: invalid port number: {usage}"));
    check("redi://:s3cret@r", "redi://…: use file:PATH, redis://HOST, etcd://HOST, docker");
    let encode = "redis://…: in a password, write / as %2F, ? as %3F, # as %23; elsewhere, @ as %40";
    check("redis://:s3cret#x@r", encode);
    let alone = "redis://…: primary names no server: use HOST:PORT alone, for it is asked with the same user, password \
                 and TLS";
    check("redis://r?primary=redis://:s3cret@p", alone);
    check("redis://r?primary=:s3cret@p:7001", alone);
    let file = desk.write("b.toml", "no-gossip = true\nsource = 'redis://:s3cret@r'\n");
    let (status, _, error) = desk.run(&["config", "check", &file]);
    let said = "config: DESK/b.toml:2:10: use a list: source = [\"URI\"]\n";
    assert_eq!((status, error.as_str()), (Some(78), said));
}

/// A program in nginx's place that keeps what it was to check.
fn witness(desk: &Desk) -> String {
    let keep = "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ \"$1\" = -c ] && cat \"$2\" >> SEEN; shift; done\n";
    let program = desk.write("witness", &keep.replace("SEEN", &desk.path("seen").display().to_string()));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    program
}

/// `nginx -t` binds what it reads: what it is given to read listens on nothing but sockets in a folder that goes.
#[test]
fn what_nginx_is_asked_about_listens_on_no_port() {
    let desk = Desk::new();
    let file = desk.lb(&("nginx", Some(witness(&desk))), "listen = ['0.0.0.0:80', '[::]:8080']\n");
    let (status, _, error) = desk.run(&["config", "check", &file]);
    assert_eq!((status, error.as_str()), (Some(0), ""));
    let seen = fs::read_to_string(desk.path("seen")).unwrap();
    let listens: Vec<&str> = seen.lines().map(str::trim).filter(|line| line.starts_with("listen")).collect();
    assert_eq!(listens.len(), 3, "{listens:?}");
    let within = format!("listen unix:{}/backchat-check-", desk.path("tmp").display());
    assert!(listens.iter().all(|line| line.starts_with(&within)), "{listens:?}");
    assert!(!seen.contains(&desk.path("run").display().to_string()), "it names the run folder");
}

/// Of somebody else's nginx our part alone is looked at, and nothing of his is touched.
#[test]
fn our_part_of_somebodys_nginx_is_checked_alone() {
    let desk = Desk::new();
    let [include, conf, pid] = ["b.conf", "nginx.conf", "nginx.pid"].map(|name| desk.path(name).display().to_string());
    let theirs = format!("attach = true\nnginx-include = '{include}'\nnginx-conf = '{conf}'\npid-file = '{pid}'\n");
    let [_, nginx, openresty] = drivers();
    let said = "engine    takes our part; the whole of DESK/nginx.conf is checked when lb runs\n";
    for driver in [openresty, nginx] {
        let (status, text, error) = desk.run(&["config", "check", &desk.lb(&driver, &theirs)]);
        assert_eq!((status, error.as_str()), (Some(0), ""), "{driver:?}: {text}");
        assert!(text.contains(said), "{text}");
    }
    assert!([&include, &conf, &pid].iter().all(|path| !Path::new(path).exists()));
    // His file is rendered too.
    let (status, text, error) = desk.run(&["template", "render", "--config", "lb.toml", "--source", "file:s.toml"]);
    assert_eq!((status, error.as_str()), (Some(0), ""));
    assert!(text.contains("For the http block of an nginx.conf.") && text.contains("192.0.2.1:8080"), "{text}");
    let theirs = "attach = true\nhaproxy-socket = '/nowhere/x.sock'\n";
    let (status, text, _) = desk.run(&["config", "check", &desk.lb(&("haproxy", None), theirs)]);
    assert!(
        status == Some(0) && text.contains("template  none: an attached HAProxy has a file of its own\n"),
        "{text}"
    );
    let (status, _, error) = desk.run(&["template", "render", "--config", "lb.toml", "--source", "file:s.toml"]);
    assert_eq!(
        (status, error.as_str()),
        (Some(78), "template: an attached HAProxy has a file of its own: nothing is rendered\n")
    );
}

#[test]
fn an_engine_that_is_not_there_is_no_mistake_of_the_file() {
    let desk = Desk::new();
    for (driver, name) in [("haproxy", "haproxy"), ("nginx", "nginx"), ("openresty", "openresty")] {
        let nowhere = desk.path(name).display().to_string();
        let file = desk.lb(&(driver, Some(nowhere)), "");
        let (status, text, error) = desk.run(&["config", "check", &file]);
        assert_eq!(status, Some(0), "{error}");
        assert!(
            error.starts_with("config: not checked by the engine: ") && error.contains(&format!("DESK/{name}")),
            "{error}"
        );
        assert!(text.contains("engine    was not there to ask"), "{text}");
    }
}
