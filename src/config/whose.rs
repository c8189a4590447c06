//! Whose configuration a file is: a key that only one of the daemons knows tells.

use std::path::Path;

use super::{
    AgentOwn, FileError, Layer, Lb, LbOwn,
    file::{flags, keys, text},
};

/// One of the daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Daemon {
    /// `backchat agent`.
    Agent,
    /// `backchat lb`.
    Lb,
}

/// Whose file it is, and the first key that says so; `None` where every key could be either's. Where keys of both stand
/// in it, the one has it who has more: the others are mistakes.
///
/// # Errors
/// Where the file cannot be read, or is no TOML.
pub fn whose(path: &Path) -> Result<Option<(Daemon, String)>, FileError> {
    let keys = keys(path, &text(path)?)?;
    let said = |of: &[String]| {
        let mut own: Vec<_> = keys.keys().filter(|key| of.contains(key.get_ref())).collect();
        own.sort_by_key(|key| key.span().start);
        own.into_iter().map(|key| key.get_ref().clone()).collect::<Vec<_>>()
    };
    let tables = Lb::TABLES.iter().map(ToString::to_string).collect();
    let (agent, lb) = (said(&flags::<AgentOwn>()), said(&[flags::<LbOwn>(), tables].concat()));
    let (daemon, own) = if agent.len() > lb.len() { (Daemon::Agent, agent) } else { (Daemon::Lb, lb) };
    Ok(own.into_iter().next().map(|key| (daemon, key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(Daemon, &str)>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("b.toml");
        std::fs::write(&file, text).unwrap();
        assert_eq!(whose(&file).unwrap(), expected.map(|(daemon, key)| (daemon, key.to_owned())), "{text}");
    }

    #[test]
    fn a_key_tells_whose_it_is() {
        check("node = 'a'\nlisten = ['0.0.0.0:80']\ndriver = 'nginx'", Some((Daemon::Lb, "listen")));
        check("weight = 1\nhost = ['a']", Some((Daemon::Agent, "weight")));
        check("[[service]]\nname = 'web'", Some((Daemon::Agent, "service")));
        check("command = ['nginx']", Some((Daemon::Agent, "command")));
        check("node = 'a'\nbind = '0.0.0.0:1'", None);
        check("[services.web]\nretries = 1", Some((Daemon::Lb, "services")));
        check("nonsense = 1", None);
        check("host = ['a']\ndriver = 'nginx'\nspares = 1", Some((Daemon::Lb, "driver")));
    }
}
