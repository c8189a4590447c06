//! An nginx that somebody else runs: one file in it is ours, the rest is not.

use std::{
    fs,
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use backchat_contract::{Desired, Driver, DriverError, Mode, Step, Structure};
use backchat_nginx::{AttachedSettings, NginxDriver, Template, config::ConfigSettings, paths::Paths, titles};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{
    rig::{HOST, eventually, free, pid, program, route, service, signal_to, web as wanted},
    web::{self, LONG, Web},
};

/// Somebody's nginx, with a site of theirs, and our file included as `include` says.
struct Theirs {
    folder: TempDir,
    http: SocketAddr,
    child: Option<Child>,
    driver: NginxDriver,
}

impl Theirs {
    /// Nothing runs yet. `include` stands in their http block; `{}` is the folder of their configuration.
    fn new(include: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("bc").tempdir().unwrap();
        for name in ["etc/conf.d", "etc/sites", "run"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let http = free();
        let driver = NginxDriver::attached(settings(folder.path(), "etc/conf.d/backchat.conf"));
        let theirs = Self { folder, http, child: None, driver };
        theirs.write(include);
        theirs
    }

    fn write(&self, include: &str) {
        let (etc, temp) = (self.path("etc"), self.path("temp"));
        let include = include.replace("{}", &etc.display().to_string());
        // Names that are no full paths are meant from its own folder, and its log is where it likes.
        let text = format!(
            "pid {pid};\nerror_log {log};\nworker_processes 2;\nevents {{ worker_connections 64; }}\nhttp {{\n\
             access_log off;\nclient_body_temp_path {temp}-b;\nproxy_temp_path {temp}-p;\nfastcgi_temp_path {temp}-f;\n\
             uwsgi_temp_path {temp}-u;\nscgi_temp_path {temp}-s;\ninclude mime.types;\n{include}\nserver {{ listen {http};\n\
             location /theirs {{ return 200 theirs; }}\nlocation / {{\nif ($backchat_status = 404) {{ return 404; }}\n\
             if ($backchat_status = 503) {{ return 503; }}\nproxy_pass http://$backchat_upstream; }} }} }}\n",
            pid = self.path("nginx.pid").display(),
            log = self.path("their.log").display(),
            temp = temp.display(),
            http = self.http,
        );
        fs::write(self.path("etc/nginx.conf"), text).unwrap();
        fs::write(self.path("etc/mime.types"), "types { text/plain txt; }\n").unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ours(&self) -> String {
        fs::read_to_string(self.path("etc/conf.d/backchat.conf")).unwrap_or_default()
    }

    fn start(&mut self) {
        let mut command = std::process::Command::new(program());
        command
            .arg("-c")
            .arg(self.path("etc/nginx.conf"))
            .arg("-e")
            .arg(self.path("their.log"))
            .args(["-g", "daemon off;"]);
        // Its workers end with it, and hold nothing of ours open.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
    }

    /// With our file, as an operator who has read what is to be done.
    async fn serving(include: &str) -> Self {
        let mut theirs = Self::new(include);
        theirs.driver.ensure().await.unwrap_err();
        theirs.start();
        theirs.up().await;
        theirs
    }

    async fn up(&mut self) {
        eventually("their nginx is found", async || self.driver.ensure().await.is_ok()).await;
        eventually("it answers", async || web::ask(self.http, "GET", "a", "/theirs").await.0 == 200).await;
    }

    fn master(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    async fn step(&mut self, desired: &Desired) -> Result<Step<usize>, DriverError> {
        self.driver.ensure().await?;
        let observed = self.driver.observe().await?;
        Ok(match self.driver.plan(desired, &observed, Mode::default()) {
            Step::Change(plan) => Step::Change(usize::from(self.driver.apply(plan).await?.reloaded)),
            Step::Waiting { why, recheck } => Step::Waiting { why, recheck },
            Step::Converged => Step::Converged,
        })
    }

    /// Steps until nothing is left to do; how many reloads it took.
    async fn converge(&mut self, desired: &Desired) -> usize {
        let (mut reloads, begun) = (0, tokio::time::Instant::now());
        loop {
            match self.step(desired).await.unwrap_or_else(|error| panic!("failed to {error}")) {
                Step::Change(reloaded) => reloads += reloaded,
                Step::Waiting { why, .. } => {
                    assert!(begun.elapsed() < LONG, "still {why}");
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                Step::Converged => break,
            }
        }
        let observed = self.driver.observe().await.unwrap();
        assert_eq!(self.driver.live(&observed), *desired);
        reloads
    }

    /// Steps until this is said of the template.
    async fn tells(&mut self, desired: &Desired, words: &str) {
        eventually(words, async || {
            self.step(desired).await.unwrap();
            let observed = self.driver.observe().await.unwrap();
            self.driver.plane(&observed).template.is_some_and(|template| template.contains(words))
        })
        .await;
    }

    async fn get(&self, path: &str) -> (u16, String) {
        web::ask(self.http, "GET", HOST, path).await
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // It fails where all have ended.
        let _ = pid(child.id()).map(|group| rustix::process::kill_process_group(group, Signal::KILL));
        let _ = child.wait();
    }
}

fn settings(folder: &Path, include: &str) -> AttachedSettings {
    let text = include_str!("../../../../templates/nginx-include.conf.jinja").into();
    let template = Template { name: "nginx-include.conf.jinja".into(), text };
    let config = ConfigSettings::new(template, Paths::new(&folder.join("run")).unwrap(), Vec::new());
    let (conf, pid_file) = (folder.join("etc/nginx.conf"), folder.join("nginx.pid"));
    AttachedSettings::new(config, program(), folder.join(include), conf, pid_file).unwrap()
}

async fn serves(include: &str) {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let mut theirs = Theirs::serving(include).await;
    let master = theirs.master();
    assert_eq!(theirs.converge(&wanted(&[("one", one.addr)])).await, 1, "{include}");
    assert_eq!(theirs.get("/").await, (200, "one".into()));
    assert_eq!(theirs.converge(&wanted(&[("two", two.addr)])).await, 1);
    assert_eq!((theirs.get("/").await, theirs.get("/theirs").await.1), ((200, "two".into()), "theirs".into()));
    assert_eq!(theirs.converge(&wanted(&[])).await, 1);
    assert_eq!(theirs.get("/").await.0, 503);
    assert_eq!(web::ask(theirs.http, "GET", "other", "/").await.0, 404);
    // Nothing is left of the checks, and nobody but us has ended or started anything.
    let mut names: Vec<_> = ["etc", "etc/conf.d", "run"]
        .iter()
        .flat_map(|name| fs::read_dir(theirs.path(name)).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected =
        [".backchat.conf.last-good", "backchat.conf", "conf.d", "mime.types", "nginx.conf", "nginx.sock", "sites"];
    names.retain(|name| name != "nested.conf" && name != "all.conf");
    assert_eq!(names, expected);
    theirs.driver.stop(LONG).await.unwrap();
    assert!(titles::is_master(master));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_its_name() {
    serves("include {}/conf.d/backchat.conf;").await;
    serves("include conf.d/backchat.conf;").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_pattern() {
    serves("include conf.d/*.conf;").await;
    // Every file of the folder: what lies beside ours while it is checked, and after, is none of them.
    serves("include '{}/conf.d/*';").await;
}

/// A file that cannot be seen from the main one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_another_file() {
    let one = Web::start("one").await;
    let mut theirs = Theirs::new("include nested.conf;");
    fs::write(theirs.path("etc/nested.conf"), "# more\ninclude sites/*;\n").unwrap();
    fs::write(theirs.path("etc/sites/10-all.conf"), "map $host $x { default 1; }\ninclude conf.d/*.conf;\n").unwrap();
    theirs.driver.ensure().await.unwrap_err();
    theirs.start();
    theirs.up().await;
    assert_eq!(theirs.converge(&wanted(&[("one", one.addr)])).await, 1);
    assert_eq!(theirs.get("/").await, (200, "one".into()));
    assert_eq!(fs::read_dir(theirs.path("run")).unwrap().count(), 1, "the socket alone");
}

/// Their configuration does not name our file: that is said, with what to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_at_all() {
    let mut theirs =
        Theirs::new("map $host $backchat_status { default 404; }\nmap $host $backchat_upstream { default x; }");
    theirs.start();
    theirs.up().await;
    let error = theirs.step(&wanted(&[])).await.unwrap_err().to_string();
    let (conf, ours) = (theirs.path("etc/nginx.conf"), theirs.path("etc/conf.d/backchat.conf"));
    let expected = format!(
        "check {}: it does not include {1}: its http block needs 'include {1};'",
        conf.display(),
        ours.display()
    );
    assert!(error.starts_with(&expected), "{error}");
}

/// What stands in the rest of their configuration counts: the whole is checked, and the reason is nginx's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn their_mistakes_are_told() {
    let mut theirs = Theirs::serving("include conf.d/*.conf;").await;
    theirs.converge(&wanted(&[])).await;
    let before = theirs.ours();
    // An upstream of a name that a service comes with.
    fs::write(theirs.path("etc/conf.d/a.conf"), "upstream api { server 127.0.0.1:1; }\n").unwrap();
    let mut desired = wanted(&[]);
    service(&mut desired, "api", &[]);
    let error = theirs.step(&desired).await.unwrap_err().to_string();
    let ours = theirs.path("etc/conf.d/backchat.conf").display().to_string();
    assert!(error.contains(&format!("duplicate upstream \"api\" in {ours}:")), "{error}");
    assert_eq!(theirs.ours(), before);
    fs::remove_file(theirs.path("etc/conf.d/a.conf")).unwrap();
    assert_eq!(theirs.converge(&desired).await, 1);
}

/// A reload that their nginx refuses in silence: its own log says why, wherever that is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_refused_in_silence_is_told_and_undone() {
    let mut theirs = Theirs::serving("include conf.d/*.conf;").await;
    theirs.converge(&wanted(&[])).await;
    let before = theirs.ours();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap();
    fs::write(theirs.path("etc/conf.d/a.conf"), format!("server {{ listen {port}; }}\n")).unwrap();
    let error = theirs.step(&wanted(&[("one", free())])).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("reload: bind() to {port} failed (98: Address already in use)")), "{error}");
    assert_eq!(theirs.ours(), before);
}

/// The pid file: not there, empty, of nobody, of somebody else. Nobody is ever signalled but an nginx master.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_nginx_is_left_alone() {
    let mut theirs = Theirs::new("include conf.d/*.conf;");
    let mut other = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let file = theirs.path("nginx.pid");
    let named = format!("reach nginx of {}: ", file.display());
    for (holds, expected) in [
        (None, "there is no such file"),
        (Some(String::new()), "the file is empty"),
        (Some("x\n".into()), "the file holds no pid"),
        (Some("4194304\n".into()), "there is no process 4194304"),
        (Some(format!("{}\n", other.id())), "is no nginx master but 'sleep 600'"),
    ] {
        if let Some(text) = holds {
            fs::write(&file, text).unwrap();
        }
        let error = theirs.driver.ensure().await.unwrap_err().to_string();
        assert!(error.starts_with(&named) && error.contains(expected), "{error}");
    }
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
}

/// Killed, it leaves our socket: it could not start again over it. Started again, by whomever, it is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn their_restart_is_found() {
    let one = Web::start("one").await;
    let desired = wanted(&[("one", one.addr)]);
    let mut theirs = Theirs::serving("include conf.d/*.conf;").await;
    theirs.converge(&desired).await;
    let socket = theirs.path("run/nginx.sock");
    let workers = titles::children(theirs.master());
    signal_to(theirs.master(), Signal::KILL);
    for worker in &workers {
        signal_to(worker.pid, Signal::KILL);
    }
    theirs.driver.attention().await;
    theirs.child.take().unwrap().wait().unwrap();
    assert!(socket.exists(), "this is what is cleared away");
    let error = theirs.driver.ensure().await.unwrap_err().to_string();
    assert!(error.contains("there is no process"), "{error}");
    eventually("the socket is cleared away", async || {
        theirs.driver.ensure().await.unwrap_err();
        !socket.exists()
    })
    .await;
    theirs.start();
    theirs.up().await;
    // Its file holds the set: nothing is to be done.
    assert_eq!(theirs.converge(&desired).await, 0);
    assert_eq!(theirs.get("/").await, (200, "one".into()));
}

