//! An OpenResty that somebody else runs, or his nginx with the Lua module: one file in it is ours, the rest is not.

use std::{
    fs,
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use backchat_contract::{Driver, DriverError, EndpointState, Idle, Mode, Step};
use backchat_nginx::titles;
use backchat_openresty::{AttachedSettings, OpenrestyDriver, Paths, Template, config::ConfigSettings, program};
use rustix::process::{Signal, kill_process, kill_process_group};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{
    rig::{Set, eventually, free, pid, program as named},
    web::{self, LONG, Web},
};

const OURS: &str = include_str!("../../../../templates/openresty-include.conf.jinja");

/// What stands in a location that hands on to us.
const LOCATION: &str = "access_by_lua_block { require(\"backchat\").route() }\nproxy_pass http://backchat;\n\
                        log_by_lua_block { require(\"backchat\").done() }";

/// Somebody's nginx, with a site of theirs that hands on what it does not answer itself.
struct Theirs {
    folder: TempDir,
    http: SocketAddr,
    modules: String,
    child: Option<Child>,
    driver: OpenrestyDriver,
}

impl Theirs {
    /// Nothing runs yet; `more` stands in their http block, beside the include.
    async fn new(more: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("bc").tempdir().unwrap();
        for name in ["etc/conf.d", "run"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let found = program::find(Some(&named())).await.unwrap().modules;
        let load = |module: &PathBuf| format!("load_module {};\n", module.display());
        let modules = found.iter().map(load).collect();
        let driver = OpenrestyDriver::attached(settings(folder.path())).unwrap();
        let theirs = Self { folder, http: free(), modules, child: None, driver };
        theirs.write(more);
        theirs
    }

    fn write(&self, more: &str) {
        let temp = self.path("temp").display().to_string();
        let temps: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {temp}-{kind};\n"))
            .concat();
        let (modules, pid, log) = (&self.modules, self.path("nginx.pid"), self.path("their.log"));
        let (pid, log, http) = (pid.display(), log.display(), self.http);
        let text = format!(
            "{modules}pid {pid};\nerror_log {log};\nworker_processes 2;\nevents {{ worker_connections 64; }}\nhttp {{\n\
             access_log off;\n{temps}include conf.d/*.conf;\n{more}\nserver {{ listen {http};\n\
             location /theirs {{ return 200 theirs; }}\nlocation /bare {{ proxy_pass http://backchat; }}\nlocation / {{\n{LOCATION}\n}}\n}}\n}}\n"
        );
        fs::write(self.path("etc/nginx.conf"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ours(&self) -> String {
        fs::read_to_string(self.path("etc/conf.d/backchat.conf")).unwrap_or_default()
    }

    fn start(&mut self) {
        let mut command = Command::new(named());
        command.arg("-c").arg(self.path("etc/nginx.conf")).arg("-e").arg(self.path("their.log"));
        command.args(["-g", "daemon off;"]).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
    }

    /// As an operator starts it who has read what is to be done: our file is there.
    async fn serving(more: &str) -> Self {
        let mut theirs = Self::new(more).await;
        theirs.driver.ensure().await.unwrap_err();
        theirs.up().await;
        theirs
    }

    async fn up(&mut self) {
        self.start();
        eventually("their nginx is found", async || self.driver.ensure().await.is_ok()).await;
        eventually("it answers", async || self.get("/theirs").await.1 == "theirs").await;
    }

    fn master(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// What was done: a reload, or a push alone.
    async fn step(&mut self, set: &Set) -> Result<Step<bool>, DriverError> {
        self.driver.ensure().await?;
        let observed = self.driver.observe().await?;
        Ok(match self.driver.plan(&set.0, &observed, Mode::default()) {
            Step::Change(plan) => Step::Change(self.driver.apply(plan).await?.reloaded),
            Step::Waiting { why, recheck } => Step::Waiting { why, recheck },
            Step::Converged => Step::Converged,
        })
    }

    /// Steps until nothing is left to do; how many of the steps did something, and how many of those were reloads.
    async fn converge(&mut self, set: &Set) -> (usize, usize) {
        let (mut steps, mut reloads, deadline) = (0, 0, Instant::now() + LONG);
        loop {
            let step = self.step(set).await.unwrap_or_else(|error| panic!("failed to {error}"));
            assert!(step == Step::Converged || Instant::now() < deadline, "still {step:?}");
            match step {
                Step::Change(reloaded) => (steps, reloads) = (steps + 1, reloads + usize::from(reloaded)),
                Step::Waiting { recheck, .. } => sleep(recheck).await,
                Step::Converged => break,
            }
        }
        let observed = self.driver.observe().await.unwrap();
        assert_eq!(self.driver.live(&observed), set.0);
        (steps, reloads)
    }

    async fn get(&self, path: &str) -> (u16, String) {
        web::get(self.http, "a.example", path).await
    }

    /// Ends all of it as `kill -9` does.
    async fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        kill_process_group(pid(child.id()), Signal::KILL).unwrap();
        self.driver.attention().await;
        child.wait().unwrap();
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // It fails where all have ended.
        let _ = kill_process_group(pid(child.id()), Signal::KILL);
        let _ = child.wait();
    }
}

fn settings(folder: &Path) -> AttachedSettings {
    let template = Template { name: "openresty-include.conf.jinja".into(), text: OURS.into() };
    let balancer = include_str!("../../../../templates/balancer.lua").into();
    let config = ConfigSettings::new(template, balancer, Paths::new(&folder.join("run")).unwrap(), Vec::new());
    let [include, conf, pid_file] =
        ["etc/conf.d/backchat.conf", "etc/nginx.conf", "nginx.pid"].map(|name| folder.join(name));
    AttachedSettings::new(config, named(), include, conf, pid_file).unwrap()
}

/// Endpoints come and go in a location of theirs without a reload, and nobody but them ends or starts anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_location_of_theirs_hands_on() {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let mut theirs = Theirs::serving("").await;
    let (master, before) = (theirs.master(), titles::children(theirs.master()));
    assert_eq!(theirs.get("/").await.0, 404);
    assert_eq!(theirs.converge(&Set::new().ready("one", one.addr)).await.1, 0);
    assert_eq!((theirs.get("/").await, theirs.get("/theirs").await.1), ((200, "one".into()), "theirs".into()));
    assert_eq!(theirs.converge(&Set::new().ready("two", two.addr)).await.1, 0);
    assert_eq!(theirs.get("/").await, (200, "two".into()));
    assert_eq!(theirs.converge(&Set::new()).await.1, 0);
    assert_eq!(theirs.get("/").await.0, 503);
    assert_eq!(titles::children(master), before, "no reload");
    // A location that was not written as ours is to be harms nobody, and is told.
    assert_eq!(theirs.get("/bare").await.0, 500);
    eventually("their log tells", async || {
        fs::read_to_string(theirs.path("their.log"))
            .unwrap()
            .contains("this location has no route() in its access_by_lua")
    })
    .await;
    let names = |name: &str| {
        let mut names: Vec<_> = fs::read_dir(theirs.path(name))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("etc"), ["conf.d", "nginx.conf"]);
    assert_eq!(names("etc/conf.d"), [".backchat.conf.last-good", "backchat.conf"]);
    assert_eq!(names("run"), ["nginx.sock"]);
    theirs.driver.stop(LONG).await.unwrap();
    assert!(titles::is_master(master));
}

/// Which program checks their configuration, where nobody says: the one that they have started, whatever else is here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_that_runs_checks() {
    let mut theirs = Theirs::serving("").await;
    let running = fs::read_link(format!("/proc/{}/exe", theirs.master())).unwrap();
    if running.file_name().is_none_or(|name| name != "nginx") {
        // A loader has started it.
        return;
    }
    let found = program::find_theirs(None, &theirs.path("nginx.pid")).await.unwrap();
    assert_eq!(Path::new(&found), running);
    let mut by = settings(theirs.folder.path());
    (by.config.no_route_status, by.attached.program) = (400, "/nowhere/nginx".into());
    theirs.driver = OpenrestyDriver::attached(by.clone()).unwrap();
    let error = theirs.step(&Set::new()).await.unwrap_err().to_string();
    assert!(error.starts_with("start /nowhere/nginx: "), "{error}");
    by.attached.is_named = false;
    theirs.driver = OpenrestyDriver::attached(by).unwrap();
    assert_eq!(theirs.converge(&Set::new()).await.1, 1);
}

/// By the log of a location of theirs what is in flight is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_drains_is_idle_once_its_requests_have_ended() {
    let one = Web::start("one").await;
    let mut theirs = Theirs::serving("").await;
    theirs.converge(&Set::new().ready("one", one.addr)).await;
    let http = theirs.http;
    let held = tokio::spawn(async move { web::get(http, "a.example", "/hold").await });
    one.holds(1).await;
    let drain = Set::new().with("one", one.addr, 100, EndpointState::Drain);
    assert_eq!(theirs.step(&drain).await.unwrap(), Step::Change(false));
    let id = backchat_contract::EndpointId { service: "web".parse().unwrap(), endpoint: "one".parse().unwrap() };
    let observed = theirs.driver.observe().await.unwrap();
    assert_eq!((theirs.driver.idle(&observed, &id), theirs.get("/").await.0), (Idle::No, 503));
    one.release();
    assert_eq!(held.await.unwrap(), (200, "one".into()));
    theirs.converge(&drain).await;
    let observed = theirs.driver.observe().await.unwrap();
    assert_eq!(theirs.driver.idle(&observed, &id), Idle::Yes);
}

/// A reload of theirs keeps the table; killed and started again theirs serves what our file says, from its first request.
/// What was pushed and is not in the file is pushed again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn their_reload_and_their_restart_lose_nothing() {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let (first, second) = (Set::new().ready("one", one.addr), Set::new().ready("two", two.addr));
    let mut theirs = Theirs::serving("").await;
    theirs.converge(&first).await;
    let older = theirs.ours();
    theirs.converge(&second).await;

    let before = titles::children(theirs.master());
    kill_process(pid(theirs.master()), Signal::HUP).unwrap();
    eventually("it has reloaded", async || {
        titles::children(theirs.master()).iter().all(|child| !before.iter().any(|old| old.pid == child.pid))
    })
    .await;
    assert_eq!(theirs.get("/").await, (200, "two".into()));
    assert_eq!(theirs.converge(&second).await, (0, 0));

    theirs.kill().await;
    eventually("the socket that it left is cleared away", async || {
        theirs.driver.ensure().await.unwrap_err();
        !theirs.path("run/nginx.sock").exists()
    })
    .await;
    theirs.up().await;
    assert_eq!(theirs.get("/").await, (200, "two".into()));
    assert_eq!(theirs.converge(&second).await, (0, 0));

    theirs.kill().await;
    theirs.driver.ensure().await.unwrap_err();
    fs::write(theirs.path("etc/conf.d/backchat.conf"), older).unwrap();
    theirs.up().await;
    assert_eq!(theirs.get("/").await, (200, "one".into()));
    assert_eq!(theirs.converge(&second).await.1, 0);
    assert_eq!(theirs.get("/").await, (200, "two".into()));
}

/// Who may come to the socket is for its folder to say: what theirs asks of clients it does not ask of us.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_they_ask_of_clients_they_do_not_ask_of_us() {
    let one = Web::start("one").await;
    let deny = "deny all;\nauth_basic closed;\nauth_basic_user_file /nowhere;\nrewrite_by_lua_block { ngx.exit(403) }\n\
                access_by_lua_block { ngx.exit(403) }\nclient_max_body_size 1;";
    let mut theirs = Theirs::new(deny).await;
    theirs.driver.ensure().await.unwrap_err();
    theirs.start();
    eventually("their nginx is found", async || theirs.driver.ensure().await.is_ok()).await;
    eventually("it answers", async || theirs.get("/theirs").await.0 != 0).await;
    theirs.converge(&Set::new().ready("one", one.addr)).await;
    assert_eq!(theirs.get("/").await.0, 403);
}

