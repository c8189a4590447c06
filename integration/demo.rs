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
        let args = std::iter::once("demo").chain(flags.iter().copied());
        let program = Path::new(env!("CARGO_BIN_EXE_backchat"));
        let process = Child::start(program, args, &folder.path().join("out")).expect("backchat starts");
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

    /// Every process of the demo names its folder: none may be left, and the folder must be gone.
    fn nothing_is_left(&self) {
        let said = self.said();
        let folder = said.lines().find_map(|line| line.split_once(", files in ")).expect("it names its folder").1;
        assert!(!Path::new(folder).exists(), "{folder} is still there");
        let lines = fs::read_dir("/proc").unwrap().flatten().map(|entry| fs::read(entry.path().join("cmdline")));
        let left = lines.flatten().filter(|line| String::from_utf8_lossy(line).contains(folder)).count();
        assert_eq!(left, 0, "processes of {folder}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_ends_with_no_failed_request_and_nothing_left() {
    let mut run = Run::start(&[]);
    assert_eq!(run.status().await, Some(0), "{}", run.said());
    let said = run.said();
    for line in ["start web4", "stop web3", "kill -9 web2", "kill -9 lb", "adopted"] {
        assert!(said.contains(line), "no {line:?} in:\n{said}");
    }
    let total = said.lines().last().unwrap_or_default();
    assert!(total.starts_with("total: 0 of ") && total.ends_with(" requests failed"), "{total}");
    run.nothing_is_left();
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
