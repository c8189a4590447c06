//! A CA, and what it signs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use p256::{
    ecdsa::{DerSignature, SigningKey, signature::Signer},
    pkcs8::EncodePrivateKey,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, SerialNumber,
};

/// A CA whose certificate, and those that it signs, are files in a folder.
pub(in crate::scenes) struct Ca {
    folder: PathBuf,
    issuer: Issuer<'static, Key>,
}

impl Ca {
    /// A new one; its certificate is `ca.pem`.
    pub(in crate::scenes) fn new(folder: &Path) -> Self {
        let (key, mut params) = (Key::new(), params("a CA"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        write(&folder.join("ca.pem"), "CERTIFICATE", params.self_signed(&key).unwrap().der());
        Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) }
    }

    /// Signs for a host; `NAME.pem` and `NAME.key`, for servers and clients alike.
    pub(in crate::scenes) fn sign(&self, name: &str, host: &str) {
        let (key, mut params) = (Key::new(), params(host));
        params.subject_alt_names = CertificateParams::new([host.to_owned()]).unwrap().subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        write(&self.file(&format!("{name}.pem")), "CERTIFICATE", certificate.der());
        write(
            &self.file(&format!("{name}.key")),
            "PRIVATE KEY",
            p256::SecretKey::from(&key.secret).to_pkcs8_der().unwrap().as_bytes(),
        );
    }

    /// The path of one of its files.
    pub(in crate::scenes) fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn params(name: &str) -> CertificateParams {
    let serial = rand::random_range(1..u64::MAX).to_be_bytes();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.key_identifier_method = KeyIdMethod::PreSpecified(serial.to_vec());
    params
}

/// A key on the curve P-256, as rcgen takes one.
struct Key {
    secret: SigningKey,
    public: Vec<u8>,
}

impl Key {
    fn new() -> Self {
        let secret = SigningKey::from_slice(&rand::random::<[u8; 32]>()).expect("one in 2^32 draws is no key");
        let public = secret.verifying_key().to_encoded_point(false).as_bytes().to_vec();
        Self { secret, public }
    }
}

impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: DerSignature = self.secret.sign(text);
        Ok(signature.as_bytes().to_vec())
    }
}

/// PEM (RFC 7468).
fn write(path: &Path, label: &str, der: &[u8]) {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    fs::write(path, format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))).unwrap();
}
