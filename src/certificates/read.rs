//! A certificate out of PEM text: its chain, the key that fits it, the hosts that it is for, when it expires. Pure.

use std::collections::BTreeSet;

use backchat_contract::{Certificate, HostPattern, KeyForm};
use p256::pkcs8::der::Decode;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use x509_cert::{
    der::oid::AssociatedOid,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use super::key;

/// Why a text is no certificate to listen with. Reads behind the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// No certificate.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// Not the certificate that PEM promises.
    #[error("its certificate is cut or damaged")]
    Damaged,
    /// No key.
    #[error("there is no private key in it: put it behind the chain, or into NAME.key beside NAME.crt")]
    NoKey,
    /// A key with a password.
    #[error("its key has a password, for which nobody can be asked: take it off by 'openssl pkey'")]
    Encrypted,
    /// A key of no kind that is known.
    #[error("its key is cut, damaged or of an unknown kind")]
    BadKey,
    /// Another's.
    #[error("its key belongs to another certificate")]
    OtherKey,
}

/// Reads a chain, its own certificate first, and the key; both may be one text.
///
/// # Errors
/// Where one of them is missing, is none, or they do not fit.
pub fn read(chain: &[u8], key: &[u8]) -> Result<Certificate, Unfit> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|_| Unfit::Damaged)?;
    let leaf = chain.first().ok_or(Unfit::NoCertificate)?;
    let others = chain.get(1..).unwrap_or_default();
    if others.iter().any(|other| x509_cert::Certificate::from_der(other).is_err()) {
        return Err(Unfit::Damaged);
    }
    let leaf = x509_cert::Certificate::from_der(leaf).map_err(|_| Unfit::Damaged)?;
    let private = private(key)?;
    let private = (form(&private), private.secret_der());
    match key::fits(private, &leaf.tbs_certificate.subject_public_key_info) {
        None => return Err(Unfit::BadKey),
        Some(false) => return Err(Unfit::OtherKey),
        Some(true) => {}
    }
    let not_after = leaf.tbs_certificate.validity.not_after.to_unix_duration().as_secs();
    let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
    Certificate::new(&chain, private, names(&leaf), not_after).ok_or(Unfit::NoCertificate)
}

fn private(text: &[u8]) -> Result<PrivateKeyDer<'static>, Unfit> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        rustls_pki_types::pem::Error::NoItemsFound if holds(text, b"ENCRYPTED PRIVATE KEY") => Unfit::Encrypted,
        rustls_pki_types::pem::Error::NoItemsFound => Unfit::NoKey,
        _ => Unfit::BadKey,
    })
}

fn holds(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

fn form(key: &PrivateKeyDer<'_>) -> KeyForm {
    match key {
        PrivateKeyDer::Pkcs1(_) => KeyForm::Pkcs1,
        PrivateKeyDer::Sec1(_) => KeyForm::Sec1,
        _ => KeyForm::Pkcs8,
    }
}

/// The hosts of its alternative names (RFC 5280, 4.2.1.6). What no host can be called is left out; so are addresses,
/// which no client names in its greeting (RFC 6066, 3).
fn names(leaf: &x509_cert::Certificate) -> BTreeSet<HostPattern> {
    let extensions = leaf.tbs_certificate.extensions.iter().flatten();
    let alternative = extensions.filter(|extension| extension.extn_id == SubjectAltName::OID);
    let names = alternative.filter_map(|e| SubjectAltName::from_der(e.extn_value.as_bytes()).ok()).flat_map(|n| n.0);
    let hosts = names.filter_map(|name| match name {
        GeneralName::DnsName(name) => name.as_str().parse().ok(),
        _ => None,
    });
    hosts.filter(|host| *host != HostPattern::Any).collect()
}
