//! `backchat template render`: the data plane's files for what a file lists, without a data plane.

use std::path::PathBuf;

use crate::{
    app::{self, offline},
    cli::{exit::Mistake, output},
    config::{self, Bind, DriverName, FileError, OpenrestyMode, Text},
    model::ServiceName,
    settings::{self, Host},
};

/// Print the data plane's files for what a file lists, once all of it is up; no data plane need run
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat template render --source file:services.toml
  backchat template render --driver nginx --source file:services.toml --template my.jinja
  backchat template render --config lb.toml --file haproxy.cfg      what that balancer would write

HAProxy's are as after a reload: each service on a backend of its own name, where one that is new at run
time has a spare one's until then. Several files have a line '==> PATH <==' in front of each. Nothing is
written, and no data plane is asked.

Status 78: the template does not render; with its line and why.")]
pub(super) struct Flags {
    /// Which data plane; haproxy if left out
    #[arg(long, value_name = "DRIVER")]
    driver: Option<DriverName>,

    /// A file that lists services, in TOML, JSON or YAML, or a store of Hipache's keys, as 'backchat lb' takes it
    /// [repeatable]
    #[arg(long, value_name = "URI", required_unless_present = "config")]
    source: Option<Vec<config::Source>>,

    /// A template of your own; ours if left out
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,

    /// Where the data plane is to listen; 0.0.0.0:80 if left out [repeatable]
    #[arg(long, value_name = "ADDR:PORT", value_delimiter = ',')]
    listen: Option<Vec<Text<Bind>>>,

    /// Backends of HAProxy's declared ahead; 32 if left out
    #[arg(long, value_name = "N")]
    spares: Option<u16>,

    /// How OpenResty is to be driven; lua if left out
    #[arg(long, value_name = "MODE")]
    openresty_mode: Option<OpenrestyMode>,

    /// The service that is to answer where no host matches
    #[arg(long, value_name = "NAME")]
    default_service: Option<Text<ServiceName>>,

    /// Where the files would lie; /run/backchat/NODE if left out
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,

    /// A balancer's configuration for what is left out here
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print this file alone: haproxy.cfg, hosts.map, services.map, nginx.conf
    #[arg(long, value_name = "NAME")]
    file: Option<String>,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<()> {
    let only = flags.file.clone();
    let settings = flags.settings()?;
    let (set, refused) = offline::listed(&settings).await?;
    for r in &refused {
        output::note(&format!("template: {}: {}: not taken: {}", r.node, r.subject, r.why));
    }
    let files = offline::files(&settings, &set).await.map_err(mistaken)?;
    let shown: Vec<_> =
        files.iter().filter(|file| only.as_deref().is_none_or(|name| file.path.ends_with(name))).collect();
    if shown.is_empty() {
        let names = files.iter().map(|file| file.path.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(settings::Error::Flags(format!("--file: there is no such file; there are {names}")).into());
    }
    let heads = shown.len() > 1;
    let text = |file: &&offline::File| {
        let head = if heads { format!("==> {} <==\n", file.path.display()) } else { String::new() };
        head + &file.text
    };
    output::print(&shown.iter().map(text).collect::<Vec<_>>().join("\n"))
}

/// Whatever keeps files from being rendered is the template's fault, or the flags'.
fn mistaken(error: app::Error) -> anyhow::Error {
    match error {
        app::Error::Driver(error) => Mistake::of(error).into(),
        other => other.into(),
    }
}

impl Flags {
    fn settings(self) -> anyhow::Result<settings::Lb> {
        let below = match &self.config {
            Some(path) => config::read::<config::Lb>(path)?,
            None => config::Lb::default(),
        };
        let config::Lb { common, own } = below;
        let raw = config::Lb {
            common: config::Common { run_dir: self.run_dir.or(common.run_dir), ..common },
            own: config::LbOwn {
                driver: self.driver.or(own.driver),
                source: self.source.or(own.source),
                template: self.template.or(own.template),
                listen: self.listen.or(own.listen),
                spares: self.spares.or(own.spares),
                openresty_mode: self.openresty_mode.or(own.openresty_mode),
                default_service: self.default_service.or(own.default_service),
                // Of no matter for what the files say.
                no_gossip: Some(true),
                dry_run: None,
                once: None,
                format: None,
                ..own
            },
        };
        let host = Host::ask();
        // The folder is only named: there need be none.
        let host = Host { root: host.root || host.runtime_dir.is_none(), ..host };
        let settings = settings::Lb::new(raw, &host)?;
        if let Some(path) = settings.plane.template() {
            let wrong = |source| FileError::Named { flag: "--template", path: path.to_owned(), source };
            crate::drivers::read_template(path).map_err(wrong)?;
        }
        Ok(settings)
    }
}