/// What somebody wrote into our file is kept, in our folder, before it is written over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_file_is_kept_aside() {
    let mut theirs = Theirs::serving("include conf.d/*;").await;
    theirs.converge(&wanted(&[])).await;
    let file = theirs.path("etc/conf.d/backchat.conf");
    let edited = theirs.ours().replacen("default 200;", "default  200;", 1);
    fs::write(&file, &edited).unwrap();
    let Ok(Step::Waiting { why, .. }) = theirs.step(&wanted(&[("one", free())])).await else {
        panic!("it does not wait")
    };
    assert!(why.starts_with(&format!("{} was edited by hand; ", file.display())), "{why}");
    assert!(why.contains("run/backchat.conf.edited (needed: endpoints of web changed)"), "{why}");
    theirs.driver.ensure().await.unwrap();
    let observed = theirs.driver.observe().await.unwrap();
    let forced = Mode { structure: Structure::Forced };
    let Step::Change(plan) = theirs.driver.plan(&wanted(&[("one", free())]), &observed, forced) else { panic!() };
    assert!(theirs.driver.apply(plan).await.unwrap().reloaded);
    assert_eq!(fs::read_to_string(theirs.path("run/backchat.conf.edited")).unwrap(), edited);
}

/// Their tables are as small as nginx makes them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_names_fit_into_their_tables() {
    let one = Web::start("any").await;
    let mut desired = wanted(&[("one", one.addr)]);
    let label = |c: &str| c.repeat(63);
    let mut hosts = Vec::new();
    for c in ["a", "b"] {
        let name = c.repeat(64);
        service(&mut desired, &name, &[(&c.repeat(70), one.addr)]);
        service(&mut desired, &name.to_uppercase(), &[]);
        let host = format!("{0}.{0}.{0}.{1}", label(c), c.repeat(61));
        route(&mut desired, &host, "/", &name);
        route(&mut desired, &format!("*.{}", &host[64..]), "/", &name);
        route(&mut desired, &format!("{}.empty", c.repeat(40)), "/", &name.to_uppercase());
        hosts.extend([format!("x.{}", &host[64..]), host]);
    }
    let mut theirs = Theirs::serving("include conf.d/*;").await;
    assert_eq!(theirs.converge(&desired).await, 1);
    for host in hosts {
        assert_eq!(web::ask(theirs.http, "GET", &host, "/").await, (200, "any".into()), "{host}");
    }
    assert_eq!(web::ask(theirs.http, "GET", &format!("{}.empty", "a".repeat(40)), "/").await.0, 503);
}

