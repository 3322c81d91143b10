//! A frame: what one group of requests changes, as it stands in the journal.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0..4 | `TLJF` |
//! | 4..8 | version of the format |
//! | 8..16 | which journal |
//! | 16..24 | the frame's number; each is one more than the one before |
//! | 24..28 | length of the payload |
//! | 28..32 | CRC-32 of all that stands before it, and of the payload |
//! | 32.. | the payload, filled up with zeros to a whole sector |
//!
//! Numbers are big-endian. Frames begin at a sector, since that is what a disk writes whole.

/// The version of the format that this build writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;
/// What a disk writes as a whole or not at all, in bytes.
pub(super) const SECTOR_BYTES: usize = 512;
pub(super) const HEADER_BYTES: usize = 32;

const MAGIC: [u8; 4] = *b"TLJF";
const CHECKED_BYTES: usize = 28;
/// What a frame's buffer keeps of its room for the next one.
const KEPT_BYTES: usize = 128 * 1024;

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) journal: u64,
    pub(super) number: u64,
    pub(super) length: u32,
    checksum: u32,
}

impl Header {
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.get(..HEADER_BYTES)?.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (journal, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let checksum = rest.first_chunk()?;
        (*magic == MAGIC).then(|| Self {
            version: u32::from_be_bytes(*version),
            journal: u64::from_be_bytes(*journal),
            number: u64::from_be_bytes(*number),
            length: u32::from_be_bytes(*length),
            checksum: u32::from_be_bytes(*checksum),
        })
    }

    /// What the frame takes in the journal.
    pub(super) fn frame_len(&self) -> u64 {
        (HEADER_BYTES as u64 + u64::from(self.length)).next_multiple_of(SECTOR_BYTES as u64)
    }

    /// Whether this is the payload that it was written with.
    pub(super) fn is_of(&self, payload: &[u8]) -> bool {
        checksum(&self.checked(), payload) == self.checksum
    }

    fn checked(&self) -> [u8; CHECKED_BYTES] {
        let mut bytes = [0; CHECKED_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.version.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.journal.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_be_bytes());
        bytes[24..].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(payload);
    hasher.finalize()
}

/// A frame that is to be written. Its buffer is used again and again.
#[derive(Default)]
pub(in crate::embedded) struct Frame {
    bytes: Vec<u8>,
    payload: usize,
}

impl Frame {
    /// Begins a new one, whose payload `write` appends.
    pub(in crate::embedded) fn fill(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.bytes.resize(HEADER_BYTES, 0);
        write(&mut self.bytes);
        self.payload = self.bytes.len() - HEADER_BYTES;
        self.bytes.resize(self.bytes.len().next_multiple_of(SECTOR_BYTES), 0);
    }

    /// What it takes in the journal.
    pub(in crate::embedded) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The frame under this number, as it is to be written.
    pub(super) fn seal(&mut self, journal: u64, number: u64) -> &[u8] {
        let payload = &self.bytes[HEADER_BYTES..HEADER_BYTES + self.payload];
        // Longer ones are not for the journal: see `Journal::takes`.
        let length = u32::try_from(self.payload).unwrap_or(u32::MAX);
        let header = Header { version: VERSION, journal, number, length, checksum: 0 };
        let checked = header.checked();
        let checksum = checksum(&checked, payload);
        self.bytes[..CHECKED_BYTES].copy_from_slice(&checked);
        self.bytes[CHECKED_BYTES..HEADER_BYTES].copy_from_slice(&checksum.to_be_bytes());
        &self.bytes
    }
}
