//! The command line as a shell sees it: exit statuses, standard output and error, the environment, files.

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use backchat::demo::{Child, child::Folder};

/// How long a daemon may take before the test fails: far beyond what it needs.
const PATIENCE: Duration = Duration::from_secs(20);

fn backchat(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backchat"));
    // What the user of the test has set is no part of it.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BACKCHAT_")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// Status and standard error; standard output is to be empty.
fn fails(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&stdout), "");
    (status.code(), String::from_utf8(stderr).unwrap())
}

fn check(command: &mut Command, status: i32, error: &str) {
    let (got, stderr) = fails(command);
    assert_eq!((got, stderr.as_str()), (Some(status), error), "{command:?}");
}

#[test]
fn what_is_wrong_has_a_status_and_one_line() {
    let key = "agent: 0.0.0.0:7946 needs a key: 'backchat keygen --out key', then --key-file key; or --insecure\n";
    check(&mut backchat(&["agent", "--run-dir", "/nowhere"]), 78, key);
    check(
        &mut backchat(&["lb", "--insecure", "--driver", "openresty", "--attach", "--run-dir", "/nowhere"]),
        64,
        "lb: --attach needs --nginx-include FILE --nginx-conf FILE --pid-file FILE\n",
    );
    check(
        &mut backchat(&["agent", "--config", "/nowhere/b.toml"]),
        78,
        "agent: read /nowhere/b.toml: No such file or directory\n",
    );
}

/// What is said of the operator's own files names the flag, and nothing is left behind.
#[test]
fn files_that_are_not_there_are_bad_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let run_dir = folder.path().join("run");
    let lb = ["lb", "--bind", "127.0.0.1:0", "--run-dir", run_dir.to_str().unwrap(), "--template", "/nonexistent"];
    check(&mut backchat(&lb), 78, "lb: --template /nonexistent: No such file or directory\n");
    let lb = [&lb[..5], &["--haproxy", "/nonexistent"]].concat();
    check(&mut backchat(&lb), 78, "lb: no program /nonexistent: install HAProxy, or choose one by --haproxy\n");
    let include = folder.path().join("backchat.conf");
    let theirs = ["--nginx-include", include.to_str().unwrap(), "--nginx-conf", "/nonexistent", "--pid-file", "/p"];
    for driver in ["nginx", "openresty"] {
        let lb = [&lb[..5], &["--driver", driver, "--attach"], &theirs[..]].concat();
        check(&mut backchat(&lb), 78, "lb: --nginx-conf /nonexistent: No such file or directory\n");
    }
    assert!(!run_dir.exists() && !include.exists());
    let lb = [&lb[..5], &["--driver", "openresty", "--openresty", "/nonexistent"]].concat();
    let (status, said) = fails(&mut backchat(&lb));
    assert!(status == Some(78) && said.contains("/nonexistent"), "{status:?} {said}");
}

/// A template that does not render keeps `--once` from its end, and is the operator's, not the network's.
#[test]
fn once_with_a_bad_template_is_bad_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (run_dir, template) = (folder.path().join("run"), folder.path().join("my.jinja"));
    std::fs::write(&template, "{{ nonsense").unwrap();
    let (run_dir, template) = (run_dir.to_str().unwrap(), template.to_str().unwrap());
    // It comes to no start of the program.
    let plane = ["--haproxy", "/bin/true", "--listen", "127.0.0.1:0", "--template", template, "--once"];
    let lb = [&["lb", "--node", "n", "--bind", "127.0.0.1:0", "--run-dir", run_dir], &plane[..]].concat();
    let (status, error) = fails(&mut backchat(&lb));
    assert_eq!(status, Some(78), "{error}");
    let last = error.lines().last().unwrap_or_default();
    assert!(last.starts_with("lb: ") && last.contains(template), "{error}");
}

#[test]
fn wrong_usage_is_64() {
    check(
        &mut backchat(&["release", "--nonsense"]),
        64,
        "release: unexpected argument '--nonsense'; see 'backchat release --help'\n",
    );
    let alone = "agent: --restart and --stop-signal go with a service to run: -- COMMAND\n";
    check(&mut backchat(&["agent", "--bind", "127.0.0.1:0", "--restart", "always"]), 64, alone);
    let lines = [
        &["lb", "--nonsense"][..],
        &[],
        &["explain"],
        &["agent", "--service", "web"],
        &["join"],
        &["plan", "--assume", "x"],
    ];
    for line in lines {
        let (status, error) = fails(&mut backchat(line));
        assert_eq!(status, Some(64), "{line:?}: {error}");
        assert!(!error.is_empty(), "{line:?}");
    }
}

