//! CBOR into memory, which cannot fail.

use minicbor::Encode;

/// The bytes of a value behind `head`.
pub(super) fn behind<T: Encode<()>>(head: &[u8], value: &T) -> Vec<u8> {
    let mut bytes = head.to_vec();
    minicbor::encode(value, &mut bytes).expect("a vector takes all that is written");
    bytes
}
