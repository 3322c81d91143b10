//! The filter of one segment: which handles it can hold.

use std::collections::HashSet;

use bytes::Bytes;
use tripline_event::Timestamp;

use super::handles::Handle;

/// The version of the bytes, which they begin with. What has another one is as good as not
/// there.
const VERSION: u8 = 1;
/// Bits for each handle: with [`PROBES`], one of 7,000 handles that are not there is admitted.
const BITS: usize = 20;
/// How many bits a handle sets.
const PROBES: u64 = 8;
/// The version, and the newest time of the segment in nanoseconds.
const HEADER: usize = 1 + 16;

/// The handles of a segment, and its newest time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    /// The greatest time of all its records.
    pub newest: Timestamp,
    bits: Bytes,
}

impl Filter {
    /// The filter of these handles.
    pub fn new(handles: &HashSet<Handle>, newest: Timestamp) -> Self {
        let bytes = (handles.len() * BITS).div_ceil(8).max(8);
        let mut bits = vec![0; bytes];
        for handle in handles {
            for bit in probes(*handle, bytes) {
                bits[bit / 8] |= 1 << (bit % 8);
            }
        }
        Self { newest, bits: bits.into() }
    }

    /// Whether the segment can hold the handle.
    pub fn admits(&self, handle: Handle) -> bool {
        probes(handle, self.bits.len()).all(|bit| self.bits[bit / 8] & (1 << (bit % 8)) != 0)
    }

    /// The filter as it is kept.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.bits.len());
        bytes.push(VERSION);
        bytes.extend(self.newest.as_nanosecond().to_be_bytes());
        bytes.extend(&self.bits);
        bytes
    }

    /// Reads what [`Self::encode`] wrote; none where it is of another version, or damaged.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (newest, bits) = rest.split_first_chunk::<16>()?;
        if *version != VERSION || bits.is_empty() {
            return None;
        }
        let newest = Timestamp::from_nanosecond(i128::from_be_bytes(*newest)).ok()?;
        // The bits stay where they are: they are looked at once.
        Some(Self { newest, bits: bytes.slice(HEADER..) })
    }
}

/// The bits of a handle, by two halves of its hash.
fn probes(handle: Handle, bytes: usize) -> impl Iterator<Item = usize> {
    let bits = (bytes as u64) * 8;
    let (first, step) = (handle.0, (handle.0 >> 32) | 1);
    (0..PROBES).map(move |probe| {
        let bit = mixed(first.wrapping_add(probe.wrapping_mul(step))) % bits;
        usize::try_from(bit).unwrap_or_default()
    })
}

/// The bits of a number, spread over all of it.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    number ^ (number >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(count: usize) -> (Vec<Handle>, Filter) {
        let handles: Vec<_> = (0..count).map(|n| Handle::id(&format!("id-{n}"))).collect();
        let all = handles.iter().copied().collect();
        (handles, Filter::new(&all, Timestamp::from_second(1_795_000_000).unwrap()))
    }

    #[test]
    fn what_is_there_is_admitted_and_hardly_anything_else() {
        for count in [0, 1, 100, 12_000] {
            let (handles, filter) = filter(count);
            assert!(handles.iter().all(|handle| filter.admits(*handle)), "{count}");
            let others = (0..20_000).map(|n| Handle::id(&format!("other-{n}")));
            let admitted = others.filter(|handle| filter.admits(*handle)).count();
            assert!(admitted <= 20, "{admitted} of 20,000 are admitted with {count}");
        }
    }

    #[test]
    fn a_filter_reads_back_and_anything_else_is_none() {
        let (_, filter) = filter(50);
        let bytes = Bytes::from(filter.encode());
        assert_eq!(Filter::decode(&bytes), Some(filter));
        for wrong in [Bytes::new(), Bytes::from(vec![2; 40]), bytes.slice(..17)] {
            assert_eq!(Filter::decode(&wrong), None);
        }
    }
}