#[test]
fn nobody_there_is_69() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["members", "services", "routes", "status", "watch", "plan", "leave"] {
        let admin = format!("unix:{}/admin.sock", folder.path().display());
        let (status, error) = fails(&mut backchat(&[command, "--admin", &admin]));
        assert_eq!(status, Some(69), "{error}");
        assert!(error.starts_with(&format!("{command}: no daemon at {admin}; ")), "{error}");
    }
}

/// A flag counts more than the environment, that more than the file; the file's line is named.
#[test]
fn flags_environment_and_file_lie_upon_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("b.toml");
    std::fs::write(&file, "bind = \"10.255.0.1:1\"\nnode = \"a\"\n").unwrap();
    let config = ["agent", "--run-dir", "/nowhere", "--config", file.to_str().unwrap()];
    let needs_key = |command: &mut Command, bind: &str| {
        let (status, error) = fails(command);
        assert_eq!(status, Some(78));
        assert!(error.starts_with(&format!("agent: {bind} needs a key")), "{error}");
    };
    needs_key(&mut backchat(&config), "10.255.0.1:1");
    needs_key(backchat(&config).env("BACKCHAT_BIND", "10.255.0.2:2"), "10.255.0.2:2");
    let flagged = [&config[..], &["--bind", "10.255.0.3:3"]].concat();
    needs_key(backchat(&flagged).env("BACKCHAT_BIND", "10.255.0.2:2"), "10.255.0.3:3");
    std::fs::write(&file, "node = \"a\"\njion = []\n").unwrap();
    let error = format!("agent: {}:2:1: unknown key 'jion'; did you mean 'join'?\n", file.display());
    check(&mut backchat(&config), 78, &error);
}

/// As in Debian's environment files, where `BACKCHAT_JOIN=` stands for nothing.
#[test]
fn an_empty_variable_counts_as_unset() {
    let mut agent = backchat(&["agent", "--run-dir", "/nowhere"]);
    for name in ["NODE", "BIND", "JOIN", "TAG", "KEY_FILE", "INSECURE", "PROFILE", "CONFIG", "SERVICE", "DATA_DIR"] {
        agent.env(format!("BACKCHAT_{name}"), "");
    }
    let (status, error) = fails(&mut agent);
    assert_eq!(status, Some(78), "{error}");
    assert!(error.starts_with("agent: 0.0.0.0:7946 needs a key"), "{error}");
    let mut members = backchat(&["members"]);
    assert_eq!(fails(members.env("BACKCHAT_ADMIN", "")).0, fails(&mut backchat(&["members"])).0);
}

#[test]
fn the_version_is_an_answer_too() {
    let printed = backchat(&["version", "--format", "json", "--no-headers"]).output().unwrap().stdout;
    let answer: serde_json::Value = serde_json::from_slice(&printed).unwrap();
    let expected = serde_json::json!({ "format": "backchat.version/1", "version": env!("CARGO_PKG_VERSION") });
    assert_eq!(answer, expected);
}

/// What a command prints as JSON, and its status.
fn json(args: &[&str]) -> (Option<i32>, serde_json::Value) {
    let Output { status, stdout, .. } = backchat(args).output().unwrap();
    (status.code(), serde_json::from_slice(&stdout).unwrap_or_default())
}

/// An agent that runs alone is asked to join nobody, and to leave.
#[tokio::test]
async fn commands_that_act_answer_in_json_too() {
    let folder = Folder::new("backchat-commands-").unwrap();
    let run_dir = folder.path().join("run").display().to_string();
    let args = ["agent", "--node", "web1", "--bind", "127.0.0.1:0", "--run-dir", &run_dir];
    let mut agent = Child::start(Path::new(env!("CARGO_BIN_EXE_backchat")), args, &folder.path().join("log")).unwrap();
    let admin = format!("unix:{run_dir}/admin.sock");
    let ask = |words: &[&str]| json(&[words, &["--admin", &admin, "--no-headers", "-o", "json"]].concat());
    let began = Instant::now();
    while ask(&["status"]).0 == Some(69) {
        assert!(began.elapsed() < PATIENCE, "it does not answer: {}", agent.last_words(10));
    }
    let (status, joined) = ask(&["join", "127.0.0.1:1"]);
    assert_eq!((status, &joined["format"]), (Some(1), &"backchat.join/1".into()), "{joined}");
    assert_eq!(joined["failed"][0]["addr"], "127.0.0.1:1");
    let (status, left) = ask(&["leave"]);
    assert_eq!((status, &left["format"], &left["node"]), (Some(0), &"backchat.leave/1".into(), &"web1".into()));
    let ended = agent.ended(PATIENCE).await.unwrap().expect("it leaves");
    assert_eq!(ended.code(), Some(0), "{}", agent.last_words(10));
}

