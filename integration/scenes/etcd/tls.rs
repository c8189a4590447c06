//! A CA, and what it signs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

/// A CA whose certificate, and those that it signs, are files in a folder.
pub(super) struct Ca {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    /// A new one; its certificate is `ca.pem`.
    pub(super) fn new(folder: &Path) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        write(&folder.join("ca.pem"), "CERTIFICATE", params.self_signed(&key).unwrap().der());
        Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) }
    }

    /// Signs for a host; `NAME.pem` and `NAME.key`, for servers and clients alike.
    pub(super) fn sign(&self, name: &str, host: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        write(&self.file(&format!("{name}.pem")), "CERTIFICATE", certificate.der());
        write(&self.file(&format!("{name}.key")), "PRIVATE KEY", key.serialized_der());
    }

    /// The path of one of its files.
    pub(super) fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// PEM (RFC 7468).
fn write(path: &Path, label: &str, der: &[u8]) {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    fs::write(path, format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))).unwrap();
}
