//! How records are packed into messages.
//!
//! A *block* is what one write holds: the records of one or more batches. It is one message,
//! or several *fragments* where one would be larger than the server takes. A block counts
//! when all of its fragments stand in the stream one after the other, and when it begins
//! where the block before it has ended: any other message is passed over. So a batch is there
//! as a whole or not at all, whatever breaks off.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | `T` |
//! | 1 | version of this format |
//! | 2, 2 | number of this fragment, from 0; how many there are |
//! | 4 | incarnation of the log |
//! | 8, 8 | who wrote the block, and which of its blocks this is |
//! | 8, 4 | sequence of the first record, how many records |
//! | 8, 8 | what all records before it took, and what these take, in bytes |
//! | … | a part of the body |
//!
//! The body has for each record: length of the dedup id (1 byte, 255: it has none), length of
//! the record (4 bytes), id, record. Numbers are big-endian.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The version that this build writes, and the newest that it reads.
pub(super) const VERSION: u8 = 1;
const MAGIC: u8 = b'T';
/// What stands before the body's part in each message.
pub(super) const HEADER_BYTES: usize = 54;
/// What a record takes besides its bytes and those of its id.
pub(super) const RECORD_OVERHEAD_BYTES: usize = 5;
const NO_ID: u8 = u8::MAX;

/// What a message says of its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) fragment: u16,
    pub(super) fragments: u16,
    pub(super) incarnation: u32,
    pub(super) writer: u64,
    pub(super) number: u64,
    pub(super) first: u64,
    pub(super) count: u32,
    pub(super) bytes_before: u64,
    pub(super) bytes: u64,
}

/// A record and its dedup id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: Option<Bytes>,
    pub(super) record: Bytes,
}

/// A block that is complete.
#[derive(Debug)]
pub(super) struct Block {
    /// The sequence of its first message in the stream.
    pub(super) message: u64,
    /// That of its last one.
    pub(super) last_message: u64,
    pub(super) header: Header,
    pub(super) records: Vec<Record>,
}

/// A message of a stream, as far as it matters here.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) sequence: u64,
    pub(super) payload: Bytes,
}

/// The message is none of a log's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BlockError {
    #[error("it was written by a newer version of Tripline (format {0})")]
    Newer(u8),
    #[error("it is no block of records")]
    Malformed,
}

impl Record {
    pub(super) fn bytes(&self) -> u64 {
        (self.record.len() + self.id.as_ref().map_or(0, Bytes::len)) as u64
    }
}

impl Block {
    /// The sequence after its last record.
    pub(super) fn next(&self) -> u64 {
        self.header.first + u64::from(self.header.count)
    }
}

impl Header {
    fn put(&self, to: &mut BytesMut) {
        to.put_u8(MAGIC);
        to.put_u8(VERSION);
        to.put_u16(self.fragment);
        to.put_u16(self.fragments);
        to.put_u32(self.incarnation);
        to.put_u64(self.writer);
        to.put_u64(self.number);
        to.put_u64(self.first);
        to.put_u32(self.count);
        to.put_u64(self.bytes_before);
        to.put_u64(self.bytes);
    }

    /// Splits a message into its header and its part of the body.
    pub(super) fn take(mut payload: Bytes) -> Result<(Self, Bytes), BlockError> {
        if payload.len() < 2 || payload[0] != MAGIC {
            return Err(BlockError::Malformed);
        }
        if payload[1] > VERSION {
            return Err(BlockError::Newer(payload[1]));
        }
        if payload.len() < HEADER_BYTES {
            return Err(BlockError::Malformed);
        }
        payload.advance(2);
        let header = Self {
            fragment: payload.get_u16(),
            fragments: payload.get_u16(),
            incarnation: payload.get_u32(),
            writer: payload.get_u64(),
            number: payload.get_u64(),
            first: payload.get_u64(),
            count: payload.get_u32(),
            bytes_before: payload.get_u64(),
            bytes: payload.get_u64(),
        };
        if header.fragment >= header.fragments {
            return Err(BlockError::Malformed);
        }
        Ok((header, payload))
    }
}

