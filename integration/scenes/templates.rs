//! The operator's own template: edited while all runs, broken, refused by HAProxy, mended, gone. Requests keep flowing,
//! endpoints come and go, and what is wrong is said with its line.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use backchat::demo::{Driver, plane::Processes};

use super::world::{Balancer, PATIENCE, World, backchat, free, none_failed};

/// What the program carries, as an operator begins with it.
pub(super) fn shown(driver: Driver) -> String {
    let output = Command::new(backchat()).args(["template", "show", driver.name()]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    String::from_utf8(output.stdout).unwrap()
}

/// What an operator does to the template of one load balancer.
struct Edits {
    /// The file in the source tree, and the one that it renders.
    files: (&'static str, &'static str),
    /// A setting, and another value of it: lines of the template and of what it renders.
    setting: (&'static str, &'static str),
    /// A line that is refused in its place, and how the engine says so.
    nonsense: (&'static str, &'static str),
    /// A name of the data that stands in the template by itself, with an o in it.
    name: &'static str,
}

fn edits(driver: Driver) -> Edits {
    match driver {
        Driver::Haproxy => Edits {
            files: (include_str!("../../templates/haproxy.cfg.jinja"), "haproxy.cfg"),
            setting: ("    retries 3\n", "    retries 4\n"),
            nonsense: ("    nonsense 3\n", "unknown keyword 'nonsense' in 'defaults' section: 'nonsense 3'"),
            name: "no_route_status",
        },
        Driver::Nginx => Edits {
            files: (include_str!("../../templates/nginx.conf.jinja"), "nginx.conf"),
            setting: ("    proxy_read_timeout 60s;\n", "    proxy_read_timeout 61s;\n"),
            nonsense: ("    nonsense 3;\n", "unknown directive \"nonsense\": 'nonsense 3;'"),
            name: "no_route_status",
        },
        Driver::Openresty => Edits {
            files: (include_str!("../../templates/openresty.conf.jinja"), "nginx.conf"),
            ..edits(Driver::Nginx)
        },
    }
}

/// A setting, and another value of it: lines of the template and of what it renders.
pub(super) fn setting(driver: Driver) -> (&'static str, &'static str) {
    edits(driver).setting
}

/// The template with another value of the setting.
pub(super) fn edited(driver: Driver) -> String {
    edited_to(driver, setting(driver).1)
}

/// The template with these lines in the setting's place.
pub(super) fn edited_to(driver: Driver, lines: &str) -> String {
    shown(driver).replace(setting(driver).0, lines)
}

/// A balancer by a template of the operator's own, at its path, and web servers.
pub(super) async fn by_own(driver: Driver, agents: &[&str]) -> (World, PathBuf) {
    let mut world = World::empty(driver);
    let path = world.folder.path().join("my.jinja");
    fs::write(&path, shown(driver)).unwrap();
    world.start_balancer("proxy", &["--template", path.to_str().unwrap()]).await;
    for name in agents {
        world.start_agent(name, &[]).await;
    }
    world.serves(agents).await;
    world.converges().await;
    (world, path)
}

/// As most editors and `sed -i` do it.
pub(super) fn rename_over(path: &Path, text: &str) {
    let new = path.with_extension("tmp");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

pub(super) fn config(world: &World) -> String {
    fs::read_to_string(world.plane("proxy").path(edits(world.driver).files.1)).unwrap_or_default()
}

/// The processes that serve, where nothing but a new structure gives others; else nothing.
async fn loaded(world: &World) -> Option<Processes> {
    let plane = world.plane("proxy");
    if plane.endpoints_reload() { None } else { Some(plane.running().await.expect("it runs")) }
}

/// Waits until the file says this.
pub(super) async fn says(world: &World, words: &str) {
    world.eventually(&format!("the file says {words:?}"), || async { config(world).contains(words) }).await;
}

/// How often the daemon that runs now has reloaded HAProxy.
pub(super) async fn reloads(world: &World) -> u64 {
    world.status().await["reloads"].as_u64().expect("its status")
}

/// How often the daemon's log says this.
fn said(world: &World, words: &str) -> usize {
    world.proxy().process.last_words(1000).matches(words).count()
}

/// Waits until `status` fails with a line on the template that has all of these words.
pub(super) async fn fails(world: &World, words: &[&str]) {
    let failing = || async {
        let (text, code) = world.status_text().await;
        let line = |line: &str| line.starts_with("FAIL  template") && words.iter().all(|word| line.contains(word));
        code == Some(1) && text.lines().any(line)
    };
    world.eventually(&format!("status fails with {words:?}"), failing).await;
}

/// Waits until nothing is wrong any more.
async fn is_well(world: &World) {
    world.eventually("status is well", || async { world.status_text().await.1 == Some(0) }).await;
    world.converges().await;
}

/// Waits until the file says this, and so many reloads in all were read back: no more come. (The file says it before it
/// is loaded.)
pub(super) async fn comes(world: &World, words: &str, wanted: u64) {
    says(world, words).await;
    let told = || async { reloads(world).await >= wanted };
    world.eventually(&format!("{wanted} reloads are told"), told).await;
    is_well(world).await;
    assert_eq!(reloads(world).await, wanted, "{}", world.last_words());
}

/// The number of the first line that holds this.
pub(super) fn line_of(text: &str, words: &str) -> usize {
    text.lines().position(|line| line.contains(words)).unwrap() + 1
}

pub(super) async fn what_is_shown_is_what_is_rendered(driver: Driver) {
    assert_eq!(shown(driver), edits(driver).files.0);
    let mut world = World::with(driver, &["web1"]).await;
    world.converges().await;
    let (before, worker) = (config(&world), loaded(&world).await);
    world.kill_lb().await;
    let path = world.folder.path().join("my.jinja");
    fs::write(&path, shown(driver)).unwrap();
    world.restart_balancer_with("proxy", &["--template", path.to_str().unwrap()]);
    world.members("proxy", &[("web1", "alive")]).await;
    is_well(&world).await;
    assert_eq!((loaded(&world).await, reloads(&world).await), (worker, 0));
    assert_eq!(config(&world), before);
}

pub(super) async fn an_edit_is_loaded_once_and_loses_nothing(driver: Driver) {
    let (world, path) = by_own(driver, &["web1", "web2"]).await;
    let (traffic, before, text) = (world.traffic_over_a_reload(), reloads(&world).await, shown(driver));
    let (was, is) = edits(driver).setting;
    fs::write(&path, edited(driver)).unwrap();
    comes(&world, is, before + 1).await;

    let worker = loaded(&world).await;
    rename_over(&path, &format!("{{# mine #}}\n{}", edited(driver)));
    let taken = || async { said(&world, "the template is in use") == 2 };
    world.eventually("another text, of the same bytes, is taken", taken).await;
    is_well(&world).await;
    assert_eq!((loaded(&world).await, reloads(&world).await), (worker, before + 1));

    rename_over(&path, &text);
    comes(&world, was, before + 2).await;
    none_failed(traffic).await;
}

pub(super) async fn a_template_that_does_not_render_holds_up_nothing_but_itself(driver: Driver) {
    let (mut world, path) = by_own(driver, &["web1"]).await;
    let (traffic, worker, text) = (world.traffic(), loaded(&world).await, shown(driver));
    let name = edits(driver).name;
    let wrong = name.replacen('o', "", 1);
    let broken = text.replacen(&format!("{{{{ {name} }}}}"), &format!("{{{{ {wrong} }}}}"), 1);
    fs::write(&path, &broken).unwrap();
    let place = format!("{}:{}: '{wrong}' is undefined", path.display(), line_of(&broken, &wrong));
    fails(&world, &[&place, &format!("did you mean '{name}'? generation "), " serves on"]).await;

    world.start_agent("web2", &[]).await;
    world.serves(&["web1", "web2"]).await;
    says(&world, "web2").await;
    assert_eq!(said(&world, &place), 1, "said once\n{}", world.last_words());
    fs::write(&path, &text).unwrap();
    is_well(&world).await;
    assert_eq!(loaded(&world).await, worker, "no reload");
    none_failed(traffic).await;
}

pub(super) async fn a_template_that_is_refused_is_not_loaded_by_this_daemon_nor_the_next(driver: Driver) {
    let (mut world, path) = by_own(driver, &["web1"]).await;
    let (traffic, worker, text) = (world.traffic_over_a_reload(), loaded(&world).await, shown(driver));
    let Edits { setting: (from, _), nonsense: (line, reason), .. } = edits(driver);
    let broken = text.replace(from, line);
    rename_over(&path, &broken);
    let place = format!("{}:{}: {reason}; generation ", path.display(), line_of(&broken, line.trim_end()));
    let words = [place.as_str(), " serves on"];
    fails(&world, &words).await;
    world.start_agent("web2", &[]).await;
    world.serves(&["web1", "web2"]).await;
    says(&world, "web2").await;

    world.kill_lb().await;
    world.restart_balancer_with("proxy", &["--template", path.to_str().unwrap()]);
    fails(&world, &words).await;
    world.members("proxy", &[("web1", "alive"), ("web2", "alive")]).await;
    world.start_agent("web3", &[]).await;
    world.serves(&["web1", "web2", "web3"]).await;
    says(&world, "web3").await;

    world.kill_lb().await;
    world.restart_balancer_with("proxy", &["--once", "--template", path.to_str().unwrap()]);
    let lb = &mut world.balancers.get_mut("proxy").unwrap().process;
    let status = lb.ended(PATIENCE).await.unwrap().expect("it ends");
    assert_eq!(status.code(), Some(78), "{}", world.last_words());

    world.restart_balancer_with("proxy", &["--template", path.to_str().unwrap()]);
    fails(&world, &words).await;
    assert_eq!(loaded(&world).await, worker, "nothing was loaded");
    rename_over(&path, &edited(driver));
    comes(&world, edits(driver).setting.1, 1).await;
    assert!(worker.is_none() || loaded(&world).await != worker);
    none_failed(traffic).await;
}

/// As Kubernetes shows a `ConfigMap`: links, of which one is turned.
pub(super) async fn a_link_is_turned_and_a_file_goes_and_comes_back(driver: Driver) {
    let mut world = World::empty(driver);
    let folder = world.folder.path().join("config");
    let turn = |version: &str| {
        symlink(version, folder.join("..new")).unwrap();
        fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    };
    for (version, text) in [("v1", shown(driver)), ("v2", edited(driver))] {
        fs::create_dir_all(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("my.jinja"), text).unwrap();
    }
    turn("v1");
    let path = folder.join("my.jinja");
    symlink("..data/my.jinja", &path).unwrap();
    world.start_balancer("proxy", &["--template", path.to_str().unwrap()]).await;
    world.start_agent("web1", &[]).await;
    world.serves(&["web1"]).await;
    world.converges().await;
    let before = reloads(&world).await;
    turn("v2");
    comes(&world, edits(driver).setting.1, before + 1).await;

    let worker = loaded(&world).await;
    fs::remove_file(&path).unwrap();
    fails(&world, &[path.to_str().unwrap(), "No such file or directory", " serves on"]).await;
    world.start_agent("web2", &[]).await;
    world.serves(&["web1", "web2"]).await;
    says(&world, "web2").await;
    symlink("..data/my.jinja", &path).unwrap();
    is_well(&world).await;
    assert_eq!(loaded(&world).await, worker);
}

/// There is nothing to serve by yet: it waits, says why, and begins by itself.
pub(super) async fn a_first_start_by_a_broken_template_waits_for_its_mending(driver: Driver) {
    let mut world = World::empty(driver);
    let path = world.folder.path().join("my.jinja");
    let broken = format!("{}{{{{ nonsense }}}}\n", shown(driver));
    fs::write(&path, &broken).unwrap();
    let (gossip, http) = (free(), free());
    let process = world.lb(driver, "proxy", gossip, http, &[], &["--template", path.to_str().unwrap()]);
    world.balancers.insert("proxy".into(), Balancer { process, driver, gossip, http });
    let place = format!("{}:{}: 'nonsense' is undefined", path.display(), line_of(&broken, "nonsense"));
    let said = || async { world.status_text().await.0.contains(&place) };
    world.eventually("status says what is wrong", said).await;
    fs::write(&path, shown(driver)).unwrap();
    world.answers("proxy").await;
    is_well(&world).await;
}