/// A template of the operator's own: what is refused in our file is told by its line and holds up nothing else; of what
/// is wrong in theirs it is not to blame.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_is_followed() {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let mut theirs = Theirs::new("include conf.d/*.conf;");
    let file = theirs.path("my.jinja");
    let ours = include_str!("../../../../templates/nginx-include.conf.jinja");
    fs::write(&file, ours).unwrap();
    let mut by = AttachedSettings {
        template_file: Some(file.clone()),
        ..settings(theirs.folder.path(), "etc/conf.d/backchat.conf")
    };
    by.config.template.name = file.display().to_string();
    theirs.driver = NginxDriver::attached(by);
    theirs.driver.ensure().await.unwrap_err();
    theirs.start();
    theirs.up().await;
    theirs.converge(&wanted(&[("one", one.addr)])).await;

    let broken = ours.replace("    keepalive 32;\n", "    nonsense 3;\n");
    fs::write(&file, &broken).unwrap();
    let line = broken.lines().position(|line| line == "    nonsense 3;").unwrap() + 1;
    let place =
        format!("{}:{line}: unknown directive \"nonsense\": 'nonsense 3;'; generation 2 serves on", file.display());
    theirs.tells(&wanted(&[("one", one.addr)]), &place).await;
    assert!(!theirs.ours().contains("nonsense"));
    let now = wanted(&[("two", two.addr)]);
    theirs.tells(&now, "my.jinja").await;
    assert_eq!(theirs.get("/").await, (200, "two".into()));

    theirs.write("include conf.d/*.conf;\nnonsense 4;");
    fs::write(&file, ours.replace("    keepalive 32;\n", "    keepalive 33;\n")).unwrap();
    let conf = theirs.path("etc/nginx.conf").display().to_string();
    theirs.tells(&now, &format!("{conf}: unknown directive \"nonsense\" in {conf}:")).await;
    theirs.write("include conf.d/*.conf;");
    fs::write(&file, ours.replace("    keepalive 32;\n", "    keepalive 34;\n")).unwrap();
    eventually("it is in use", async || {
        theirs.step(&now).await.unwrap();
        theirs.ours().contains("    keepalive 34;\n")
    })
    .await;
    theirs.converge(&now).await;
}
