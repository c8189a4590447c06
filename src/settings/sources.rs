//! Who says who is there, beside gossip: somebody must, and each but once.

use super::Error;
use crate::{
    config::{self, DriverName, OpenrestyMode},
    source::Uri,
};

/// Who says who is there, and what is written to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// In the order in which they count.
    pub uris: Vec<Uri>,
    /// Whether a Redis is told to say what changes.
    pub redis_notify: bool,
    /// Whether backends that fail are marked in the store.
    pub mark_dead: bool,
}

impl Sources {
    /// Checks what was configured.
    ///
    /// # Errors
    /// Where nobody would say who is there, one is named twice, or a flag goes with none of them.
    pub fn new(own: &config::LbOwn, gossip: bool) -> Result<Self, Error> {
        let written = own.source.iter().flatten().map(|config::Source(source)| source.clone());
        let uris = written.collect::<Result<Vec<_>, _>>().map_err(|why| Error::Flags(format!("--source {why}")))?;
        let sources = Self {
            redis_notify: own.redis_notify.unwrap_or(false),
            mark_dead: own.hipache_mark_dead.unwrap_or(false),
            uris,
        };
        if sources.uris.is_empty() && !gossip {
            return refuse(
                "--no-gossip needs --source file:PATH, redis://HOST, etcd://HOST or docker: nobody would say who is there",
            );
        }
        let mut names = sources.uris.iter().map(Uri::name).enumerate();
        let twice = names.find(|(at, name)| sources.uris.iter().take(*at).any(|other| other.name() == *name));
        if let Some((_, name)) = twice {
            return Err(Error::Flags(format!("--source {name}: given twice")));
        }
        if sources.redis_notify && !sources.uris.iter().any(|uri| matches!(uri, Uri::Redis(_))) {
            return refuse("--redis-notify goes with --source redis://HOST");
        }
        if sources.mark_dead && !sources.uris.iter().any(|uri| matches!(uri, Uri::Redis(_) | Uri::Etcd(_))) {
            return refuse("--hipache-mark-dead goes with --source redis://HOST or etcd://HOST");
        }
        let by_reloads = own.openresty_mode == Some(OpenrestyMode::Reload);
        if sources.mark_dead && (own.driver == Some(DriverName::Nginx) || by_reloads) {
            return refuse("--hipache-mark-dead: nginx does not tell who fails; use --driver haproxy or openresty");
        }
        Ok(sources)
    }
}

fn refuse(text: &str) -> Result<Sources, Error> {
    Err(Error::Flags(text.into()))
}
