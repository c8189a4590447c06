//! `lb --attach` at an nginx or OpenResty that somebody else runs: one file in it is ours, and perhaps a table; nothing
//! else is touched, nothing of it started or ended.

use std::{fs, net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use backchat::demo::{
    Child, Driver, Traffic,
    child::{children_of, kill_pid},
    traffic::Load,
};
use rustix::process::Signal;

use super::{
    disk::says,
    templates::{fails, line_of, reloads},
    world::{Balancer, PATIENCE, World, backchat, free, get, none_failed, reached},
};
use crate::signal::send;

/// Somebody's nginx, with a site of theirs that hands on what it does not answer itself.
struct Theirs {
    driver: Driver,
    folder: PathBuf,
    site: SocketAddr,
    process: Option<Child>,
}

impl Drop for Theirs {
    fn drop(&mut self) {
        drop(self.process.as_ref().map(|process| WithWorkers(process.pid())));
    }
}

/// Dropped, it ends an nginx with its workers: they outlive a master that is killed.
pub(super) struct WithWorkers(pub(super) u32);

impl Drop for WithWorkers {
    fn drop(&mut self) {
        let workers = children_of(self.0);
        // The master first: it would start others. Whoever ends by itself meanwhile need not be ended.
        for pid in [self.0].into_iter().chain(workers) {
            let _ = kill_pid(pid);
        }
    }
}

impl Theirs {
    /// Written, and not started.
    fn new(world: &World) -> Self {
        let folder = world.folder.path().join("theirs");
        fs::create_dir_all(folder.join("conf.d")).unwrap();
        let theirs = Self { driver: world.driver, folder, site: free(), process: None };
        theirs.write("");
        theirs
    }

    /// Their configuration, with this in its http block.
    fn write(&self, more: &str) {
        let (folder, site) = (self.folder.display(), self.site);
        let temps: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {folder}/temp-{kind};\n"))
            .concat();
        let (modules, location) = match self.driver {
            Driver::Openresty => (
                modules(),
                "access_by_lua_block { require(\"backchat\").route() }\nproxy_pass http://backchat;\n\
                 log_by_lua_block { require(\"backchat\").done() }",
            ),
            _ => (
                String::new(),
                "if ($backchat_status = 404) { return 404; }\nif ($backchat_status = 503) { return 503; }\n\
                 proxy_pass http://$backchat_upstream;",
            ),
        };
        let text = format!(
            "{modules}pid {folder}/nginx.pid;\nerror_log {folder}/their.log;\nworker_processes 2;\n\
             events {{ worker_connections 256; }}\nhttp {{\naccess_log off;\n{temps}include conf.d/*.conf;\n{more}\n\
             server {{\nlisten {site};\nif ($host = theirs.example) {{ return 200 theirs; }}\n\
             location / {{\n{location}\n}}\n}}\n}}\n"
        );
        fs::write(self.folder.join("nginx.conf"), text).unwrap();
    }

    fn start(&mut self) {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let args = ["-c".into(), file("nginx.conf"), "-e".into(), file("their.log"), "-g".into(), "daemon off;".into()];
        self.process = Some(Child::start(self.driver.program().as_ref(), args, &self.folder.join("out.log")).unwrap());
    }

    /// As its service manager ends it, or the kernel.
    async fn end(&mut self, signal: Signal) {
        let mut process = self.process.take().unwrap();
        let workers = children_of(process.pid());
        send(process.pid(), signal);
        if signal == Signal::KILL {
            for worker in workers {
                // It may have ended with its master.
                let _ = kill_pid(worker);
            }
        }
        assert!(process.ended(PATIENCE).await.unwrap().is_some());
    }

    fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().pid()
    }

    fn workers(&self) -> Vec<u32> {
        children_of(self.pid())
    }

    fn ours(&self) -> PathBuf {
        self.folder.join("conf.d/backchat.conf")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.ours()).unwrap_or_default()
    }

    /// What an `lb` is told of it.
    fn flags(&self) -> Vec<String> {
        let files =
            [("--nginx-include", "conf.d/backchat.conf"), ("--nginx-conf", "nginx.conf"), ("--pid-file", "nginx.pid")];
        let file = |(flag, name): (&str, &str)| [flag.into(), self.folder.join(name).display().to_string()];
        ["--attach".into()].into_iter().chain(files.into_iter().flat_map(file)).collect()
    }

    /// Waits until requests to their site reach all of these and no other; what they answer themselves they do still.
    async fn serves(&self, world: &World, names: &[&str]) {
        let same = || async { reached(self.site, 3 * names.len()).await.iter().eq(names) };
        world.eventually(&format!("their site serves {names:?}"), same).await;
        assert_eq!(get(self.site, "theirs.example").await, Some((200, "theirs".into())));
    }

    /// Traffic onto their site: each request on a connection of its own, for their nginx closes idle ones when it reloads.
    fn traffic(&self) -> Traffic {
        let fresh = Load { keep_alive: false, clients: 4, rest: Duration::from_millis(10), ..Load::steady(self.site) };
        Traffic::of(&[fresh]).expect("traffic starts")
    }
}

