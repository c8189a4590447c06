//! The order of the shipped program's code: a pattern of `packaging/layout.ld` that is misspelt matches nothing, and no
//! linker says so.

use std::{fs, path::Path};

/// Crates that come with the compiler: the standard library's, and what it reads a backtrace by.
const BUILT_IN: &[&str] =
    &["addr2line", "alloc", "backtrace_rs", "core", "gimli", "miniz_oxide", "rustc_demangle", "std"];

#[test]
fn every_pattern_names_a_crate_or_module_that_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let layout = fs::read_to_string(root.join("packaging/layout.ld")).unwrap();
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
    let locked: Vec<_> = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
    let patterns: Vec<_> =
        layout.lines().filter_map(|line| line.trim().strip_prefix("*(.text.*")?.strip_suffix("*)")).collect();
    assert!(patterns.len() > 30, "{patterns:?}");
    for pattern in patterns {
        let (names, rest) = names(pattern).unwrap_or_else(|| panic!("{pattern}: a length is wrong"));
        assert!(["", "?", "INtB"].contains(&rest), "{pattern}: after its names stands {rest:?}");
        let (first, module) = (names[0], names.get(1));
        let is_there = BUILT_IN.contains(&first) || locked.iter().any(|name| name.replace('-', "_") == first);
        assert!(is_there, "{pattern}: no crate {first}");
        if let ("backchat", Some(module)) = (first, module) {
            assert!(root.join(format!("src/{module}.rs")).exists(), "{pattern}: no module {module}");
        }
    }
}

/// The names of a path as the mangling writes them, each behind its length, and what follows them.
fn names(mut text: &str) -> Option<(Vec<&str>, &str)> {
    let mut names = Vec::new();
    loop {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let Ok(length) = text[..digits].parse() else { return (!names.is_empty()).then_some((names, text)) };
        let (name, rest) = text[digits..].split_at_checked(length)?;
        names.push(name);
        text = rest;
    }
}
