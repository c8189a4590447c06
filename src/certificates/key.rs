//! Whether a private key is the one that a certificate is for. Without any cryptography where the key's own file says
//! which public key is its: keys of RSA always do, those of elliptic curves nearly always.

use backchat_contract::KeyForm;
use p256::pkcs8::{ObjectIdentifier, PrivateKeyInfo, der::Decode};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// A public key, as far as a private one says which it is.
#[derive(Debug, PartialEq, Eq)]
enum Public {
    Is(ObjectIdentifier, Vec<u8>),
    /// Of this kind, and not said.
    Unsaid(ObjectIdentifier),
}

/// Whether the key fits. `None`: it is none that is understood. Where it does not say, the data plane's own check will.
pub(super) fn fits((form, der): (KeyForm, &[u8]), of: &SubjectPublicKeyInfoOwned) -> Option<bool> {
    let bits = of.subject_public_key.raw_bytes();
    Some(match public(form, der)? {
        Public::Is(kind, key) => kind == of.algorithm.oid && key == bits,
        Public::Unsaid(kind) => kind == of.algorithm.oid,
    })
}

fn public(form: KeyForm, der: &[u8]) -> Option<Public> {
    match form {
        KeyForm::Pkcs1 => rsa(der),
        KeyForm::Sec1 => curve(der),
        KeyForm::Pkcs8 => {
            let info = PrivateKeyInfo::from_der(der).ok()?;
            match info.algorithm.oid {
                RSA => rsa(info.private_key),
                EC => curve(info.private_key),
                other => Some(info.public_key.map_or(Public::Unsaid(other), |key| Public::Is(other, key.to_vec()))),
            }
        }
    }
}

fn rsa(der: &[u8]) -> Option<Public> {
    use p256::pkcs8::der::Encode;
    let key = pkcs1::RsaPrivateKey::from_der(der).ok()?;
    Some(Public::Is(RSA, key.public_key().to_der().ok()?))
}

fn curve(der: &[u8]) -> Option<Public> {
    let key = sec1::EcPrivateKey::from_der(der).ok()?;
    Some(key.public_key.map_or(Public::Unsaid(EC), |point| Public::Is(EC, point.to_vec())))
}