/// What their nginx has to load for its Lua.
fn modules() -> String {
    let said = Command::new(Driver::Openresty.program()).arg("-V").output().unwrap().stderr;
    let said = String::from_utf8(said).unwrap();
    let Some(folder) = said.split_whitespace().find_map(|word| word.strip_prefix("--modules-path=")) else {
        return String::new();
    };
    if said.contains("openresty/") {
        return String::new();
    }
    let load = |module: &str| format!("load_module {folder}/{module}.so;\n");
    ["ndk_http_module", "ngx_http_lua_module"].map(load).concat()
}

/// A balancer beside their nginx, which listens too where it is told to, and two agents.
async fn attached(driver: Driver, more: &[&str]) -> (World, Theirs) {
    let mut world = World::empty(driver);
    let mut theirs = Theirs::new(&world);
    let flags = theirs.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let (gossip, http) = (free(), free());
    let process = world.lb(driver, "proxy", gossip, http, &[], &flags);
    world.balancers.insert("proxy".into(), Balancer { process, driver, gossip, http });
    // A configuration that names a file which is not there is none.
    world.eventually("our file is there", || async { theirs.ours().is_file() }).await;
    theirs.start();
    world.answers("proxy").await;
    for name in ["web1", "web2"] {
        world.start_agent(name, &[]).await;
    }
    world.serves(&["web1", "web2"]).await;
    theirs.serves(&world, &["web1", "web2"]).await;
    world.converges().await;
    (world, theirs)
}

pub(super) async fn endpoints_come_and_go_in_somebody_elses(driver: Driver) {
    let (mut world, mut theirs) = attached(driver, &[]).await;
    let (workers, traffic, before) = (theirs.workers(), theirs.traffic(), reloads(&world).await);
    world.start_agent("web3", &[]).await;
    theirs.serves(&world, &["web1", "web2", "web3"]).await;
    world.agents["web1"].process.terminate().unwrap();
    theirs.serves(&world, &["web2", "web3"]).await;
    world.converges().await;
    let reloaded = reloads(&world).await - before;
    if driver.reloads() {
        assert!(reloaded > 0);
    } else {
        assert_eq!((theirs.workers(), reloaded), (workers, 0), "no reload");
    }
    none_failed(traffic).await;

    world.end_lb().await;
    theirs.serves(&world, &["web2", "web3"]).await;
    assert!(theirs.process.as_mut().unwrap().is_running(), "it is not ours to end");
}

/// Who runs it reloads it, restarts it, and has it killed: what was served is served from its first request on, and what
/// came while it was away comes then.
pub(super) async fn their_reload_and_their_restart_are_followed(driver: Driver) {
    let (mut world, mut theirs) = attached(driver, &[]).await;
    let (before, workers) = (reloads(&world).await, theirs.workers());
    send(theirs.pid(), Signal::HUP);
    let fresh = || async { theirs.workers().iter().all(|pid| !workers.contains(pid)) };
    world.eventually("it has reloaded", fresh).await;
    theirs.serves(&world, &["web1", "web2"]).await;
    world.converges().await;

    theirs.end(Signal::QUIT).await;
    theirs.start();
    world.answers("proxy").await;
    assert_eq!(get(theirs.site, "any.example").await.map(|(status, _)| status), Some(200));
    theirs.serves(&world, &["web1", "web2"]).await;
    world.converges().await;
    assert_eq!(reloads(&world).await, before, "it was as it is to be");

    theirs.end(Signal::KILL).await;
    world.start_agent("web3", &[]).await;
    world.members("proxy", &[("web3", "alive")]).await;
    let socket = world.run_dir("proxy").join("nginx.sock");
    world.eventually("the socket that it left is cleared away", || async { !socket.exists() }).await;
    theirs.start();
    theirs.serves(&world, &["web1", "web2", "web3"]).await;
    world.converges().await;
    world.eventually("all is well", || async { world.status_text().await.1 == Some(0) }).await;
}

