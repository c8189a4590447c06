//! Keeps the shape of the source: who may import whom, which files are pure, who prints.
//!
//! Cargo enforces the edges between crates; this enforces those between the modules of the root crate. It reads
//! source as text: a mention of `crate::x` (or of `super::x` where that reaches the root) is an edge to `x`.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What each module of the root crate may mention. Below it stands only what it needs: the parts do not know one
/// another.
const EDGES: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("lib", &[]),
    (
        "cli",
        &[
            "app",
            "settings",
            "config",
            "admin",
            "source",
            "cluster",
            "reconcile",
            "lifecycle",
            "drivers",
            "model",
            "demo",
        ],
    ),
    ("app", &["settings", "admin", "certificates", "source", "cluster", "reconcile", "lifecycle", "drivers", "model"]),
    ("settings", &["config", "admin", "certificates", "source", "cluster", "lifecycle", "model"]),
    // The words that flags and files use are those of the parts.
    ("config", &["admin", "source", "cluster", "lifecycle", "model"]),
    ("admin", &["private_file", "model"]),
    ("source", &["private_file", "model"]),
    ("certificates", &["data_dir", "model"]),
    ("cluster", &["data_dir", "private_file", "model"]),
    ("reconcile", &["data_dir", "model"]),
    ("lifecycle", &["model"]),
    ("drivers", &["model"]),
    ("model", &[]),
    ("demo", &[]),
    ("data_dir", &[]),
    ("private_file", &[]),
];

/// Files, or whole folders, that take time, randomness and bytes as arguments.
const PURE: &[&str] = &[
    "src/model",
    "src/cluster/node",
    "src/cluster/records",
    "src/cluster/wire",
    "src/reconcile/schedule",
    "src/source/docker/labels",
    "src/source/etcd/keys",
    "src/source/etcd/lines",
    "src/source/etcd/wire",
    "src/source/frontends",
    "src/source/redis/keys",
    "drivers/contract/src",
    "drivers/nginx/src/access",
    "drivers/nginx/src/ages",
    "drivers/nginx/src/config",
    "drivers/nginx/src/layout",
    "drivers/nginx/src/lines",
    "drivers/nginx/src/names",
    "drivers/nginx/src/observe",
    "drivers/nginx/src/paths",
    "drivers/nginx/src/plan",
    "drivers/nginx/src/routes",
    "drivers/openresty/src/config",
    "drivers/openresty/src/observe",
    "drivers/openresty/src/plan",
    "drivers/openresty/src/state",
    "drivers/openresty/src/table",
    "drivers/haproxy/src/layout",
    "drivers/haproxy/src/plan",
    "drivers/haproxy/src/protocol",
];

/// What a pure file does not mention.
const IMPURE: &[&str] = &[
    "tokio::time",
    "tokio::net",
    "tokio::fs",
    "tokio::spawn",
    "std::fs",
    "UdpSocket",
    "TcpStream",
    "SystemTime::now",
    "Instant::now",
    "make_rng",
    "rand::rng",
];

