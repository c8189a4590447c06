//! Reads a plan's text back: what stands there, line by line, as far as a person could tell a program of it.

/// A line of a change.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) sign: char,
    pub(super) kind: &'static str,
    pub(super) id: String,
    /// Of an endpoint.
    pub(super) addr: Option<String>,
    /// Where a route leads.
    pub(super) to: Option<String>,
    pub(super) why: String,
}

/// A plan's text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) lines: Vec<Line>,
    /// `web 2 → 3`
    pub(super) ready: Vec<String>,
    pub(super) waits: Vec<String>,
    /// Their ids and whys.
    pub(super) holds: Vec<(String, String)>,
    /// Of each file, name and lines that go or come.
    pub(super) files: Vec<(String, Vec<String>)>,
    pub(super) commands: Vec<String>,
    pub(super) summary: String,
}

pub(super) fn read(text: &str) -> Said {
    let mut said = Said::default();
    for line in text.lines().skip(1) {
        if let Some(rest) = line.strip_prefix("ready: ") {
            said.ready = rest.split(", ").map(str::to_owned).collect();
        } else if let Some(why) = line.strip_prefix("waits: ") {
            said.waits.push(why.to_owned());
        } else if let Some((id, why)) = line.strip_prefix("hold ").and_then(|rest| rest.split_once(": ")) {
            said.holds.push((id.to_owned(), why.to_owned()));
        } else if let Some(id) = line.strip_prefix("  backchat apply --accept ") {
            assert_eq!(said.holds.last().map(|hold| hold.0.as_str()), Some(id));
        } else if let Some(more) = line.strip_prefix("  >   ") {
            said.commands.last_mut().unwrap().extend(["\n", more]);
        } else if let Some(command) = line.strip_prefix("  > ") {
            said.commands.push(command.to_owned());
        } else if let Some(name) = line.strip_prefix("  --- ") {
            said.files.push((name.split(" (").next().unwrap().to_owned(), Vec::new()));
        } else if line.starts_with("  +++ ") && said.files.last().is_some_and(|file| file.1.is_empty()) {
        } else if let Some(diff) = line.strip_prefix("  ") {
            said.files.last_mut().unwrap().1.push(diff.to_owned());
        } else if let Some(summary) = line.strip_prefix("Plan: ") {
            said.summary = summary.to_owned();
        } else if !line.is_empty() {
            said.lines.push(change(line));
        }
    }
    said
}

fn change(line: &str) -> Line {
    let (sign, rest) = (line.chars().next().unwrap(), &line[2..]);
    let (head, why) = rest.rsplit_once("   ").unwrap();
    let why = why.trim_start().to_owned();
    let words: Vec<&str> = head.split_whitespace().collect();
    let line = |kind, id: &str, addr: Option<&&str>, to: Option<&&str>| {
        let text = |word: &&str| word.trim_end_matches(',').to_owned();
        Line { sign, kind, id: id.to_owned(), addr: addr.map(text), to: to.map(text), why: why.clone() }
    };
    match words[..] {
        ["route", id, "→", ..] => line("route", id, None, words.get(3)),
        ["service", id, ..] => line("service", id, None, None),
        _ => line("endpoint", words[0], words.get(1), None),
    }
}
