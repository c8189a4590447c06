//! The certificates of one nginx: which server shows which, how they are kept in its file, and what their own files are
//! called. Pure.
//!
//! A file of chain and key is called by what is in it: one that changes is another file, which the next configuration
//! names, and the workers of before have what they have read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use backchat_contract::{CertName, Certificate, HostPattern};
use serde::Serialize;

use crate::lines::MARK;

/// What TLS is spoken by.
pub type Certificates = BTreeMap<CertName, Certificate>;

/// A server of HTTP, as a template sees it: the same but for who comes to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Site {
    /// Where HTTP comes in.
    listen: Vec<SocketAddr>,
    /// Where HTTPS comes in.
    tls_listen: Vec<SocketAddr>,
    /// Where HTTP/3 comes in.
    quic_listen: Vec<SocketAddr>,
    /// The hosts that are shown its certificate; `_` for all that no other is for.
    names: Vec<String>,
    /// Chain and key; none where no TLS is spoken.
    certificate: Option<PathBuf>,
}

impl Site {
    /// The port of HTTP/3.
    pub fn http3_port(&self) -> Option<u16> {
        self.quic_listen.first().map(SocketAddr::port)
    }
}

/// The servers that there have to be: the one for everybody first, for nginx's default is the first of an address; then
/// one for each certificate that has a host of its own. Without certificates no TLS: nginx would not start.
pub fn sites(
    listen: &[SocketAddr],
    (tls_listen, http3): (&[SocketAddr], bool),
    certificates: &Certificates,
    at: &Path,
) -> Vec<Site> {
    let tls_listen = if certificates.is_empty() { &[] } else { tls_listen };
    if listen.is_empty() && tls_listen.is_empty() {
        return Vec::new();
    }
    let path = |(name, certificate): (&CertName, &Certificate)| at.join(file(name, certificate));
    let quic_listen = || if http3 { tls_listen.to_vec() } else { Vec::new() };
    let default = default(certificates).filter(|_| !tls_listen.is_empty());
    let mut taken = BTreeSet::new();
    // Of two certificates for a host nginx takes the first, and warns.
    let mut names = |certificate: &Certificate| {
        let free = certificate.names.iter().filter(|host| **host != HostPattern::Any && taken.insert((*host).clone()));
        free.map(ToString::to_string).collect::<Vec<_>>()
    };
    let its = default.map(|(_, certificate)| names(certificate)).unwrap_or_default();
    let mut sites = vec![Site {
        listen: listen.to_vec(),
        tls_listen: tls_listen.to_vec(),
        quic_listen: quic_listen(),
        names: std::iter::once("_".to_owned()).chain(its).collect(),
        certificate: default.map(path),
    }];
    let others = certificates.iter().filter(|(name, _)| default.is_some_and(|(default, _)| default != *name));
    for (name, certificate) in others {
        let names = names(certificate);
        if !names.is_empty() {
            let (listen, tls_listen, quic_listen) = (Vec::new(), tls_listen.to_vec(), quic_listen());
            let certificate = Some(path((name, certificate)));
            sites.push(Site { listen, tls_listen, quic_listen, names, certificate });
        }
    }
    sites
}

/// How many names nginx's table of servers has to hold.
pub fn names(sites: &[Site]) -> usize {
    sites.iter().map(|site| site.names.len()).sum()
}

/// The one that says so, else the first.
fn default(certificates: &Certificates) -> Option<(&CertName, &Certificate)> {
    certificates.iter().find(|(_, c)| c.default).or_else(|| certificates.first_key_value())
}

/// What its file is called.
pub(crate) fn file(name: &CertName, certificate: &Certificate) -> String {
    format!("{name}.{}.pem", certificate.fingerprint.short())
}

/// As comments of our file: a line for each certificate and for each of its hosts.
pub fn print(certificates: &Certificates) -> String {
    let mut text = String::new();
    for (name, Certificate { fingerprint, leaf, names, not_after, default, .. }) in certificates {
        let default = if *default { "default" } else { "-" };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{MARK}certificate {name} {fingerprint} {leaf} {not_after} {default}");
        for host in names {
            let _ = writeln!(text, "{MARK}host {name} {host}");
        }
    }
    text
}

/// Takes the words of such a line, behind its mark; `None` where it is none that we could have written.
pub fn read(certificates: &mut Certificates, words: &[&str]) -> Option<()> {
    match *words {
        ["certificate", name, fingerprint, leaf, not_after, default @ ("default" | "-")] => {
            let certificate = Certificate {
                fingerprint: fingerprint.parse().ok()?,
                leaf: leaf.parse().ok()?,
                names: BTreeSet::new(),
                not_after: not_after.parse().ok()?,
                default: default == "default",
                pem: None,
            };
            certificates.insert(name.parse().ok()?, certificate);
        }
        ["host", name, host] => {
            let name: CertName = name.parse().ok()?;
            certificates.get_mut(&name)?.names.insert(host.parse().ok()?);
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use backchat_contract::KeyForm;

    use super::*;

    /// Certificates as `name=hosts`, the default with `!`.
    fn set(texts: &[&str]) -> Certificates {
        let one = |text: &&str| {
            let (name, hosts) = text.split_once('=').unwrap();
            let names = hosts.split(',').filter(|host| !host.is_empty()).map(|host| host.parse().unwrap()).collect();
            let (name, default) = (name.trim_end_matches('!'), name.ends_with('!'));
            let made = Certificate::new(&[name.as_bytes()], (KeyForm::Pkcs8, b"secret"), names, 1_798_934_400);
            (name.parse().unwrap(), Certificate { default, ..made.unwrap() })
        };
        texts.iter().map(one).collect()
    }

    /// Sites as `certificate: names`.
    fn check(certificates: &[&str], expected: &[&str]) {
        let (http, https) = ("0.0.0.0:80".parse().unwrap(), "0.0.0.0:443".parse().unwrap());
        let sites = sites(&[http], (&[https], false), &set(certificates), Path::new("/c"));
        assert!(sites.iter().skip(1).all(|site| site.listen.is_empty() && site.tls_listen == [https]));
        let shown = sites.iter().map(|site| {
            let file = site.certificate.as_ref().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
            let name = file.as_ref().and_then(|file| file.split('.').next()).unwrap_or("-").to_owned();
            format!("{name}: {}", site.names.join(" "))
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_server_for_each_certificate() {
        check(&[], &["-: _"]);
        check(&["a=a.example"], &["a: _ a.example"]);
        check(&["a=a.example", "b!=b.example"], &["b: _ b.example", "a: a.example"]);
        check(&["a!=", "b=b.example,*.b.example", "c=b.example"], &["a: _", "b: b.example *.b.example"]);
    }

    #[test]
    fn what_is_kept_is_read() {
        let certificates = set(&["a!=a.example,*.a.example", "b="]);
        let text = print(&certificates);
        let mut known = Certificates::new();
        for line in text.lines() {
            read(&mut known, &line.strip_prefix(MARK).unwrap().split(' ').collect::<Vec<_>>()).unwrap();
        }
        assert_eq!(known, certificates);
        assert!(
            known.values().zip(certificates.values()).all(|(a, b)| (&a.names, a.not_after) == (&b.names, b.not_after))
        );
        for line in ["host c c.example", "certificate a b c d -", "other", "host a a;b"] {
            assert_eq!(read(&mut known, &line.split(' ').collect::<Vec<_>>()), None, "{line}");
        }
    }
}
