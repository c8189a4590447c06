//! The run folder is full, or cannot be written, or somebody edited what is in it; the data folder is full. Endpoints
//! flow where they need no file, structure waits, status says why and how to go on, and it ends by itself. What needs a
//! file for its endpoints serves on as it did.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use backchat::demo::Driver;
use rustix::process::getuid;
use serde_json::Value;

use super::{
    plane::ANY,
    world::{PATIENCE, World, free, get, none_failed},
};

/// A mount that goes with its holder; declared after the world, it goes before the world's folder does.
pub(super) struct Mount(PathBuf);

impl Mount {
    /// `None`, said aloud, where this user may not mount.
    fn new(args: &[&str], at: &Path) -> Option<Self> {
        if !getuid().is_root() {
            eprintln!("SKIPPED: mounting needs root");
            return None;
        }
        fs::create_dir_all(at).unwrap();
        let done = Command::new("mount").args(args).arg(at).output().unwrap();
        assert!(done.status.success(), "mount {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        Some(Self(at.to_owned()))
    }

    /// A disk of its own, small enough to fill.
    fn disk(at: &Path) -> Option<Self> {
        Self::new(&["-t", "tmpfs", "-o", "size=1m,mode=700", "none"], at)
    }

    /// The folder as it is, but read-only.
    pub(super) fn read_only(at: &Path) -> Option<Self> {
        let mount = Self::new(&["--bind", &at.display().to_string()], at)?;
        assert!(Command::new("mount").args(["-o", "remount,bind,ro"]).arg(at).status().unwrap().success());
        Some(mount)
    }

    /// Takes the last byte.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
        assert!(fs::write(self.0.join("one-more"), [0; 512]).is_err(), "there is room");
        // The attempt made a file without a byte in it.
        let _ = fs::remove_file(self.0.join("one-more"));
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // The data plane has its log open there: the mount goes when it ends.
        assert!(Command::new("umount").arg("--lazy").arg(&self.0).status().unwrap().success());
    }
}

/// Waits until a line of `status` has all of these words.
pub(super) async fn says(world: &World, words: &[&str]) {
    let said = || async {
        let (text, _) = world.status_text().await;
        text.lines().any(|line| words.iter().all(|word| line.contains(word)))
    };
    world.eventually(&format!("status says {words:?}"), said).await;
}

/// It drains, leaves and ends well.
async fn leaves(world: &mut World, agent: &str) {
    let agent = world.agents.get_mut(agent).unwrap();
    agent.process.terminate().unwrap();
    let status = agent.process.ended(PATIENCE).await.unwrap();
    agent.web = None;
    assert_eq!(status.and_then(|s| s.code()), Some(0), "{}", world.last_words());
}

/// While no file can be written web3 comes, where it can. Says who serves then.
async fn web3_comes(world: &mut World, words: &[&str]) {
    world.start_agent("web3", &[]).await;
    says(world, words).await;
    if world.plane("proxy").endpoints_reload() {
        world.members("proxy", &[("web3", "alive")]).await;
        world.serves(&["web1", "web2"]).await;
    } else {
        world.serves(&["web1", "web2", "web3"]).await;
    }
}

/// Then web2 leaves. Where that cannot be written either, its drain ends at its deadline, and what is refused there goes
/// elsewhere.
async fn web2_leaves(world: &mut World) {
    leaves(world, "web2").await;
    only_web2_is_missing(world).await;
}

async fn only_web2_is_missing(world: &World) {
    let left: &[_] = if world.plane("proxy").endpoints_reload() { &["web1"] } else { &["web1", "web3"] };
    world.serves(left).await;
}

