//! The demo itself: what a newcomer sees first must end well, and leave nothing behind.

use std::{fs, path::Path, time::Duration};

use backchat::demo::{Child, child::Folder};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(60);

struct Run {
    process: Child,
    folder: Folder,
}

impl Run {
    fn start(flags: &[&str]) -> Self {
        let folder = Folder::new("backchat-demo-test-").expect("a temporary folder");
        // A scene's child is told nothing of ours by its environment; this one is to hear which program it drives.
        let variables = ["BACKCHAT_HAPROXY", "BACKCHAT_NGINX", "BACKCHAT_OPENRESTY"];
        let told = variables.into_iter().filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?)));
        let args = told.chain([env!("CARGO_BIN_EXE_backchat"), "demo"].map(String::from));
        let args = args.chain(flags.iter().map(ToString::to_string));
        let process = Child::start(Path::new("env"), args, &folder.path().join("out")).expect("backchat starts");
        Self { process, folder }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("out")).unwrap_or_default()
    }

    async fn until_said(&self, words: &str) {
        let begun = Instant::now();
        while !self.said().contains(words) {
            assert!(begun.elapsed() < PATIENCE, "not said: {words}\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn interrupt(&self) {
        let pid = Pid::from_raw(i32::try_from(self.process.pid()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
    }

    async fn status(&mut self) -> Option<i32> {
        let status = self.process.ended(PATIENCE).await.unwrap();
        status.unwrap_or_else(|| panic!("it did not end: {}", self.said())).code()
    }

    /// Every process of the demo names its folder or works there: none may be left, and the folder must be gone.
    fn nothing_is_left(&self) {
        let said = self.said();
        let folder = said.lines().find_map(|line| line.split_once(", files in ")).expect("it names its folder").1;
        assert!(!Path::new(folder).exists(), "{folder} is still there");
        let names = |process: &Path| {
            let line = fs::read(process.join("cmdline")).unwrap_or_default();
            let works = fs::read_link(process.join("cwd")).is_ok_and(|at| at.starts_with(folder));
            works || String::from_utf8_lossy(&line).contains(folder)
        };
        let left = fs::read_dir("/proc").unwrap().flatten().filter(|entry| names(&entry.path())).count();
        assert_eq!(left, 0, "processes of {folder}");
    }
}

async fn it_ends_with_no_failed_request_and_nothing_left(driver: &str) {
    let mut run = Run::start(&["--driver", driver]);
    assert_eq!(run.status().await, Some(0), "{}", run.said());
    let said = run.said();
    for line in ["start web4", "stop web3", "kill -9 web2", "kill -9 lb", "adopted"] {
        assert!(said.contains(line), "no {line:?} in:\n{said}");
    }
    let total = said.lines().last().unwrap_or_default();
    assert!(total.starts_with("total: 0 of ") && total.contains(" requests failed"), "{total}");
    run.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_haproxy_it_ends_with_no_failed_request_and_nothing_left() {
    it_ends_with_no_failed_request_and_nothing_left("haproxy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nginx_it_ends_with_no_failed_request_and_nothing_left() {
    it_ends_with_no_failed_request_and_nothing_left("nginx").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_openresty_it_ends_with_no_failed_request_and_nothing_left() {
    it_ends_with_no_failed_request_and_nothing_left("openresty").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_demo_leaves_nothing() {
    let mut run = Run::start(&[]);
    run.until_said("start web2").await;
    run.interrupt();
    assert_eq!(run.status().await, Some(1), "{}", run.said());
    run.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_it_runs_until_interrupted() {
    let mut run = Run::start(&["--keep"]);
    run.until_said("It runs until Ctrl-C").await;
    assert!(run.process.is_running());
    run.interrupt();
    assert_eq!(run.status().await, Some(0), "{}", run.said());
    run.nothing_is_left();
}
