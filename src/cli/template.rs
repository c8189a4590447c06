//! `backchat template`: the templates that the program carries, and what a template makes of what a file lists.

mod render;

use clap::builder::PossibleValuesParser;

use super::{Exit, output};
use crate::drivers::TEMPLATES;

/// Print the template of a data plane, or the files that a template makes of what a file lists
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat template show haproxy                    what 'backchat lb' renders, unless told otherwise
  backchat template show haproxy > my.jinja         a copy to change
  backchat template show nginx-include              that of 'lb --driver nginx --attach'
  backchat template show openresty-include          that of 'lb --driver openresty --attach'
  backchat template render --source file:s.toml --template my.jinja    what it would make of these services
  backchat lb --template my.jinja --key-file key    renders that, and again whenever it has changed

Its language is Jinja. What a template gets, and the filters there are: templates/README.md.")]
pub(super) struct Flags {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Print the template that the program carries for a data plane
    Show {
        /// Which data plane; nginx-include and openresty-include are the file in one that somebody else runs
        #[arg(value_parser = PossibleValuesParser::new(TEMPLATES.iter().map(|(name, _)| name)))]
        driver: String,
    },
    Render(Box<render::Flags>),
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    match flags.action {
        Action::Show { driver } => output::print(text(&driver))?,
        Action::Render(flags) => render::run(*flags).await?,
    }
    Ok(Exit::Done)
}

/// Empty for a name that is not offered.
fn text(driver: &str) -> &'static str {
    TEMPLATES.iter().find(|(name, _)| *name == driver).map_or("", |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::config::DriverName;

    /// A driver that can be chosen has a template to begin with.
    #[test]
    fn every_driver_that_is_offered_has_one() {
        for driver in DriverName::value_variants().iter().filter_map(ValueEnum::to_possible_value) {
            assert!(text(driver.get_name()).starts_with("# Written by backchat"), "{driver:?}");
        }
        for include in ["nginx-include", "openresty-include"] {
            assert!(text(include).contains("# For the http block of an nginx.conf"), "{include}");
        }
    }
}
