//! HTTPS as the balancer is told of it.

use std::net::SocketAddr;

use super::{Common, Error, Host};
use crate::{
    certificates::{Own, Wanted},
    config::{self, Bind, plain},
};

/// Where HTTPS comes in, and by which certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Where it listens; at least one.
    pub listen: Vec<SocketAddr>,
    /// Where the certificates come from.
    pub certificates: Wanted,
}

/// What was configured of it; `None` where nothing was.
pub(super) fn tls(own: &config::LbOwn, common: &Common, host: &Host) -> Result<Option<Tls>, Error> {
    let refuse = |text: &str| Err(Error::Flags(text.into()));
    let listen: Vec<SocketAddr> =
        plain(own.tls_listen.clone()).unwrap_or_default().into_iter().map(|Bind(addr)| addr).collect();
    let paths = own.cert.clone().unwrap_or_default();
    let self_signed = own.self_signed.unwrap_or(false);
    if own.attach.unwrap_or(false) && !(listen.is_empty() && paths.is_empty() && !self_signed) {
        return refuse(
            "--tls-listen, --cert and --self-signed: whom --attach names speaks TLS by its own configuration",
        );
    }
    match (listen.is_empty(), paths.is_empty() && !self_signed) {
        (true, true) => return Ok(None),
        (true, false) => return refuse("--cert and --self-signed need --tls-listen ADDR:PORT"),
        (false, true) => return refuse("--tls-listen needs --cert PATH, or --self-signed to try it out"),
        (false, false) => {}
    }
    let own = self_signed.then(|| Own {
        folder: common.data_dir.clone().unwrap_or_else(|| common.run_dir.clone()),
        hosts: hosts(common, host),
        is_kept: true,
    });
    Ok(Some(Tls { listen, certificates: Wanted { paths, own } }))
}

/// What this machine is called, as far as a certificate can say it.
fn hosts(common: &Common, host: &Host) -> Vec<String> {
    let named = [common.node.to_string(), host.name.clone()];
    let mut hosts: Vec<String> = vec!["localhost".into(), "127.0.0.1".into(), "::1".into()];
    for name in named {
        let is_host = name.parse::<crate::model::HostPattern>().is_ok_and(|host| host.to_string() == name);
        if is_host && !hosts.contains(&name) {
            hosts.push(name);
        }
    }
    hosts
}
