//! Words written without a formatter: with ten thousand servers those are much of what a plan costs.

use std::{fmt::Write, net::SocketAddr};

/// Writes an address as its `Display` does.
pub fn push_addr(text: &mut String, addr: SocketAddr) {
    let SocketAddr::V4(addr) = addr else {
        // Writing to a string does not fail.
        let _ = write!(text, "{addr}");
        return;
    };
    let mut digits = Digits::default();
    digits.put(addr.port().into());
    for (n, octet) in addr.ip().octets().into_iter().rev().enumerate() {
        digits.put_byte(if n == 0 { b':' } else { b'.' });
        digits.put(octet.into());
    }
    text.push_str(digits.as_str());
}

/// Writes a number in decimal digits.
pub fn push_number(text: &mut String, number: u64) {
    let mut digits = Digits::default();
    digits.put(number);
    text.push_str(digits.as_str());
}

/// Bytes that are put from the end on; as many as an address has at most, and a number.
struct Digits {
    bytes: [u8; 21],
    at: usize,
}

impl Default for Digits {
    fn default() -> Self {
        Self { bytes: [b'0'; 21], at: 21 }
    }
}

impl Digits {
    fn put_byte(&mut self, byte: u8) {
        self.at = self.at.saturating_sub(1);
        self.bytes[self.at] = byte;
    }

    fn put(&mut self, mut number: u64) {
        loop {
            self.put_byte(b'0' + u8::try_from(number % 10).unwrap_or_default());
            number /= 10;
            if number == 0 {
                return;
            }
        }
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[self.at..]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_display_does(addr: SocketAddr, number: u64) {
            let (mut said, mut digits) = (String::new(), String::new());
            push_addr(&mut said, addr);
            push_number(&mut digits, number);
            prop_assert_eq!((said, digits), (addr.to_string(), number.to_string()));
        }
    }
}