/// nginx takes one of it: theirs is told, with what is to be done, and all stays as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_init_by_lua_of_theirs_is_told() {
    let one = Web::start("one").await;
    let set = Set::new().ready("one", one.addr);
    for theirs_too in ["init_by_lua_block { x = 1 }", "init_worker_by_lua_file /nowhere;"] {
        let mut theirs = Theirs::serving("").await;
        theirs.converge(&set).await;
        let before = theirs.ours();
        theirs.write(theirs_too);
        // Theirs, which they have not loaded yet, counts in the check; a new table needs none.
        let mut by = settings(theirs.folder.path());
        by.config.no_route_status = 400;
        theirs.driver = OpenrestyDriver::attached(by).unwrap();
        let error = theirs.step(&set).await.unwrap_err().to_string();
        let conf = theirs.path("etc/nginx.conf").display().to_string();
        assert!(
            error.starts_with(&format!("check {conf}: ")) && error.contains(&format!("is duplicate in {conf}:")),
            "{error}"
        );
        assert!(error.contains("put yours into a --template") && error.contains("--openresty-mode reload"), "{error}");
        assert_eq!((theirs.ours(), theirs.get("/").await), (before, (200, "one".into())));
    }
}

/// An nginx without Lua: told likewise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_nginx_without_lua_is_told() {
    let mut theirs = Theirs::new("").await;
    if theirs.modules.is_empty() {
        // Lua is built in.
        return;
    }
    let conf = fs::read_to_string(theirs.path("etc/nginx.conf")).unwrap();
    let bare = conf
        .replace(&theirs.modules, "")
        .replace("include conf.d/*.conf;", "")
        .replace(LOCATION, "return 200;")
        .replace("proxy_pass http://backchat;", "return 200;");
    fs::write(theirs.path("etc/nginx.conf"), &bare).unwrap();
    theirs.up().await;
    fs::write(theirs.path("etc/nginx.conf"), bare.replace("access_log off;", "access_log off; include conf.d/*.conf;"))
        .unwrap();
    let error = theirs.step(&Set::new()).await.unwrap_err().to_string();
    let ours = theirs.path("etc/conf.d/backchat.conf").display().to_string();
    assert!(error.starts_with(&format!("check {ours}: unknown directive \"lua_shared_dict\"")), "{error}");
    assert!(error.contains("needs 'load_module'"), "{error}");
}

