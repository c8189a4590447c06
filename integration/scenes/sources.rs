//! Files that list services: followed while all runs, broken and mended, beside gossip and without it. No request is
//! lost by an edit, and a mistake changes nothing but what status says.

use std::{fs, net::SocketAddr, path::PathBuf};

use backchat::demo::{Driver, Web};

use super::world::{World, none_failed};

/// A file in the world's folder, and the flag that names it.
struct File {
    path: PathBuf,
    flag: String,
}

impl File {
    fn new(world: &World, name: &str) -> Self {
        let path = world.folder.path().join(name);
        let flag = format!("file:{}", path.display());
        Self { path, flag }
    }

    /// As most editors write: another file in the place of the one that was there.
    fn write(&self, text: &str) {
        let new = self.path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, &self.path).unwrap();
    }

    /// The service `web` with these endpoints.
    fn list(&self, endpoints: &[(&str, SocketAddr, &str)]) {
        let line = |(name, addr, more): &(&str, SocketAddr, &str)| {
            format!("  {{ name = '{name}', addr = '{addr}'{more} }},\n")
        };
        let lines: String = endpoints.iter().map(line).collect();
        self.write(&format!("[services.web]\nendpoints = [\n{lines}]\n"));
    }
}

pub(super) async fn web(name: &str) -> Web {
    Web::start(SocketAddr::from(([127, 0, 0, 1], 0)), name).await.expect("a web server")
}

/// Waits until a line of `status` has all of these words; says how the command ends.
pub(super) async fn says(world: &World, words: &[&str]) -> Option<i32> {
    let said = || async {
        let (text, _) = world.status_text().await;
        text.lines().any(|line| words.iter().all(|word| line.contains(word)))
    };
    world.eventually(&format!("status says {words:?}"), said).await;
    world.status_text().await.1
}

pub(super) async fn a_file_alone_is_followed_and_a_mistake_changes_nothing(driver: Driver) {
    let mut world = World::empty(driver);
    let (a, b, c) = (web("a").await, web("b").await, web("c").await);
    let file = File::new(&world, "services.toml");
    file.list(&[("a", a.addr(), ""), ("b", b.addr(), "")]);
    let flags = ["--no-gossip", "--source", &file.flag];
    world.start_balancer("proxy", &flags).await;
    world.serves(&["a", "b"]).await;
    world.converges().await;
    let traffic = world.traffic();

    file.list(&[("a", a.addr(), ""), ("b", b.addr(), ""), ("c", c.addr(), "")]);
    world.serves(&["a", "b", "c"]).await;
    file.list(&[("a", a.addr(), ", drain = true"), ("b", b.addr(), ""), ("c", c.addr(), "")]);
    world.out(a.addr()).await;
    world.serves(&["b", "c"]).await;
    assert_eq!(says(&world, &["ok", "source", "3 endpoints of 1 service"]).await, Some(0));
    file.list(&[("b", b.addr(), ""), ("c", c.addr(), "")]);
    says(&world, &["ok", "source", "2 endpoints of 1 service"]).await;

    // A mistake: told with its place, and nothing else happens.
    file.write(&format!("[services.web]\nendpoints = [{{ name = 'b', adr = '{}' }}]\n", b.addr()));
    let place = format!("{}:2:", file.path.display());
    let mistake = ["FAIL", "source", &place, "unknown key 'adr'", "did you mean 'addr'?", "listed before stays"];
    assert_eq!(says(&world, &mistake).await, Some(1));
    world.serves(&["b", "c"]).await;
    fs::remove_file(&file.path).unwrap();
    assert_eq!(says(&world, &["FAIL", "source", "No such file", "listed before stays"]).await, Some(1));
    world.serves(&["b", "c"]).await;

    // A new daemon that cannot read it removes nothing either.
    world.kill_lb().await;
    world.restart_balancer_with("proxy", &flags);
    assert_eq!(says(&world, &["FAIL", "source", "No such file", "nothing is removed"]).await, Some(1));
    world.serves(&["b", "c"]).await;
    assert_eq!(world.status().await["synced"], false);

    file.list(&[("b", b.addr(), "")]);
    world.out(c.addr()).await;
    world.serves(&["b"]).await;
    // What is out is told when the step that took it out has ended.
    world.eventually("all is well", || async { world.status_text().await.1 == Some(0) }).await;
    none_failed(traffic).await;
}

pub(super) async fn files_and_gossip_are_one_set(driver: Driver) {
    let mut world = World::empty(driver);
    let (listed, other) = (web("listed").await, web("other").await);
    let (first, second) = (File::new(&world, "first.toml"), File::new(&world, "second.yaml"));
    first.list(&[("listed", listed.addr(), "")]);
    let line = format!("services:\n  web:\n    endpoints:\n      - {{name: web1, addr: '{}'}}\n", other.addr());
    second.write(&line);
    world.start_balancer("proxy", &["--source", &first.flag, "--source", &second.flag]).await;
    world.serves(&["listed", "other"]).await;

    // An agent of that name has it, and the file's line is refused.
    world.start_agent("web1", &[]).await;
    world.serves(&["listed", "web1"]).await;
    let place = format!("{}:4", second.path.display());
    says(&world, &["warn", "refused", &place, "web/web1", "gossip says where web1 is"]).await;

    // What is taken out of a file goes, though nobody else is left to speak for this node's health.
    let traffic = world.traffic();
    first.list(&[]);
    world.out(listed.addr()).await;
    world.serves(&["web1"]).await;
    first.list(&[("listed", listed.addr(), "")]);
    world.serves(&["listed", "web1"]).await;
    let agent = world.agents.get_mut("web1").unwrap();
    agent.process.terminate().unwrap();
    let ended = agent.process.ended(super::world::PATIENCE).await.unwrap();
    assert_eq!(ended.and_then(|s| s.code()), Some(0), "{}", world.last_words());
    world.serves(&["listed", "other"]).await;
    none_failed(traffic).await;
    world.converges().await;
}
