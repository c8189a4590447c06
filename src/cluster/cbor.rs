//! CBOR into memory, which cannot fail; and arrays that a later version made longer.

use minicbor::{Decoder, Encode, decode};

/// The bytes of a value behind `head`.
pub(super) fn behind<T: Encode<()>>(head: &[u8], value: &T) -> Vec<u8> {
    let mut bytes = head.to_vec();
    minicbor::encode(value, &mut bytes).expect("a vector takes all that is written");
    bytes
}

/// Reads an array of at least `parts` parts. What a later version added behind them is passed over.
pub(super) fn parts<'b, T>(
    d: &mut Decoder<'b>,
    parts: u64,
    read: impl FnOnce(&mut Decoder<'b>) -> Result<T, decode::Error>,
) -> Result<T, decode::Error> {
    let more = d.array()?.and_then(|length| length.checked_sub(parts));
    let more = more.ok_or_else(|| decode::Error::message("an array of too few parts"))?;
    let value = read(d)?;
    for _ in 0..more {
        d.skip()?;
    }
    Ok(value)
}
