//! The help pages, and how the commands are told apart.

use super::command;

fn help(command: &mut clap::Command, name: &str) -> String {
    // The terminal's width is no part of a page.
    command.set_bin_name(format!("backchat {name}"));
    let page = std::mem::take(command).term_width(110).render_help().to_string();
    page.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[test]
fn the_definition_holds_together() {
    command().debug_assert();
}

#[test]
fn every_command_has_a_help_page_with_examples() {
    let mut whole = command();
    whole.build();
    let first = whole.clone().term_width(110).render_help().to_string();
    insta::assert_snapshot!("help", first.lines().map(|line| line.trim_end().to_owned() + "\n").collect::<String>());
    for sub in whole.get_subcommands_mut().filter(|sub| !sub.is_hide_set()) {
        let name = sub.get_name().to_owned();
        for part in sub.get_subcommands() {
            let name = format!("{name} {}", part.get_name());
            let page = help(&mut part.clone(), &name);
            insta::assert_snapshot!(format!("help_{}", name.replace(' ', "_")), page);
        }
        let page = help(sub, &name);
        assert!(page.contains("\nExamples:\n  backchat "), "{name} has no examples");
        insta::assert_snapshot!(format!("help_{name}"), page);
    }
}

#[test]
fn every_example_is_accepted() {
    let mut whole = command();
    whole.build();
    let parts = whole.get_subcommands().flat_map(|sub| std::iter::once(sub).chain(sub.get_subcommands()));
    let pages = parts.filter_map(|sub| sub.get_after_help().map(ToString::to_string));
    let pages: Vec<String> = pages.chain([super::EXAMPLES.to_owned()]).collect();
    let examples = pages.iter().flat_map(|page| page.lines()).filter(|line| line.starts_with("  backchat "));
    let mut count = 0;
    for example in examples {
        // Behind two spaces stands what it is good for, behind a pipe what is made of it.
        let command_line = example.trim().split("  ").next().unwrap().split(['|', '>']).next().unwrap();
        if command_line.trim() == "backchat demo" {
            continue; // Written in a file of its own.
        }
        let parsed = command().try_get_matches_from(command_line.split_whitespace());
        assert!(parsed.is_ok(), "{example}\n{}", parsed.unwrap_err());
        count += 1;
    }
    assert!(count > 20, "only {count} examples were found");
}

/// Of a single value the last one wins, on the real command line too.
#[test]
fn a_flag_given_twice_is_no_error() {
    for line in ["backchat agent --node a --node b", "backchat members -o json -o text --admin unix:/a --admin unix:/b"]
    {
        assert!(command().try_get_matches_from(line.split_whitespace()).is_ok(), "{line}");
    }
}
