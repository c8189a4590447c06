//! Docker as people use it: by its commands, and Compose's. Knows nothing of backchat.

use std::process::{Command, Output, Stdio};

/// Whether the tests of containers can run here; why not, in words, where they cannot.
pub(super) fn missing() -> Option<&'static str> {
    let works = |program: &str, args: &[&str]| {
        let status = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    if !works("docker", &["version", "--format", "{{.Server.Version}}"]) {
        Some("no Docker engine answers")
    } else if compose_program().is_none() {
        Some("there is neither docker compose nor docker-compose")
    } else if !works("debootstrap", &["--version"]) {
        Some("there is no debootstrap to make a base image with")
    } else if !rustix::process::geteuid().is_root() {
        Some("a base image and a key of the containers' user are made by root alone")
    } else {
        None
    }
}

/// Compose as a plugin of Docker's, or the program of before.
fn compose_program() -> Option<Command> {
    let plugin = || {
        let mut command = Command::new("docker");
        command.arg("compose");
        command
    };
    let program = || Command::new("docker-compose");
    let works = |mut command: Command| command.arg("version").output().is_ok_and(|said| said.status.success());
    if works(plugin()) { Some(plugin()) } else { works(program()).then(program) }
}

/// What Compose is asked, for a project.
pub(super) fn compose(project: &str) -> Command {
    let mut command = compose_program().expect("Compose was there a moment ago");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/docker/compose.yaml");
    command.args(["-f", file, "-p", project]);
    command
}

/// What Docker says; it must succeed.
pub(super) fn docker(args: &[&str]) -> String {
    let mut command = Command::new("docker");
    command.args(args);
    run(&mut command)
}

/// What Docker says, whatever comes of it: status, then what is said on both outputs.
pub(super) fn try_docker(args: &[&str]) -> Output {
    Command::new("docker").args(args).output().expect("docker runs")
}

/// What these containers said last.
pub(super) fn last_words<'a>(containers: impl Iterator<Item = &'a str>) -> String {
    let words = containers.map(|id| {
        let said = try_docker(&["logs", "--tail", "30", id]);
        format!("== {id}\n{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr))
    });
    words.collect()
}

/// Runs a command that must succeed; what it says.
pub(super) fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&stdout).trim().to_owned();
    assert!(status.success(), "{command:?}: {status}\n{said}\n{}", String::from_utf8_lossy(&stderr));
    said
}

/// What the tests made: gone with this, also where one panics.
#[derive(Debug)]
pub(super) struct Made {
    /// What takes it away: `docker rm -f NAME`.
    undo: Vec<String>,
}

impl Made {
    pub(super) fn new(undo: &[&str]) -> Self {
        Self { undo: undo.iter().map(ToString::to_string).collect() }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // What is gone already is as it should be.
        let _gone = Command::new("docker").args(&self.undo).output();
    }
}
