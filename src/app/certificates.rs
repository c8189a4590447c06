//! The certificates of a balancer that speaks TLS: loaded before anything is bound, then followed.

use std::{sync::Arc, time::SystemTime};

use tokio::sync::watch;

use super::{Daemon, Error};
use crate::{
    certificates::{Loader, Own, Wanted, follow},
    model::Shelf,
    settings::Lb,
};

/// What was loaded, and what loads it again.
pub(super) struct Loaded {
    loader: Loader,
    shelf: Shelf,
}

impl Loaded {
    /// Follows the files until the daemon ends.
    pub(super) fn follow(self, daemon: &Daemon) -> watch::Receiver<Arc<Shelf>> {
        let (certificates, following) = follow(self.loader, self.shelf, daemon.stop.clone());
        daemon.tasks.spawn(following);
        certificates
    }

    /// As it is now, and no more.
    pub(super) fn still(self) -> watch::Receiver<Arc<Shelf>> {
        watch::channel(Arc::new(self.shelf)).1
    }

    pub(super) fn shelf(self) -> Shelf {
        self.shelf
    }
}

/// Loads what the operator names; `None` where no TLS is spoken.
///
/// # Errors
/// Where there is no certificate at all: nobody could listen.
pub(super) async fn load(settings: &Lb) -> Result<Option<Loaded>, Error> {
    let Some(tls) = &settings.tls else { return Ok(None) };
    loaded(tls.certificates.clone()).await.map(Some)
}

/// The same by one who keeps nothing: a certificate that is signed here is another each time, unless it is kept already.
pub(super) async fn glance(settings: &Lb) -> Result<Option<Loaded>, Error> {
    let Some(tls) = &settings.tls else { return Ok(None) };
    let own = tls.certificates.own.clone().map(|own| Own { is_kept: false, ..own });
    loaded(Wanted { own, ..tls.certificates.clone() }).await.map(Some)
}

async fn loaded(wanted: Wanted) -> Result<Loaded, Error> {
    let loading = tokio::task::spawn_blocking(move || {
        let mut loader = Loader::new(wanted);
        let shelf = loader.load(SystemTime::now());
        Loaded { loader, shelf }
    });
    let loaded = loading.await.map_err(|_| Error::Task("the loading of certificates"))?;
    if loaded.shelf.certificates.is_empty() {
        let first = loaded.shelf.troubles.first();
        return Err(Error::Certificate(first.map_or_else(
            || "--cert: there is no .pem and no .crt file: name another path, or --self-signed".to_owned(),
            |why| format!("--cert {}", why.strip_suffix("; it is not shown").unwrap_or(why)),
        )));
    }
    Ok(loaded)
}
