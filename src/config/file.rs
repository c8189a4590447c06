//! A configuration file: its keys are the flags' long names. Unknown keys fail, and every error says
//! file and line.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use toml::Spanned;

use super::Layer;
use crate::model::words::nearest;

/// Why a configuration file, or a file that the configuration names, was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It cannot be written.
    #[error("write {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the operator's that a flag names cannot be read.
    #[error("{flag} {}: {source}", path.display())]
    Named {
        /// Which flag: `--template`.
        flag: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The data plane's program is not there.
    #[error("no program {}: install {name}, or choose one by {flag}", program.display())]
    NoProgram {
        /// What was looked for.
        program: PathBuf,
        /// What it is.
        name: &'static str,
        /// What names another.
        flag: &'static str,
    },
    /// What it says does not hold together, wherever that is.
    #[error("{}: {message}", path.display())]
    Whole {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// It says something that cannot be meant.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong there.
        message: String,
    },
}

/// Reads a layer out of a file.
///
/// # Errors
/// Where the file cannot be read, is no TOML, has a key that is no flag of this command, or a value that its flag
/// would not take.
pub fn read<L: Layer>(path: &Path) -> Result<L, FileError> {
    parse(path, &text(path)?)
}

fn parse<L: Layer>(path: &Path, text: &str) -> Result<L, FileError> {
    let at = |offset: usize, message: String| mistake(path, text, offset, message);
    let wrong = |e: toml::de::Error| at(e.span().map_or(0, |s| s.start), e.message().replace('\n', ", "));
    let known = [flags::<L>(), L::TABLES.iter().map(ToString::to_string).collect()].concat();
    let keys = keys(path, text)?;
    if let Some(key) = keys.into_keys().find(|key| !known.contains(key.get_ref())) {
        return Err(at(key.span().start, unknown(key.get_ref(), &known)));
    }
    L::from_toml(text).map_err(wrong)
}

/// A mistake at this byte of the text.
fn mistake(path: &Path, text: &str, offset: usize, message: String) -> FileError {
    let (line, column) = place(text, offset);
    FileError::Line { path: path.to_owned(), line, column, message }
}

/// The keys of the file itself, with where they stand.
pub(super) fn keys(path: &Path, text: &str) -> Result<BTreeMap<Spanned<String>, toml::Value>, FileError> {
    let wrong =
        |e: toml::de::Error| mistake(path, text, e.span().map_or(0, |s| s.start), e.message().replace('\n', ", "));
    toml::from_str(text).map_err(wrong)
}

/// The file's text.
pub(super) fn text(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source })
}

/// What is wrong about a flag, at the place where the file says it: at the first of the flags that the words name.
pub fn blame(path: &Path, message: &str) -> FileError {
    let nowhere = || FileError::Whole { path: path.to_owned(), message: message.to_owned() };
    let Ok(text) = text(path) else { return nowhere() };
    let Ok(keys) = keys(path, &text) else { return nowhere() };
    let words = message.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).filter_map(|w| w.strip_prefix("--"));
    let said = words.filter_map(|flag| keys.keys().find(|key| key.get_ref() == flag));
    let at = said.map(|key| key.span().start).next();
    at.map_or_else(nowhere, |at| mistake(path, &text, at, message.to_owned()))
}

/// The long flags of a layer.
pub(super) fn flags<L: clap::Args>() -> Vec<String> {
    let command = L::augment_args(clap::Command::new("file"));
    // What stands behind `--` on the command line has no flag, and a key.
    let name =
        |arg: &clap::Arg| arg.get_long().or(arg.is_last_set().then_some(arg.get_id().as_str())).map(str::to_owned);
    command.get_arguments().filter_map(name).collect()
}

fn unknown(key: &str, known: &[String]) -> String {
    match nearest(key, known) {
        Some(near) => format!("unknown key '{key}'; did you mean '{near}'?"),
        None => format!("unknown key '{key}'; the keys are the long flags of the command, without '--'"),
    }
}

/// Line and column of a byte, both from 1.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Agent, Lb};

    fn check<L: Layer + std::fmt::Debug>(text: &str) -> String {
        match parse::<L>(Path::new("b.toml"), text) {
            Ok(layer) => format!("{layer:#?}"),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn a_whole_file() {
        let agent = r#"
            node = "web1"
            join = ["seed", "10.0.0.2:7000"]
            insecure = true
            tag = ["zone=a"]
            drain-timeout = "3s"
            restart = "on-failure"
            command = ["nginx", "-g", "daemon off;"]

            [[service]]
            name = "web"
            port = 8080
            hosts = ["www.example.com"]
            weight = 50
            check = "http:///healthz"
        "#;
        insta::assert_snapshot!(check::<Agent>(agent));
    }

    /// Rules over several flags name the flags; the file has them as keys.
    #[test]
    fn a_rule_is_blamed_on_the_first_key_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("b.toml");
        fs::write(&file, "# ä\nnode = 'a'\n  attach = true\n").unwrap();
        let check = |message: &str, expected: &str| {
            let said = blame(&file, message).to_string();
            assert_eq!(said.replace(&file.display().to_string(), "b.toml"), expected);
        };
        check("--attach needs --haproxy-socket PATH", "b.toml:3:3: --attach needs --haproxy-socket PATH");
        check("--spares, or --attach", "b.toml:3:3: --spares, or --attach");
        check("--spares: use 0 to 1000", "b.toml: --spares: use 0 to 1000");
        check("--attaching", "b.toml: --attaching");
    }

    #[test]
    fn errors_name_the_line() {
        let errors = [
            check::<Agent>("node = 'a'\njion = ['b']"),
            check::<Agent>("listen = ['0.0.0.0:80']"),
            check::<Lb>("\n\nspares = 'many'"),
            check::<Lb>("listen = ['0.0.0.0:80', '::']"),
            check::<Agent>("[[service]]\nname = 'web'\nport = 0"),
            check::<Agent>("[[service]]\nname = 'web'\nport = 80\nhost = 'a'"),
            check::<Agent>("[[service]]\nname = 'web'\nport = 80\ncheck = 'tcp'"),
            check::<Agent>("node = "),
        ];
        insta::assert_snapshot!(errors.join("\n"));
    }
}
