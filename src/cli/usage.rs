//! What clap has to say: help as it is, wrong usage on one line.

use std::ffi::OsString;

use clap::error::ErrorKind;

use super::{Exit, later, output};
use crate::source::without_secret;

/// Says it. Help and version are what was asked for; all else is wrong usage.
pub(super) fn say(error: &clap::Error, args: &[OsString]) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => show(error, Exit::Done),
        // No command at all: the page says more than any line.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => show(error, Exit::Usage),
        _ => {
            output::complain(&line(error, args));
            Exit::Usage
        }
    }
}

fn show(page: &clap::Error, exit: Exit) -> Exit {
    // A closed pipe: whoever asked does not read any more.
    let _closed = page.print();
    exit
}

/// The command, what is wrong, and where to look.
fn line(error: &clap::Error, args: &[OsString]) -> String {
    let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    // Nothing but a command can come first.
    let known = args.get(1).filter(|word| super::command().find_subcommand(word).is_some());
    let (command, page) = match known {
        Some(name) => (name.as_str(), format!("backchat {name} --help")),
        None => ("backchat", "backchat --help".to_owned()),
    };
    let page = || format!("{command}: {}; see '{page}'", words(&hidden(error.render().to_string(), &args)));
    later::not_yet(error, command).unwrap_or_else(page)
}

/// clap's page without what a store's URL may hold, which clap quotes where it stands at the wrong place.
pub(super) fn hidden(page: String, args: &[String]) -> String {
    let value = |arg: &'_ String| arg.strip_prefix("--").and_then(|arg| Some(arg.split_once('=')?.1.to_owned()));
    let values = args.iter().map(|arg| value(arg).unwrap_or_else(|| arg.clone()));
    let secret = |text: &String| text.contains("://") && !text.starts_with("http://");
    values.filter(secret).fold(page, |page, text| page.replace(&text, &without_secret(&text)))
}

/// clap's words: what stands before its `Usage`, without ornaments, and without the tip how to pass a flag's name as
/// a value, which nobody meant.
fn words(page: &str) -> String {
    let ends = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more information");
    let lines = page.trim_start_matches("error: ").lines().map(str::trim).take_while(ends);
    let mut words = String::new();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with("tip: to pass ")) {
        if !words.is_empty() {
            words.push_str(if words.ends_with(':') { " " } else { "; " });
        }
        words.push_str(&plain(line));
    }
    words
}

fn plain(line: &str) -> String {
    let line = line.trim_start_matches("tip: ");
    let line = line.strip_suffix(" found").unwrap_or(line);
    match line.strip_prefix("[possible values: ").and_then(|rest| rest.strip_suffix(']')) {
        Some(values) => format!("use {values}"),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> (clap::Error, Vec<OsString>) {
        let args: Vec<OsString> = std::iter::once("backchat").chain(text.split_whitespace()).map(Into::into).collect();
        (super::super::command().try_get_matches_from(&args).unwrap_err(), args)
    }

    fn check(lines: &[&str]) -> String {
        let said = |text: &&str| {
            let (error, args) = wrong(text);
            line(&error, &args) + "\n"
        };
        lines.iter().map(said).collect()
    }

    #[test]
    fn wrong_usage_is_one_line() {
        insta::assert_snapshot!(check(&[
            "nonsense",
            "membrs",
            "--nonsense",
            "lb --nonsense",
            "lb --jion x",
            "lb --bind",
            "lb --bind x",
            "lb --driver foo",
            "lb --insecure=x",
            "members -x",
            "members more",
            "members --format xml",
            "join",
            "release",
            "release --nonsense",
            "demo --webs 99",
            "template show",
            "template show caddy",
            "template render",
            "config check",
            "config check f --as proxy",
            "explain",
            "plan --assume foo",
            "agent --service web",
            "agent stray -- sleep",
            "agent --check tcp",
            "agent --stop-signal NONSENSE",
            "agent --restart sometimes",
            "lb -- sleep",
            "apply-me",
        ]));
    }

    #[test]
    fn words_of_later_say_so() {
        insta::assert_snapshot!(check(&["agent --event-handler x", "lb --event-handler x", "event x", "keys list",]));
    }

    /// clap quotes what it does not take.
    #[test]
    fn a_stores_password_is_not_shown() {
        let stray = "unexpected argument 'redis://…'; see 'backchat";
        for (text, expected) in [
            ("lb redis://:s3cret@r", format!("lb: {stray} lb --help'")),
            ("status redis://:s3cret@r", format!("status: {stray} status --help'")),
            (
                "lb --hipache=redis://:s3cret@r",
                "lb: invalid value 'redis://…' for '--hipache[=<BOOL>]'; use true, false; see 'backchat lb --help'"
                    .into(),
            ),
        ] {
            let (error, args) = wrong(text);
            assert_eq!(line(&error, &args), expected);
        }
    }

    #[test]
    fn help_is_no_error() {
        let kind = |text: &str| {
            let (error, args) = wrong(text);
            say(&error, &args)
        };
        assert_eq!(kind("--help"), Exit::Done);
        assert_eq!(kind("lb --help"), Exit::Done);
        assert_eq!(kind("--version"), Exit::Done);
        assert_eq!(kind(""), Exit::Usage);
        assert_eq!(kind("lb --nonsense"), Exit::Usage);
        assert_eq!(kind("explain"), Exit::Usage);
    }
}