/// The length of the body of these records.
pub(super) fn body_bytes<'a>(records: impl IntoIterator<Item = &'a Record>) -> usize {
    let of = |record: &Record| {
        RECORD_OVERHEAD_BYTES + record.record.len() + record.id.as_ref().map_or(0, Bytes::len)
    };
    records.into_iter().map(of).sum()
}

/// The messages of a block, each of at most `largest` bytes. `header`'s fragments are set here.
pub(super) fn messages(mut header: Header, records: &[Record], largest: usize) -> Vec<Bytes> {
    let room = largest.saturating_sub(HEADER_BYTES).max(1);
    let body = body_bytes(records);
    header.fragments = u16::try_from(body.div_ceil(room).max(1)).unwrap_or(u16::MAX);
    if header.fragments == 1 {
        let mut message = BytesMut::with_capacity(HEADER_BYTES + body);
        header.put(&mut message);
        put_records(&mut message, records);
        return vec![message.freeze()];
    }
    let mut whole = BytesMut::with_capacity(body);
    put_records(&mut whole, records);
    let fragment = |(part, number): (&[u8], u16)| {
        let mut message = BytesMut::with_capacity(HEADER_BYTES + part.len());
        Header { fragment: number, ..header }.put(&mut message);
        message.extend_from_slice(part);
        message.freeze()
    };
    whole.chunks(room).zip(0..).map(fragment).collect()
}

fn put_records(to: &mut BytesMut, records: &[Record]) {
    for Record { id, record } in records {
        let id_bytes = id.as_ref().and_then(|id| u8::try_from(id.len()).ok());
        to.put_u8(id_bytes.unwrap_or(NO_ID));
        // A record is at most 8 MiB: that was checked when it was taken.
        to.put_u32(u32::try_from(record.len()).unwrap_or(u32::MAX));
        to.extend_from_slice(id.as_deref().unwrap_or_default());
        to.extend_from_slice(record);
    }
}

fn take_records(mut body: Bytes, count: u32) -> Result<Vec<Record>, BlockError> {
    let most = body.len() / RECORD_OVERHEAD_BYTES;
    let mut records = Vec::with_capacity(most.min(count as usize));
    for _ in 0..count {
        if body.len() < RECORD_OVERHEAD_BYTES {
            return Err(BlockError::Malformed);
        }
        let id = body.get_u8();
        let record = body.get_u32() as usize;
        let id_bytes = if id == NO_ID { 0 } else { usize::from(id) };
        if body.len() < id_bytes + record {
            return Err(BlockError::Malformed);
        }
        let id = (id != NO_ID).then(|| body.split_to(id_bytes));
        records.push(Record { id, record: body.split_to(record) });
    }
    if body.is_empty() { Ok(records) } else { Err(BlockError::Malformed) }
}

/// Puts messages together to blocks.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    partial: Option<Partial>,
}

#[derive(Debug)]
struct Partial {
    message: u64,
    last_message: u64,
    header: Header,
    parts: Vec<Bytes>,
}

impl Assembler {
    /// Takes the next message; returns the block that it completes.
    pub(super) fn take(&mut self, message: &Message) -> Result<Option<Arc<Block>>, BlockError> {
        let (header, part) = Header::take(message.payload.clone())?;
        let continued = self.partial.take().filter(|partial| {
            let next = Header { fragment: partial.header.fragment + 1, ..partial.header };
            header == next && message.sequence == partial.last_message + 1
        });
        let mut partial = match continued {
            Some(partial) => partial,
            None if header.fragment == 0 => {
                Partial { message: message.sequence, last_message: 0, header, parts: Vec::new() }
            }
            // The beginning of this block is not here: it does not count.
            None => return Ok(None),
        };
        partial.header = header;
        partial.last_message = message.sequence;
        partial.parts.push(part);
        if header.fragment + 1 < header.fragments {
            self.partial = Some(partial);
            return Ok(None);
        }
        let body = match partial.parts.as_slice() {
            [whole] => whole.clone(),
            parts => parts.concat().into(),
        };
        let records = take_records(body, header.count)?;
        let Partial { message, last_message, header, .. } = partial;
        Ok(Some(Arc::new(Block { message, last_message, header, records })))
    }

