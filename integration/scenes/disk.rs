//! The run folder is full, or cannot be written, or somebody edited what is in it; the data folder is full. Endpoints
//! flow by the runtime socket, structure waits, status says why and how to go on, and it ends by itself.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use backchat::demo::child::kill_pid;
use rustix::process::getuid;
use serde_json::Value;

use super::world::{PATIENCE, World, free, get, none_failed};

/// A mount that goes with its holder; declared after the world, it goes before the world's folder does.
struct Mount(PathBuf);

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
    fn read_only(at: &Path) -> Option<Self> {
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
        // HAProxy has its log open there: the mount goes when it ends.
        assert!(Command::new("umount").arg("--lazy").arg(&self.0).status().unwrap().success());
    }
}

/// The three files of a rendering, as HAProxy would read them.
fn files(world: &World) -> [String; 3] {
    let read = |name: &str| fs::read_to_string(world.run_dir("proxy").join(name)).unwrap_or_default();
    ["haproxy.cfg", "hosts.map", "services.map"].map(read)
}

/// Whether HAProxy finds nothing wrong with the file at its place, and it is whole.
fn is_whole(world: &World) -> bool {
    let config = world.run_dir("proxy").join("haproxy.cfg");
    let program = std::env::var("BACKCHAT_HAPROXY").unwrap_or_else(|_| "haproxy".into());
    let passes = Command::new(program).args(["-c", "-f"]).arg(&config).output().unwrap().status.success();
    passes && files(world)[0].lines().last().is_some_and(|line| line.starts_with("# backchat: end of file"))
}

