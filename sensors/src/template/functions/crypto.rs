//! Check sums.

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::Parameter::Text;
use super::{Function, new};
use crate::template::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    new("sha1sum", &[Text], |_, values| Ok(sum::<Sha1>(&values[0]))),
    new("sha256sum", &[Text], |_, values| Ok(sum::<Sha256>(&values[0]))),
    new("sha512sum", &[Text], |_, values| Ok(sum::<Sha512>(&values[0]))),
    new("adler32sum", &[Text], |_, values| Ok(adler32(values[0].text()).to_string().into())),
];

fn sum<D: Digest>(text: &Value) -> Value {
    hex::encode(D::digest(text.text().as_bytes())).into()
}

fn adler32(text: &str) -> u32 {
    const MODULUS: u32 = 65521;
    let (mut low, mut high) = (1, 0);
    for byte in text.bytes() {
        low = (low + u32::from(byte)) % MODULUS;
        high = (high + low) % MODULUS;
    }
    high << 16 | low
}