/// What must hold while the files cannot be written, for whatever reason.
async fn serves_on(world: &mut World, words: &[&str]) {
    let plane = world.plane("proxy");
    let before = plane.files();
    let traffic = world.traffic();
    web3_comes(world, words).await;
    assert_eq!(world.status_text().await.1, Some(1), "status fails");
    web2_leaves(world).await;

    // A new structure is wanted, by a new lb: it adopts, and changes nothing.
    world.kill_lb().await;
    let other = free().to_string();
    world.restart_balancer_with("proxy", &["--listen", &other]);
    says(world, words).await;
    only_web2_is_missing(world).await;
    none_failed(traffic).await;
    assert_eq!(plane.files(), before, "a file changed");
    assert!(plane.is_whole());
}

/// The words of a `status` that cannot write, for this reason and with this remedy.
fn fails<'a>(world: &World, why: &'a str, remedy: &'a str) -> Vec<&'a str> {
    let meanwhile = if world.plane("proxy").endpoints_reload() { "serves on as it is" } else { "endpoints flow" };
    vec!["FAIL", "data plane", why, remedy, meanwhile]
}

async fn on_a_disk(driver: Driver) -> Option<(World, Mount)> {
    let mut world = World::empty(driver);
    let disk = Mount::disk(&world.run_dir("proxy"))?;
    world.start_balancer("proxy", &[]).await;
    for name in ["web1", "web2"] {
        world.start_agent(name, &[]).await;
    }
    world.serves(&["web1", "web2"]).await;
    world.converges().await;
    Some((world, disk))
}

pub(super) async fn a_full_disk_cuts_no_file_and_all_serves_on(driver: Driver) {
    let Some((mut world, disk)) = on_a_disk(driver).await else { return };
    disk.fill();
    let words = fails(&world, "No space left on device", "make room there");
    serves_on(&mut world, &words).await;
    disk.free();
    world.serves(&["web1", "web3"]).await;
    world.converges().await;
    let plane = world.plane("proxy");
    assert!(plane.is_whole());
    assert!(plane.has_written(world.agents["web3"].addr), "it was written once there was room");
}

/// It dies on a full disk: it comes back from the files that there are, and is brought up to date.
pub(super) async fn a_data_plane_killed_on_a_full_disk_comes_back(driver: Driver) {
    let Some((mut world, disk)) = on_a_disk(driver).await else { return };
    disk.fill();
    let words = fails(&world, "No space left on device", "make room there");
    web3_comes(&mut world, &words).await;
    let (plane, http) = (world.plane("proxy"), world.proxy().http);
    plane.kill();
    world.eventually("it answers again", || async { get(http, "any.example").await.is_some() }).await;
    world.serves(if plane.endpoints_reload() { &["web1", "web2"] } else { &["web1", "web2", "web3"] }).await;
    disk.free();
    world.serves(&["web1", "web2", "web3"]).await;
    world.converges().await;
    assert!(plane.has_written(world.agents["web3"].addr));
}

pub(super) async fn a_folder_that_cannot_be_written_stops_nobody(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2"]).await;
    world.converges().await;
    let Some(mount) = Mount::read_only(&world.run_dir("proxy")) else { return };
    // A new lb needs the folder for its own socket: it is the one that runs which meets this.
    let plane = world.plane("proxy");
    let (before, traffic) = (plane.files(), world.traffic());
    let words = fails(&world, "Read-only file system", "make it writable");
    web3_comes(&mut world, &words).await;
    web2_leaves(&mut world).await;
    assert_eq!(plane.files(), before);
    drop(mount);
    world.serves(&["web1", "web3"]).await;
    world.converges().await;
    none_failed(traffic).await;
    assert!(plane.has_written(world.agents["web3"].addr));
}