/// Waits until a line of `status` has all of these words.
async fn says(world: &World, words: &[&str]) {
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

/// What must hold while the files cannot be written, for whatever reason.
async fn endpoints_flow(world: &mut World, words: &[&str]) {
    let before = files(world);
    let traffic = world.traffic();
    world.start_agent("web3", &[]).await;
    world.serves(&["web1", "web2", "web3"]).await;
    says(world, words).await;
    assert_eq!(world.status_text().await.1, Some(1), "status fails");
    leaves(world, "web2").await;
    world.serves(&["web1", "web3"]).await;

    // A new structure is wanted, by a new lb: it adopts, and changes nothing.
    world.kill_lb().await;
    let other = free().to_string();
    world.restart_balancer_with("proxy", &["--listen", &other]);
    says(world, words).await;
    world.serves(&["web1", "web3"]).await;
    none_failed(traffic).await;
    assert_eq!(files(world), before, "a file changed");
    assert!(is_whole(world));
}

async fn on_a_disk() -> Option<(World, Mount)> {
    let mut world = World::empty();
    let disk = Mount::disk(&world.run_dir("proxy"))?;
    world.start_balancer("proxy", &[]).await;
    for name in ["web1", "web2"] {
        world.start_agent(name, &[]).await;
    }
    world.serves(&["web1", "web2"]).await;
    world.converges().await;
    Some((world, disk))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_holds_back_no_endpoint_and_cuts_no_file() {
    let Some((mut world, disk)) = on_a_disk().await else { return };
    disk.fill();
    let words = ["FAIL", "data plane", "No space left on device", "make room there", "endpoints flow"];
    endpoints_flow(&mut world, &words).await;
    disk.free();
    world.serves(&["web1", "web3"]).await;
    world.converges().await;
    assert!(is_whole(&world));
    assert!(files(&world)[0].contains("server web3 "), "it was written once there was room");
}

/// HAProxy dies on a full disk: it comes back from the files that there are, and is brought up to date.
#[tokio::test(flavor = "multi_thread")]
async fn a_haproxy_killed_on_a_full_disk_comes_back() {
    let Some((mut world, disk)) = on_a_disk().await else { return };
    disk.fill();
    world.start_agent("web3", &[]).await;
    world.serves(&["web1", "web2", "web3"]).await;
    let master = fs::read_to_string(world.run_dir("proxy").join("haproxy.pid")).unwrap();
    kill_pid(master.trim().parse().unwrap()).unwrap();
    let http = world.proxy().http;
    world.eventually("HAProxy answers again", || async { get(http, "any.example").await.is_some() }).await;
    world.serves(&["web1", "web2", "web3"]).await;
    disk.free();
    world.converges().await;
    assert!(files(&world)[0].contains("server web3 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_holds_back_no_endpoint() {
    let mut world = World::with(&["web1", "web2"]).await;
    world.converges().await;
    let Some(mount) = Mount::read_only(&world.run_dir("proxy")) else { return };
    // A new lb needs the folder for its own socket: it is the one that runs which meets this.
    let before = files(&world);
    let traffic = world.traffic();
    world.start_agent("web3", &[]).await;
    world.serves(&["web1", "web2", "web3"]).await;
    says(&world, &["FAIL", "Read-only file system", "make it writable", "endpoints flow"]).await;
    leaves(&mut world, "web2").await;
    world.serves(&["web1", "web3"]).await;
    assert_eq!(files(&world), before);
    drop(mount);
    world.converges().await;
    none_failed(traffic).await;
    assert!(files(&world)[0].contains("server web3 "));
}

/// As `sed -i` and most editors do it: another file in the place of the one that was there.
fn edit(path: &Path, text: &str) {
    let new = path.with_extension("tmp");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_file_holds_back_structure_alone_until_it_is_forced() {
    let mut world = World::with(&["web1", "web2"]).await;
    world.converges().await;
    let config = world.run_dir("proxy").join("haproxy.cfg");
    let edited = files(&world)[0].replace("retries 3", "retries 4");
    edit(&config, &edited);
    let traffic = world.traffic();
    let remedy = format!("{} was edited by hand; start lb with --force", config.display());
    says(&world, &["warn", "file", &remedy]).await;
    world.start_agent("web3", &[]).await;
    world.serves(&["web1", "web2", "web3"]).await;

    // A structure that is needed waits, and says so; nothing is written over.
    world.kill_lb().await;
    let other = free().to_string();
    world.restart_balancer_with("proxy", &["--listen", &other]);
    says(&world, &["waiting", &remedy, "needed: settings or template changed"]).await;
    leaves(&mut world, "web2").await;
    world.serves(&["web1", "web3"]).await;
    assert_eq!(fs::read_to_string(&config).unwrap(), edited);
    assert!(get(other.parse().unwrap(), "any.example").await.is_none(), "the listener came");

    world.kill_lb().await;
    world.restart_balancer_with("proxy", &["--listen", &other, "--force"]);
    let listens = || async { get(other.parse().unwrap(), "any.example").await.is_some_and(|(s, _)| s == 200) };
    world.eventually("the structure came", listens).await;
    world.converges().await;
    none_failed(traffic).await;
    assert!(is_whole(&world) && files(&world)[0].contains("retries 3"));
    let kept = fs::read_to_string(world.run_dir("proxy").join("haproxy.cfg.edited")).unwrap();
    assert_eq!(kept, edited, "what somebody wrote is not lost");
}

/// Whoever edited takes it back, and all goes on without a word from him.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_is_undone_blocks_no_more() {
    let mut world = World::with(&["web1"]).await;
    world.converges().await;
    let config = world.run_dir("proxy").join("haproxy.cfg");
    let ours = files(&world)[0].clone();
    edit(&config, &format!("{ours}# mine\n"));
    says(&world, &["warn", "file", "edited by hand"]).await;
    world.start_agent("web2", &[]).await;
    world.serves(&["web1", "web2"]).await;
    assert!(!files(&world)[0].contains("server web2 "));
    edit(&config, &ours);
    world.eventually("the file is written", || async { files(&world)[0].contains("server web2 ") }).await;
    world.converges().await;
    assert_eq!(world.status_text().await.1, Some(0));
}

/// Agents and the lb start and run without what they would have kept, and keep it once there is room.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_data_folder_stops_nobody() {
    let mut world = World::empty();
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
