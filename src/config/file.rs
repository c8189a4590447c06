//! A configuration file: its keys are the flags' long names. Unknown keys fail, and every error says
//! file and line.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use toml::Spanned;

use super::Layer;

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
    /// The operator's own template cannot be read.
    #[error("--template {}: {source}", path.display())]
    Template {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The data plane's program is not there.
    #[error("no program {}: install HAProxy, or choose one by --haproxy", .0.display())]
    NoProgram(PathBuf),
    /// It says something that cannot be meant.
    #[error("{}:{line}: {message}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
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
    let text = fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    parse(path, &text)
}

fn parse<L: Layer>(path: &Path, text: &str) -> Result<L, FileError> {
    let at =
        |offset: usize, message: String| FileError::Line { path: path.to_owned(), line: line(text, offset), message };
    let wrong = |e: toml::de::Error| at(e.span().map_or(0, |s| s.start), e.message().replace('\n', ", "));
    let known = flags::<L>();
    let keys: BTreeMap<Spanned<String>, toml::Value> = toml::from_str(text).map_err(wrong)?;
    if let Some(key) = keys.into_keys().find(|key| !known.contains(key.get_ref())) {
        return Err(at(key.span().start, unknown(key.get_ref(), &known)));
    }
    L::from_toml(text).map_err(wrong)
}

/// The long flags of a layer.
fn flags<L: Layer>() -> Vec<String> {
    let command = L::augment_args(clap::Command::new("file"));
    // What stands behind `--` on the command line has no flag, and a key.
    let name =
        |arg: &clap::Arg| arg.get_long().or(arg.is_last_set().then_some(arg.get_id().as_str())).map(str::to_owned);
    command.get_arguments().filter_map(name).collect()
}

fn unknown(key: &str, known: &[String]) -> String {
    let near = known.iter().map(|k| (strsim::osa_distance(key, k), k)).min();
    match near.filter(|(distance, _)| *distance <= 2) {
        Some((_, near)) => format!("unknown key '{key}'; did you mean '{near}'?"),
        None => format!("unknown key '{key}'; the keys are the long flags of the command, without '--'"),
    }
}

fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
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
