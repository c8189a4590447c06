//! The errors that people meet first, as the program says them: `snapshots/…the_first_errors.snap` is a page to read. Each
//! is one line: command, object, cause, remedy.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::net::UnixListener,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use backchat::demo::{Child, child::Folder};

/// How long a daemon may take before the test fails: far beyond what it needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Its last word on standard error, with its status.
fn error(folder: &Path, args: &[&str], seen: &[(&str, &str)]) -> String {
    let (status, said) = run(folder, args, seen);
    // A daemon tells the time of what it logs; its last word is its error.
    format!("{status:?} {}\n", said.trim_end().lines().last().unwrap_or_default())
}

/// Its status, and all that it says on standard error; what differs from run to run is put in its place.
fn run(folder: &Path, args: &[&str], seen: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backchat"));
    // What the user of the test has set is no part of it.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BACKCHAT_")) {
        command.env_remove(name);
    }
    let output = command.args(args).env("XDG_RUNTIME_DIR", folder).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let shown = seen.iter().fold(said, |text, (seen, shown)| text.replace(seen, shown));
    (output.status.code(), shown.replace(&folder.display().to_string(), "/run"))
}

/// The fingerprint of a key that is new each time.
fn without_fingerprint(said: &str) -> String {
    let (before, fingerprint) = said.split_once("(ours ").expect("it names our key");
    let after = fingerprint.split_once(')').map_or("", |(_, after)| after);
    format!("{before}(ours 51c0…){after}")
}

fn key(folder: &Path, name: &str) -> String {
    let path = folder.join(name).display().to_string();
    let made = Command::new(env!("CARGO_BIN_EXE_backchat")).args(["keygen", "--out", &path]).output().unwrap();
    assert!(made.status.success());
    path
}

/// Whether there is a socket in a folder of a daemon that answers, so that others than the one named are found.
fn daemon(folder: &Path, node: &str) -> UnixListener {
    let run_dir = folder.join("backchat").join(node);
    fs::create_dir_all(&run_dir).unwrap();
    UnixListener::bind(run_dir.join("admin.sock")).unwrap()
}

#[tokio::test]
async fn the_first_errors() {
    let folder = Folder::new("backchat-errors-").unwrap();
    let folder = folder.path();
    let run_dir = folder.join("new").display().to_string();
    let mut page = Vec::new();

    let _web1 = daemon(folder, "web1");
    let nowhere = format!("unix:{}", folder.join("backchat/proxy/admin.sock").display());
    page.push(error(folder, &["members", "--admin", &nowhere], &[]));
    page.push(error(folder, &["agent", "--service", "web:80", "--run-dir", &run_dir], &[]));

    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap().to_string();
    let agent = ["agent", "--service", "web:80", "--run-dir", &run_dir, "--bind", &bind];
    page.push(error(folder, &agent, &[(&bind, "127.0.0.1:7946")]));

    let (ours, theirs) = (key(folder, "ours"), key(folder, "theirs"));
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (seed, bind) = (free(), free());
    let seed_dir = folder.join("seed").display().to_string();
    let args = ["agent", "--node", "seed", "--bind", &seed, "--key-file", &theirs, "--run-dir", &seed_dir];
    let other = Child::start(Path::new(env!("CARGO_BIN_EXE_backchat")), args, &folder.join("log")).unwrap();
    let began = Instant::now();
    while !Path::new(&seed_dir).join("admin.sock").exists() {
        assert!(began.elapsed() < PATIENCE, "it does not start: {}", other.last_words(10));
        std::thread::yield_now();
    }
    let join =
        ["agent", "--node", "web1", "--bind", &bind, "--key-file", &ours, "--run-dir", &run_dir, "--join", &seed];
    let (status, said) = run(folder, &[&join[..], &["--join-timeout", "2s"]].concat(), &[(&seed, "seed:7946")]);
    let warned = said.lines().find_map(|line| line.split_once("retrying in ").filter(|_| line.contains(" WARN ")));
    let (why, pause) = warned.unwrap_or_else(|| panic!("it retries without a word: {said}"));
    let why = why.rsplit_once("progress: ").map_or(why, |(_, why)| why);
    assert!(pause.strip_suffix(" s").is_some_and(|s| s.parse::<f32>().is_ok()), "{pause}");
    page.push(format!("log {}retrying in 0.5 s\n", without_fingerprint(why)));
    let last = said.trim_end().lines().last().unwrap_or_default();
    page.push(format!("{status:?} {}\n", without_fingerprint(last)));

    insta::assert_snapshot!(page.concat());
}