    /// The block that is not complete: who wrote it, its number, and how many of its
    /// fragments are there.
    pub(super) fn incomplete(&self) -> Option<(u64, u64, u64)> {
        let Partial { header, .. } = self.partial.as_ref()?;
        Some((header.writer, header.number, u64::from(header.fragment) + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            fragment: 0,
            fragments: 1,
            incarnation: 7,
            writer: 1,
            number: 2,
            first: 3,
            count: 3,
            bytes_before: 4,
            bytes: 5,
        }
    }

    fn records() -> Vec<Record> {
        let record = |id: Option<&'static str>, record: &'static str| Record {
            id: id.map(Bytes::from),
            record: record.into(),
        };
        vec![record(Some("id"), "one"), record(None, "two"), record(Some(""), "")]
    }

    fn numbered(messages: Vec<Bytes>, from: u64) -> Vec<Message> {
        messages
            .into_iter()
            .zip(from..)
            .map(|(payload, sequence)| Message { sequence, payload })
            .collect()
    }

    #[test]
    fn a_block_reads_back_however_it_is_cut() {
        for largest in [HEADER_BYTES + 1, HEADER_BYTES + 4, 1024] {
            let mut assembler = Assembler::default();
            let messages = numbered(messages(header(), &records(), largest), 10);
            assert!(messages.iter().all(|message| message.payload.len() <= largest));
            let (last, before) = messages.split_last().unwrap();
            for message in before {
                assert!(assembler.take(message).unwrap().is_none());
            }
            let block = assembler.take(last).unwrap().unwrap();
            assert_eq!(block.records, records());
            assert_eq!((block.message, block.last_message), (10, last.sequence));
            assert_eq!((block.header.first, block.next()), (3, 6));
        }
    }

    #[test]
    fn a_block_that_broke_off_does_not_count() {
        let cut = numbered(messages(header(), &records(), HEADER_BYTES + 8), 1);
        let whole = numbered(messages(Header { number: 3, ..header() }, &records(), 1024), 9);
        let mut assembler = Assembler::default();
        assert!(assembler.take(&cut[0]).unwrap().is_none());
        assert_eq!(assembler.incomplete(), Some((1, 2, 1)));
        assert_eq!(assembler.take(&whole[0]).unwrap().unwrap().header.number, 3);
        assert_eq!(assembler.incomplete(), None);
        assert!(
            assembler.take(cut.last().unwrap()).unwrap().is_none(),
            "an end without a beginning"
        );
        assert!(assembler.take(&cut[0]).unwrap().is_none());
        let elsewhere = Message { sequence: 77, ..cut[1].clone() };
        assert!(assembler.take(&elsewhere).unwrap().is_none(), "not one after the other");
    }

    #[test]
    fn what_is_no_block_is_refused() {
        let whole = messages(header(), &records(), 1024).remove(0);
        let newer = [&[b'T', 9], &whole[2..]].concat();
        for (payload, error) in [
            (Bytes::new(), BlockError::Malformed),
            (Bytes::from("{}"), BlockError::Malformed),
            (whole.slice(..40), BlockError::Malformed),
            (whole.slice(..whole.len() - 1), BlockError::Malformed),
            (newer.into(), BlockError::Newer(9)),
        ] {
            let message = Message { sequence: 1, payload };
            assert_eq!(Assembler::default().take(&message).unwrap_err(), error);
        }
    }
}