/// A template of the operator's own: what is refused in our file is told by its line and holds up nothing else; of what
/// is wrong in theirs it is not to blame.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_is_followed() {
    let (one, two) = (Web::start("one").await, Web::start("two").await);
    let mut theirs = Theirs::new("").await;
    let file = theirs.path("my.jinja");
    fs::write(&file, OURS).unwrap();
    let mut by = AttachedSettings { template_file: Some(file.clone()), ..settings(theirs.folder.path()) };
    by.config.template.name = file.display().to_string();
    theirs.driver = OpenrestyDriver::attached(by).unwrap();
    theirs.driver.ensure().await.unwrap_err();
    theirs.up().await;
    theirs.converge(&Set::new().ready("one", one.addr)).await;

    let with = |setting: &str| OURS.replace("    keepalive {{ keepalive }};\n", &format!("    {setting}\n"));
    let broken = with("nonsense 3;");
    let line = broken.lines().position(|line| line == "    nonsense 3;").unwrap() + 1;
    fs::write(&file, &broken).unwrap();
    let now = Set::new().ready("two", two.addr);
    let told = async |theirs: &mut Theirs, set: &Set, words: &str| {
        eventually(words, async || {
            theirs.step(set).await.unwrap();
            let observed = theirs.driver.observe().await.unwrap();
            theirs.driver.plane(&observed).template.is_some_and(|template| template.contains(words))
        })
        .await;
    };
    let place = format!("{}:{line}: unknown directive \"nonsense\": 'nonsense 3;'; generation ", file.display());
    told(&mut theirs, &now, &place).await;
    assert_eq!((theirs.get("/").await, theirs.ours().contains("nonsense")), ((200, "two".into()), false));

    theirs.write("nonsense 4;");
    fs::write(&file, with("keepalive 33;")).unwrap();
    let conf = theirs.path("etc/nginx.conf").display().to_string();
    told(&mut theirs, &now, &format!("{conf}: unknown directive \"nonsense\" in {conf}:")).await;
    theirs.write("");
    fs::write(&file, with("keepalive 34;")).unwrap();
    eventually("it is in use", async || {
        theirs.step(&now).await.unwrap();
        theirs.ours().contains("    keepalive 34;\n")
    })
    .await;
    theirs.converge(&now).await;
}