pub(super) async fn an_edited_file_is_not_written_over_until_it_is_forced(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2"]).await;
    world.converges().await;
    let plane = world.plane("proxy");
    let (config, edited) = (plane.config(), plane.retouched());
    plane.edit(&edited);
    let traffic = world.traffic_over_a_reload();
    let remedy = format!("{} was edited by hand; start lb with --force", config.display());
    says(&world, &["warn", "file", &remedy]).await;
    web3_comes(&mut world, &[&remedy]).await;

    // A structure that is needed waits, and says so; nothing is written over.
    world.kill_lb().await;
    let other = free().to_string();
    world.restart_balancer_with("proxy", &["--listen", &other]);
    // Where endpoints wait too, they are the reason that is told.
    let needed = if plane.endpoints_reload() { "needed: endpoints of web changed" } else { "needed: settings" };
    says(&world, &["waiting", &remedy, needed]).await;
    says(&world, &["FAIL", "file", &remedy]).await;
    web2_leaves(&mut world).await;
    assert_eq!(fs::read_to_string(&config).unwrap(), edited);
    assert!(get(other.parse().unwrap(), "any.example").await.is_none(), "the listener came");

    world.kill_lb().await;
    world.restart_balancer_with("proxy", &["--listen", &other, "--force"]);
    let listens = || async { get(other.parse().unwrap(), "any.example").await.is_some_and(|(s, _)| s == 200) };
    world.eventually("the structure came", listens).await;
    world.converges().await;
    none_failed(traffic).await;
    assert!(plane.is_whole());
    assert!(plane.is_as_rendered(), "{}", plane.text());
    let kept = fs::read_to_string(format!("{}.edited", config.display())).unwrap();
    assert_eq!(kept, edited, "what somebody wrote is not lost");
}

/// Whoever edited takes it back, and all goes on without a word from him.
pub(super) async fn an_edit_that_is_undone_blocks_no_more(driver: Driver) {
    let mut world = World::with(driver, &["web1"]).await;
    world.converges().await;
    let plane = world.plane("proxy");
    let ours = plane.text();
    plane.edit(&format!("{ours}# mine\n"));
    says(&world, &["warn", "file", "edited by hand"]).await;
    world.start_agent("web2", &[]).await;
    if plane.endpoints_reload() {
        says(&world, &["waiting", "edited by hand", "needed: "]).await;
        world.serves(&["web1"]).await;
    } else {
        world.serves(&["web1", "web2"]).await;
    }
    let web2 = world.agents["web2"].addr;
    assert!(!plane.has_written(web2));
    plane.edit(&ours);
    world.eventually("the file is written", || async { plane.has_written(web2) }).await;
    world.serves(&["web1", "web2"]).await;
    world.converges().await;
    assert_eq!(world.status_text().await.1, Some(0));
}

/// Agents and the lb start and run without what they would have kept, and keep it once there is room.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_data_folder_stops_nobody() {
    let mut world = World::empty(ANY);
    let data = world.folder.path().join("data");
    let Some(disk) = Mount::disk(&data) else { return };
    for name in ["proxy", "web1", "web2"] {
        fs::create_dir(data.join(name)).unwrap();
    }
    disk.fill();
    let flags = |name: &str| ["--data-dir".to_owned(), data.join(name).display().to_string()];
    let (lb, web1, web2) = (flags("proxy"), flags("web1"), flags("web2"));
    world.start_balancer("proxy", &[&lb[0], &lb[1]]).await;
    let traffic = {
        world.start_agent("web1", &[&web1[0], &web1[1]]).await;
        world.start_agent("web2", &[&web2[0], &web2[1]]).await;
        world.serves(&["web1", "web2"]).await;
        world.converges().await;
        world.traffic()
    };
    for words in [world.proxy().process.last_words(50), world.agents["web1"].process.last_words(50)] {
        assert!(words.contains("No space left on device") && words.contains("trying again"), "{words}");
    }
    disk.free();
    let kept = |name: &str, other: &str| {
        let text = fs::read_to_string(data.join(name).join("cluster.json")).unwrap_or_default();
        let kept: Value = serde_json::from_str(&text).unwrap_or_default();
        let knows = |members: &Vec<Value>| members.iter().any(|member| member["name"] == other);
        kept["epoch"].as_u64().is_some_and(|epoch| epoch > 0) && kept["members"].as_array().is_some_and(knows)
    };
    let all = || async { kept("proxy", "web1") && kept("web1", "proxy") && kept("web2", "web1") };
    world.eventually("everybody has kept what it knows", all).await;
    none_failed(traffic).await;
}