/// Beyond loopback there is a token or no daemon; who says it is answered, who does not is told what is missing.
#[tokio::test]
async fn a_token_lets_in_over_tcp() {
    let folder = Folder::new("backchat-commands-").unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let port = backchat::demo::ports::free().unwrap().port();
    let everywhere = format!("0.0.0.0:{port}");
    let mut args = vec!["agent", "--node", "web1", "--bind", "127.0.0.1:0", "--admin", &everywhere];
    let (run_dir, token, other) = (path("run"), path("token"), path("other"));
    args.extend(["--run-dir", &run_dir]);
    let why = "is not on loopback: it needs --admin-token-file; or use unix:PATH or loopback";
    check(&mut backchat(&args), 78, &format!("agent: admin {everywhere} {why}\n"));
    for file in [&token, &other] {
        assert!(backchat(&["keygen", "--out", file]).output().unwrap().status.success());
    }
    args.extend(["--admin-token-file", &token]);
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o640)).unwrap();
    let exposed = format!("its mode is 640, so others may read it; run 'chmod 600 {token}'\n");
    check(&mut backchat(&args), 78, &format!("agent: read token file {token}: {exposed}"));
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_backchat"));
    let agent = Child::start(program, &args, &folder.path().join("log")).unwrap();
    let admin = format!("127.0.0.1:{port}");
    let ask = |words: &[&str]| json(&[&["members", "--admin", &admin, "-o", "json"], words].concat());
    let began = Instant::now();
    while ask(&["--admin-token-file", &token]).0 != Some(0) {
        assert!(began.elapsed() < PATIENCE, "it does not answer: {}", agent.last_words(10));
    }
    let named = backchat(&["members", "--admin", &admin]).env("BACKCHAT_ADMIN_TOKEN_FILE", &token).output().unwrap();
    assert_eq!(named.status.code(), Some(0), "{named:?}");
    for words in [&[][..], &["--admin-token-file", &other]] {
        let (status, error) = fails(&mut backchat(&[&["members", "--admin", &admin], words].concat()));
        let needed =
            "members: a token is needed: say the daemon's by --admin-token-file, or as 'Authorization: Bearer'\n";
        assert_eq!((status, error.as_str()), (Some(69), needed));
    }
}

#[test]
fn a_key_is_made_for_its_owner_alone_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    let mut keygen = backchat(&["keygen", "--out", key.to_str().unwrap()]);
    let made = keygen.output().unwrap();
    assert_eq!((made.status.code(), made.stdout.len()), (Some(0), 0));
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let first = std::fs::read(&key).unwrap();
    assert!(
        !String::from_utf8_lossy(&made.stderr).contains(String::from_utf8_lossy(&first).trim()),
        "it shows the key"
    );
    let (status, error) = fails(&mut keygen);
    assert_eq!(status, Some(78), "{error}");
    assert!(error.contains("there is one already, and it stays; choose another --out"), "{error}");
    assert_eq!(std::fs::read(&key).unwrap(), first);
    let printed = backchat(&["keygen"]).output().unwrap().stdout;
    assert_eq!(printed.len(), first.len());
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    let printed = backchat(&["keygen"]).output().unwrap().stdout;
    std::fs::write(&key, printed).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let run_dir = folder.path().join("run");
    let args =
        ["agent", "--bind", "127.0.0.1:0", "--run-dir", run_dir.to_str().unwrap(), "--key-file", key.to_str().unwrap()];
    let (status, error) = fails(&mut backchat(&args));
    assert_eq!(status, Some(78), "{error}");
    assert!(error.contains("chmod 600"), "{error}");
}

#[test]
fn what_was_asked_for_is_on_standard_output() {
    for (args, begins) in [
        (&["version"][..], "backchat "),
        (&["--version"], "backchat "),
        (&["--help"], "Agents gossip"),
        (&["lb", "--help"], "Gossip beside"),
    ] {
        let Output { status, stdout, stderr } = backchat(args).output().unwrap();
        assert_eq!((status.code(), stderr.len()), (Some(0), 0), "{args:?}");
        assert!(String::from_utf8_lossy(&stdout).starts_with(begins), "{args:?}");
    }
}

/// `backchat completions bash | head -1`: that nobody reads on is no failure.
#[test]
fn a_closed_pipe_is_no_failure() {
    let script = "\"$0\" completions bash | head -1; exit \"${PIPESTATUS[0]}\"";
    let output = Command::new("bash").args(["-c", script, env!("CARGO_BIN_EXE_backchat")]).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn completions_are_what_their_shell_reads() {
    let script = backchat(&["completions", "bash"]).output().unwrap().stdout;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("completion");
    std::fs::write(&file, script).unwrap();
    assert!(reads(&file), "bash does not read it");
}

fn reads(file: &Path) -> bool {
    Command::new("bash").arg("-n").arg(file).status().is_ok_and(|status| status.success())
}
