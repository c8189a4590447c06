//! The recipes of the README, each pasted as it stands on every data plane: into an empty folder, on a machine that nobody
//! else is on. What stands behind a `$` there is asked until it answers what the README says.
//!
//! Such a machine is made of namespaces, which need root: for the network, so that every recipe has its ports; for
//! processes, which end with it; and for `/run`.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use backchat::demo::child::Folder;

use crate::readme::{self, Block, blocks};

/// The data planes that know all that most recipes say.
const ALL: &[&str] = &["haproxy", "nginx", "openresty"];

/// `recipes!(name: "Heading" on ALL, …)`: a test for each.
macro_rules! recipes {
    ($($name:ident: $heading:literal on $drivers:expr),* $(,)?) => {
        const HEADINGS: &[&str] = &[$($heading),*];

        $(#[test]
        fn $name() {
            cook($heading, $drivers);
        })*
    };
}

recipes!(
    two_hosts: "Two hosts on one balancer" on ALL,
    a_path: "A path for another service, which does not know of it" on ALL,
    https: "HTTPS by a folder of certificates, and nothing else" on ALL,
    self_signed: "HTTPS for development, without a certificate" on ALL,
    magic_names: "A name for each service before there is any DNS" on ALL,
    canaries: "A canary, by a share of the requests and by a header" on ALL,
    sticky: "A client stays where it is" on ALL,
    tcp: "A service that speaks TCP" on &["haproxy", "nginx"],
    access_log: "An access log in JSON" on ALL,
    few_and_not_too_often: "A path for few, and not too often" on ALL,
);

#[test]
fn each_recipe_is_tested_and_each_test_has_its_recipe() {
    let text = readme::text();
    let headings = readme::below(&text, "## Cookbook").lines().filter_map(|line| line.strip_prefix("### "));
    assert_eq!(headings.collect::<Vec<_>>(), HEADINGS);
}

fn cook(heading: &str, drivers: &[&str]) {
    let text = readme::text();
    let recipe = readme::below(readme::below(&text, "## Cookbook"), &format!("### {heading}"));
    if !on_a_machine_of_its_own().arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: a machine of one's own needs root and util-linux");
        return;
    }
    for driver in drivers {
        let folder = Folder::new("backchat-recipe-").unwrap();
        let script = folder.path().join("script");
        fs::write(&script, written(&blocks(recipe), folder.path())).unwrap();
        let mut command = on_a_machine_of_its_own();
        // What is set for a daemon of this host would change the recipe, but for the programs under test.
        let named = ["BACKCHAT_HAPROXY", "BACKCHAT_NGINX", "BACKCHAT_OPENRESTY"];
        let ours =
            std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("BACKCHAT_"));
        for name in ours.filter(|name| !named.iter().any(|named| name == named)) {
            command.env_remove(name);
        }
        let output = command.arg("bash").arg(&script).env("BACKCHAT_DRIVER", driver).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{heading}, by {driver}:\n{said}");
    }
}

/// A command on it; what it starts ends with it.
fn on_a_machine_of_its_own() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]).stdin(Stdio::null());
    command
}

/// A command is asked 200 times at most, with a pause of a tenth of a second between.
const PRELUDE: &str = r#"
exec 2>&1
ip link set lo up
mount -t tmpfs tmpfs /run
seen() {
    for turn in $(seq 200); do
        timeout 20 bash "$1.command" > "$1.answer" 2>&1
        cmp -s "$1.answer" "$1.expected" && return
        sleep 0.1
    done
    echo "not seen: $(cat "$1.command")"
    diff "$1.expected" "$1.answer"
    exit 1
}
"#;

/// The recipe as a script. Files are written as its blocks say, in the first line; what it shows lies beside.
fn written(blocks: &[Block<'_>], folder: &Path) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_backchat")).parent().unwrap();
    let kitchen = folder.join("kitchen");
    fs::create_dir(&kitchen).unwrap();
    let mut script = format!("{PRELUDE}PATH={}:$PATH\ncd {}\n", program.display(), kitchen.display());
    let mut shown = 0;
    for Block { language, text } in blocks {
        match *language {
            "toml" => {
                let name = text.lines().next().and_then(|line| line.strip_prefix("# ")).expect("a file's name");
                fs::write(kitchen.join(name), text).unwrap();
            }
            "sh" => writeln!(script, "set -e\n{text}\nset +e").unwrap(),
            "console" => {
                for asked in format!("\n{text}\n").split("\n$ ").skip(1) {
                    let (command, answer) = asked.split_once('\n').unwrap();
                    let here = folder.join(format!("{shown}"));
                    let answer = format!("{}\n", answer.trim_end_matches('\n'));
                    fs::write(here.with_extension("command"), command).unwrap();
                    fs::write(here.with_extension("expected"), answer).unwrap();
                    writeln!(script, "seen {}", here.display()).unwrap();
                    shown += 1;
                }
            }
            other => panic!("what is '{other}'?"),
        }
    }
    assert!(shown > 0, "nothing is shown");
    script
}