/// Our file is edited, our template or their configuration is broken: it is told, all serves on, and once that is mended
/// all goes on.
pub(super) async fn what_is_edited_or_refused_changes_nothing(driver: Driver) {
    let name = format!("{}-include", driver.name());
    let shown = Command::new(backchat()).args(["template", "show", &name]).output().unwrap().stdout;
    let shown = String::from_utf8(shown).unwrap();
    let folder = backchat::demo::child::Folder::new("backchat-template-").unwrap();
    let template = folder.path().join("my.jinja");
    fs::write(&template, &shown).unwrap();
    let (mut world, theirs) = attached(driver, &["--template", template.to_str().unwrap()]).await;
    let traffic = theirs.traffic();

    let ours = theirs.text();
    let edited = format!("{ours}# mine\n");
    fs::write(theirs.ours(), &edited).unwrap();
    says(&world, &["warn", "backchat.conf was edited by hand; start lb with --force"]).await;
    world.start_agent("web3", &[]).await;
    if driver.reloads() {
        says(&world, &["waiting", "edited by hand", "needed: endpoints of web changed"]).await;
        theirs.serves(&world, &["web1", "web2"]).await;
    } else {
        theirs.serves(&world, &["web1", "web2", "web3"]).await;
    }
    assert_eq!(theirs.text(), edited);
    fs::write(theirs.ours(), ours).unwrap();
    theirs.serves(&world, &["web1", "web2", "web3"]).await;
    world.converges().await;
    let web3 = world.agents["web3"].addr.to_string();
    assert!(theirs.text().contains(&web3));

    let broken = shown.replace("    proxy_read_timeout 60s;", "    nonsense 3;");
    let reason = format!("{}:{}: unknown directive \"nonsense\"", template.display(), line_of(&broken, "nonsense"));
    fs::write(&template, &broken).unwrap();
    fails(&world, &[&reason, "serves on"]).await;
    world.agents["web3"].process.terminate().unwrap();
    theirs.serves(&world, &["web1", "web2"]).await;
    assert!(!theirs.text().contains("nonsense"));
    fs::write(&template, &shown).unwrap();
    world.converges().await;

    theirs.write("nonsense 4;");
    let before = theirs.text();
    world.start_agent("web4", &[]).await;
    if driver.reloads() {
        says(&world, &["unknown directive \"nonsense\" in ", "/theirs/nginx.conf:"]).await;
        theirs.serves(&world, &["web1", "web2"]).await;
        assert_eq!(theirs.text(), before);
    } else {
        // Nothing of it is read again.
        theirs.serves(&world, &["web1", "web2", "web4"]).await;
    }
    theirs.write("");
    theirs.serves(&world, &["web1", "web2", "web4"]).await;
    world.eventually("all is well", || async { world.status_text().await.1 == Some(0) }).await;
    none_failed(traffic).await;
}

/// Without Lua, an OpenResty is driven by its file alone, as an nginx is.
#[tokio::test(flavor = "multi_thread")]
async fn an_openresty_without_lua_is_driven_by_its_file() {
    let program = Driver::Nginx.program().into_string().unwrap();
    let flags = ["--driver", "openresty", "--openresty-mode", "reload", "--openresty", &program];
    let (mut world, theirs) = attached(Driver::Nginx, &flags).await;
    let before = reloads(&world).await;
    world.start_agent("web3", &[]).await;
    theirs.serves(&world, &["web1", "web2", "web3"]).await;
    world.converges().await;
    assert!(reloads(&world).await > before);
}
