//! Words of the interface that this version does not know yet: to say so, and what to do meanwhile, helps more than
//! "unexpected argument". Not in any help page.

use clap::{
    Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

const BOTH: &[&str] = &["agent", "lb"];

/// Flags by the commands they will belong to, and what to do meanwhile.
const FLAGS: &[(&[&str], &[&str], &str)] = &[(BOTH, &["--event-handler"], "ask 'backchat members --format json'")];

/// Commands, and what to do meanwhile.
const COMMANDS: &[(&str, &str)] = &[
    ("event", "the members tell one another nothing but what they serve"),
    ("keys", "write the key file anew on every node, and restart the daemons"),
];

/// What to say to this command line, where a word of later was what clap did not know.
pub(super) fn not_yet(error: &Error, command: &str) -> Option<String> {
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = context(error, ContextKind::InvalidSubcommand)?;
            let (_, instead) = COMMANDS.iter().find(|(name, _)| *name == word)?;
            Some(format!("{word}: not yet: {instead}"))
        }
        ErrorKind::UnknownArgument => {
            let word = context(error, ContextKind::InvalidArg)?;
            let belongs = |of: &&(&[&str], &[&str], &str)| of.0.contains(&command) && of.1.contains(&word);
            let (_, _, instead) = FLAGS.iter().find(belongs)?;
            Some(format!("{command}: {word}: not yet: {instead}"))
        }
        _ => None,
    }
}

fn context(error: &Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(word) => Some(word),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who looks for a flag in the README shall find it there, or that it is still to come.
    #[test]
    fn the_readme_says_what_is_not_yet() {
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
        let (_, after) = readme.split_once("\n## Not yet\n").expect("its heading");
        let section = after.split("\n## ").next().unwrap_or(after);
        // What stands between two backquotes; `plan --out` is two words.
        let said: Vec<_> = section.split('`').skip(1).step_by(2).flat_map(str::split_whitespace).collect();
        let flags = FLAGS.iter().flat_map(|(_, flags, _)| *flags).copied();
        let missing: Vec<_> =
            flags.chain(COMMANDS.iter().map(|(name, _)| *name)).filter(|word| !said.contains(word)).collect();
        assert!(missing.is_empty(), "README.md, Not yet, lacks {missing:?}");
    }
}