#[test]
fn modules_import_only_what_stands_below_them() {
    let mut wrong = Vec::new();
    for file in sources(&["src"]) {
        let text = code(&file);
        let (module, depth) = place(&file);
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: module {module} is not in the list of edges", shown(&file)));
            continue;
        };
        for to in mentions(&text, depth) {
            let known = EDGES.iter().any(|(name, _)| *name == to);
            if known && to != module && !allowed.contains(&to.as_str()) {
                wrong.push(format!("{}: {module} must not know {to}", shown(&file)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_files_do_no_io_and_read_no_clock() {
    let mut wrong = Vec::new();
    for file in sources(&["src", "drivers"]) {
        let path = shown(&file);
        let is_pure =
            |pure: &&&str| path.strip_prefix(**pure).is_some_and(|rest| rest.starts_with('/') || rest == ".rs");
        let text = code(&file);
        if PURE.iter().any(|pure| is_pure(&pure)) {
            wrong.extend(IMPURE.iter().filter(|word| text.contains(**word)).map(|word| format!("{path}: {word}")));
        }
        if path.starts_with("src/model") && text.contains("tokio") {
            wrong.push(format!("{path}: the model knows no tokio"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_command_line_prints() {
    let wrong: Vec<_> = sources(&["src", "drivers"])
        .into_iter()
        .filter(|file| !matches!(place(file).0.as_str(), "cli" | "main"))
        .filter(|file| ["print!(", "println!("].iter().any(|word| code(file).contains(word)))
        .map(|file| shown(&file))
        .collect();
    assert!(wrong.is_empty(), "these print: {wrong:?}");
}

#[test]
fn every_file_says_why_it_exists_and_stands_alone() {
    let neighbour = concat!("../", "shared");
    let mut wrong = Vec::new();
    for file in sources(&["src", "drivers", "integration"]) {
        let text = fs::read_to_string(&file).expect("a file just listed is readable");
        if !text.starts_with("//!") {
            wrong.push(format!("{}: does not open with //!", shown(&file)));
        }
        if text.contains(neighbour) {
            wrong.push(format!("{}: reads {neighbour}", shown(&file)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The rules above hang on the scanner below: what it must find, and what it must not.
#[test]
fn the_scanner_finds_what_is_mentioned() {
    let check = |text: &str, depth: usize, expected: &[&str]| assert_eq!(mentions(text, depth), expected, "{text}");
    check("use crate::model::Member;", 1, &["model"]);
    check("use crate::{app, cli::{self, Args}, model::*};", 1, &["app", "cli", "model"]);
    check("use crate::{\n    app,\n    model::{a, b},\n};", 2, &["app", "model"]);
    check("fn f() -> crate::cluster::Error { super::x() }", 2, &["cluster"]);
    check("use super::reconcile::Status;", 1, &["reconcile"]);
    check("use super::super::reconcile;", 2, &["reconcile"]);
    check("use super::{wire, super::app};", 2, &[]);
    check("use backchat_contract::crate_like; let mycrate::x;", 1, &[]);
}

/// The points at which a test ends or delays the program are in the one beside the tests, never in what ships.
#[test]
fn failpoints_do_not_ship() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest is readable");
    let (before, after) = manifest.split_once("\n[dev-dependencies]").expect("there are dependencies of tests");
    assert!(!before.contains("failpoints") && after.contains("failpoints"), "Cargo.toml");
    for driver in ["template", "haproxy", "nginx", "openresty"] {
        let path = format!("drivers/{driver}/Cargo.toml");
        let manifest = fs::read_to_string(root().join(&path)).expect("the manifest is readable");
        assert!(!manifest.contains("default ="), "{path} has features that are on by themselves");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

/// Every `.rs` file below these folders, sorted.
fn sources(folders: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).expect("the source folders are readable") {
            let path = entry.expect("a folder's entry is readable").path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no source under {folders:?}");
    found
}

/// Whether a file holds tests alone: they may do and know what they need.
fn is_test(file: &Path) -> bool {
    let path = shown(file);
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// A file's text without its line comments and without the tests at its end.
fn code(file: &Path) -> String {
    if is_test(file) {
        return String::new();
    }
    let text = fs::read_to_string(file).expect("a file just listed is readable");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The top module that a file of the root crate belongs to, and how many modules deep the file is.
fn place(file: &Path) -> (String, usize) {
    let path = shown(file);
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut parts = inner.split('/');
    let top = parts.next().unwrap_or_default().to_owned();
    (top, 1 + parts.count())
}

/// The top modules mentioned through `crate::` or through enough `super::`, in order of mention.
fn mentions(text: &str, depth: usize) -> Vec<String> {
    let to_root = "super::".repeat(depth);
    let mut found = Vec::new();
    for prefix in ["crate::", to_root.as_str()] {
        for (at, _) in text.match_indices(prefix) {
            let whole_word = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            if whole_word {
                found.extend(first_names(&text[at + prefix.len()..]));
            }
        }
    }
    found
}

/// The first names of a path or of a group in braces: `a::b` gives a; `{a::{b, c}, d}` gives a and d.
fn first_names(path: &str) -> Vec<String> {
    let name =
        |text: &str| -> String { text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut names = vec![name(group)];
    let mut open = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open == 0 => break,
            '}' => open -= 1,
            ',' if open == 0 => names.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}
