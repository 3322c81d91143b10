//! Jitter: how late a tick is acted on, drawn from the schedule and the tick.

use jiff::{SignedDuration, Timestamp};

/// Seconds from the year 1, where Go counts from, to 1970.
const GO_EPOCH_S: i64 = 62_135_596_800;

/// `nominal`, later by a part of `most` that depends on `seed` and `nominal` alone. The same
/// as in Temporal, so that an imported schedule keeps its times.
pub(super) fn delay(nominal: Timestamp, seed: &str, most: SignedDuration) -> Timestamp {
    let most_ms = u32::try_from(most.as_millis().max(0)).unwrap_or(u32::MAX);
    if most_ms == 0 {
        return nominal;
    }
    // Go's binary form of a time in UTC: a version, seconds, nanoseconds, no offset.
    let mut bytes = vec![1];
    bytes.extend((nominal.as_second() + GO_EPOCH_S).to_be_bytes());
    bytes.extend(nominal.subsec_nanosecond().to_be_bytes());
    bytes.extend((-1_i16).to_be_bytes());
    bytes.extend(seed.as_bytes());
    let delay_ms = (u64::from(fingerprint(&bytes)) * u64::from(most_ms)) >> 32;
    // At the end of time there is no later.
    nominal.checked_add(SignedDuration::from_millis(delay_ms as i64)).unwrap_or(nominal)
}

const C1: u32 = 0xcc9e_2d51;
const C2: u32 = 0x1b87_3593;

/// FarmHash's 32-bit fingerprint of at least 13 bytes.
fn fingerprint(bytes: &[u8]) -> u32 {
    let len = bytes.len();
    debug_assert!(len >= 13, "shorter inputs are hashed in another way");
    if len <= 24 { short_fingerprint(bytes) } else { long_fingerprint(bytes) }
}

fn short_fingerprint(bytes: &[u8]) -> u32 {
    let len = bytes.len();
    let (first, second) = (word(bytes, 0), word(bytes, 4));
    let (before_middle, middle) = (word(bytes, len / 2 - 4), word(bytes, len / 2));
    let (before_last, last) = (word(bytes, len - 8), word(bytes, len - 4));
    let mut hash = middle.wrapping_mul(C1).wrapping_add(len as u32);
    let mut mixed = before_middle.rotate_right(12).wrapping_add(last);
    hash = mix(before_last, hash).wrapping_add(mixed);
    mixed = mixed.rotate_right(3).wrapping_add(before_last);
    hash = mix(first, hash).wrapping_add(mixed);
    mixed = mixed.wrapping_add(last).rotate_right(12).wrapping_add(middle);
    hash = mix(second, hash).wrapping_add(mixed);
    avalanche(hash)
}

fn long_fingerprint(bytes: &[u8]) -> u32 {
    let len = bytes.len();
    let from_end = |distance: usize| scramble(word(bytes, len - distance));
    let mut h = len as u32;
    let mut g = C1.wrapping_mul(h);
    let mut f = g;
    h = stir(stir(h ^ from_end(4)) ^ from_end(16));
    g = stir(stir(g ^ from_end(8)) ^ from_end(12));
    f = f.wrapping_add(from_end(20)).rotate_right(19).wrapping_add(113);
    for block in bytes.chunks(20).take((len - 1) / 20) {
        let [a, b, c, d, e] = [0, 4, 8, 12, 16].map(|at| word(block, at));
        h = mix(d, h.wrapping_add(a)).wrapping_add(e);
        g = mix(c, g.wrapping_add(b)).wrapping_add(a);
        f = mix(b.wrapping_add(e.wrapping_mul(C1)), f.wrapping_add(c)).wrapping_add(d);
        f = f.wrapping_add(g);
        g = g.wrapping_add(f);
    }
    let close =
        |value: u32| value.rotate_right(11).wrapping_mul(C1).rotate_right(17).wrapping_mul(C1);
    for part in [close(g), close(f)] {
        h = h.wrapping_add(part).rotate_right(19);
        h = h.wrapping_mul(5).wrapping_add(0xe654_6b64).rotate_right(17).wrapping_mul(C1);
    }
    h
}

fn scramble(word: u32) -> u32 {
    word.wrapping_mul(C1).rotate_right(17).wrapping_mul(C2)
}

fn stir(hash: u32) -> u32 {
    hash.rotate_right(19).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

fn mix(word: u32, hash: u32) -> u32 {
    stir(hash ^ scramble(word))
}

fn avalanche(mut hash: u32) -> u32 {
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].iter().take(4).rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}
