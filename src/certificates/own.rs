//! The certificate that is signed here: made once, kept, and made anew before it expires. For trying things out, and
//! for names that no other certificate is for.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use backchat_contract::{CertName, Certificate, HostPattern};
use p256::{
    ecdsa::{DerSignature, SigningKey, signature::Signer},
    elliptic_curve::{pkcs8::EncodePrivateKey, sec1::ToEncodedPoint},
};
use rand::RngExt as _;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyIdMethod, KeyUsagePurpose, SerialNumber};

use super::read::read;
use crate::data_dir;

/// Its name, and its file's.
const NAME: &str = "self-signed";

/// For how long it holds: some clients take none that holds longer.
const HOLDS: Duration = Duration::from_secs(397 * 86_400);

/// How long before its end it is made anew.
const AHEAD: Duration = Duration::from_secs(30 * 86_400);

/// Clocks differ.
const SKEW: Duration = Duration::from_secs(86_400);

/// Where it is kept, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The folder.
    pub folder: PathBuf,
    /// The hosts.
    pub hosts: Vec<String>,
    /// Whether it is kept: not by one who only shows what would be done.
    pub is_kept: bool,
}

impl Own {
    /// What it is called.
    #[expect(clippy::missing_panics_doc, reason = "a name that a file could have")]
    pub fn name() -> CertName {
        NAME.parse().expect("a certificate's alphabet holds it")
    }

    /// The hosts that are no addresses.
    fn names(&self) -> impl Iterator<Item = HostPattern> {
        let names = self.hosts.iter().filter(|host| host.parse::<IpAddr>().is_err());
        names.filter_map(|host| host.parse().ok())
    }

    fn file(&self) -> PathBuf {
        self.folder.join(format!("{NAME}.pem"))
    }

    /// The one that is kept; another where it expires soon, is for other hosts, or is not there. Blocks on the disk.
    ///
    /// # Errors
    /// Where it cannot be made or kept; in words, with the file.
    pub(super) fn certificate(&self, now: SystemTime) -> Result<Certificate, String> {
        let kept = fs::read(self.file()).ok().and_then(|text| read(&text, &text).ok());
        let holds = |c: &Certificate| c.expires().duration_since(now).is_ok_and(|left| left > AHEAD);
        let fits = |c: &Certificate| self.names().all(|host| c.names.contains(&host));
        if let Some(kept) = kept.filter(|kept| holds(kept) && fits(kept)) {
            return Ok(kept);
        }
        let text = sign(&self.hosts, now).map_err(|why| format!("no certificate could be signed: {why}"))?;
        let unkept = |error: std::io::Error| format!("{}: it cannot be kept: {error}", self.file().display());
        if self.is_kept {
            let mut folder = fs::DirBuilder::new();
            folder.recursive(true).mode(0o700).create(&self.folder).map_err(unkept)?;
            data_dir::replace(&self.folder, &name_of(&self.file()), text.as_bytes()).map_err(unkept)?;
        }
        read(text.as_bytes(), text.as_bytes()).map_err(|why| why.to_string())
    }
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A certificate for these hosts that holds from this moment on, and its key: as text.
///
/// # Errors
/// Where a host cannot be said in a certificate.
pub fn sign(hosts: &[String], now: SystemTime) -> Result<String, rcgen::Error> {
    let mut random = rand::rng();
    let key = loop {
        // One in 2^32 draws is no key.
        if let Ok(key) = SigningKey::from_slice(&random.random::<[u8; 32]>()) {
            break Key::new(key);
        }
    };
    let mut serial = random.random::<[u8; 16]>();
    // Positive, and of full length (RFC 5280, 4.1.2.2).
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::new(hosts.to_vec())?;
    params.distinguished_name.push(DnType::CommonName, "backchat");
    params.not_before = (now - SKEW).into();
    params.not_after = (now + HOLDS).into();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.key_identifier_method = KeyIdMethod::PreSpecified(serial.to_vec());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key)?;
    let secret = key.secret.to_pkcs8_der().map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    let read = backchat_contract::Certificate::new(
        &[certificate.der()],
        (backchat_contract::KeyForm::Pkcs8, secret.as_bytes()),
        std::collections::BTreeSet::new(),
        0,
    );
    let pem = read.and_then(|certificate| certificate.pem).ok_or(rcgen::Error::CouldNotParseCertificate)?;
    Ok(pem.secret().to_owned())
}

/// A key on the curve P-256, as rcgen takes one.
struct Key {
    secret: p256::SecretKey,
    signing: SigningKey,
    public: Vec<u8>,
}

impl Key {
    fn new(signing: SigningKey) -> Self {
        let secret = p256::SecretKey::from(&signing);
        let public = secret.public_key().to_encoded_point(false).as_bytes().to_vec();
        Self { secret, signing, public }
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
        let signature: DerSignature = self.signing.sign(text);
        Ok(signature.as_bytes().to_vec())
    }
}
