//! The one task that writes to a log.
//!
//! It packs what has gathered into a block and publishes it without waiting for the one
//! before: each message says which sequence must be the stream's last before it
//! (`Nats-Expected-Last-Sequence`), so that they are stored in order and without a gap, or
//! not at all. When an answer stays away, or somebody else has written, it reads back how
//! far the stream is, finds out which of its blocks are stored, and publishes the others
//! again. A block is never stored twice, whatever becomes of answers.
//!
//! Two that write at the same time, which the lease keeps daemons from, lose nothing, and store
//! no record with a dedup id twice. A record without one can be stored twice then: a block that
//! was given up for a new one may still arrive where somebody else's, of the same length, has
//! made room for it.
//!
//! It also looks now and then whether the stream is still the one that it was.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{OptionFuture, pending};
use hashbrown::HashMap;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::api::{Api, ApiError, REQUEST_TIMEOUT, Stored, StreamInfo, code, read_answer};
use super::block::{self, Assembler, Block, HEADER_BYTES, Header, Record};
use super::dedup::Dedup;
use super::reader;
use super::view::View;
use crate::{Append, Appended, WriteError};

/// How many requests may wait, and how many one block takes.
pub(super) const MAX_REQUESTS: usize = 1024;
/// How large a block becomes from more than one request. Larger ones make the server slower.
const BLOCK_BYTES: usize = 512 * 1024;
/// How many blocks are under way at the same time.
const MAX_FLIGHTS: usize = 4;
/// How often it is looked whether the stream is as it was.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Pauses between tries to find out how far the stream is.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// What a message takes besides block and payload: its headers.
const MESSAGE_HEADERS_BYTES: usize = 128;

/// A batch, and whom to answer.
pub(super) struct Request {
    pub(super) batch: Vec<Append>,
    /// What it counts.
    pub(super) bytes: usize,
    pub(super) reply: oneshot::Sender<Result<Vec<Appended>, WriteError>>,
    /// Its place in the queue.
    pub(super) _permit: OwnedSemaphorePermit,
}

/// A block that is published and not yet known to be stored.
struct Flight {
    block: Arc<Block>,
    messages: Vec<Bytes>,
    /// How many of its messages were acknowledged.
    acknowledged: usize,
    sent_at: Instant,
    requests: Vec<(Request, Vec<Appended>)>,
}

impl Flight {
    /// What must be the stream's last sequence before it.
    fn expected(&self) -> u64 {
        self.block.message - 1
    }
}

/// Its requests are done.
fn answer(flight: Flight) {
    for (request, appended) in flight.requests {
        // One who no longer waits for the answer does not need it.
        drop(request.reply.send(Ok(appended)));
    }
}

/// Writes to one log.
pub(super) struct Writer {
    api: Api,
    view: Arc<View>,
    dedup: Dedup,
    requests: mpsc::Receiver<Request>,
    backlog: VecDeque<Request>,
    flights: VecDeque<Flight>,
    /// Dedup ids of what is under way.
    flying: HashMap<u128, u64>,
    id: u64,
    number: u64,
    /// Acknowledgements come here, of this session only.
    inbox: String,
    acks: Subscriber,
    session: u64,
    looking: Option<JoinHandle<Result<StreamInfo, ApiError>>>,
    look_at: Instant,
}

/// Why the writer must find out how far the stream is.
enum Doubt {
    /// An answer stays away, or somebody else has written.
    Unknown(String),
    /// The oldest block was refused.
    Refused(WriteError),
}

impl Writer {
    /// A writer for a log that is known up to its end.
    pub(super) async fn new(
        api: Api,
        view: Arc<View>,
        dedup: Dedup,
        requests: mpsc::Receiver<Request>,
        id: u64,
    ) -> Result<Self, ApiError> {
        let inbox = api.connection.client.new_inbox();
        let acks = api
            .connection
            .client
            .subscribe(format!("{inbox}.*.*.*"))
            .await
            .map_err(|_| ApiError::Silent(api.connection.silence()))?;
        Ok(Self {
            api,
            view,
            dedup,
            requests,
            backlog: VecDeque::new(),
            flights: VecDeque::new(),
            flying: HashMap::new(),
            id,
            number: 0,
            inbox,
            acks,
            session: 0,
            looking: None,
            look_at: Instant::now() + LOOK_EVERY,
        })
    }

    /// Writes until nobody can ask any more, and what was asked for by then is written.
    pub(super) async fn run(mut self) {
        let mut made = self.api.connection.made.clone();
        made.mark_unchanged();
        let mut open = true;
        while open || !self.flights.is_empty() || !self.backlog.is_empty() {
            let room = self.flights.len() < MAX_FLIGHTS && self.backlog.is_empty();
            let deadline = self.deadline();
            let looked: OptionFuture<_> = self.looking.as_mut().into();
            let looked = async {
                match looked.await {
                    Some(looked) => looked,
                    None => pending().await,
                }
            };
            let doubt = tokio::select! {
                biased;
                ack = self.acks.next() => match ack {
                    Some(ack) => self.take_ack(&ack),
                    // The client has ended: nothing will come any more.
                    None => return,
                },
                Ok(()) = made.changed() => self.reconnected(),
                request = self.requests.recv(), if open && room => {
                    match request {
                        Some(request) => self.backlog.push_back(request),
                        None => open = false,
                    }
                    None
                }
                looked = looked => {
                    self.looking = None;
                    looked.ok().and_then(|info| self.judge(info))
                }
                () = tokio::time::sleep_until(deadline) => self.overdue(),
            };
            if let Some(doubt) = doubt {
                self.settle(doubt).await;
                if self.view.trouble().is_some() && self.requests.is_closed() {
                    return;
                }
            }
            self.send_backlog().await;
        }
    }

    fn deadline(&self) -> Instant {
        match self.flights.front() {
            Some(flight) => flight.sent_at + REQUEST_TIMEOUT,
            None => self.look_at,
        }
    }

    fn reconnected(&self) -> Option<Doubt> {
        let under_way = !self.flights.is_empty();
        under_way.then(|| Doubt::Unknown("the connection was made again".to_owned()))
    }

    /// An answer stays away, or it is time to look at the stream.
    fn overdue(&mut self) -> Option<Doubt> {
        if !self.flights.is_empty() {
            return Some(Doubt::Unknown(self.api.connection.silence()));
        }
        self.look_at = Instant::now() + LOOK_EVERY;
        if !self.api.connection.is_up() {
            self.view.set_trouble(self.api.connection.silence());
        }
        if self.looking.is_none() {
            let (api, stream) = (self.api.clone(), self.view.stream.clone());
            self.looking = Some(tokio::spawn(async move { api.stream_info(&stream).await }));
        }
        None
    }

    /// Whether the stream is as it is thought to be.
    fn judge(&mut self, info: Result<StreamInfo, ApiError>) -> Option<Doubt> {
        let info = match info {
            Ok(info) => info,
            Err(error) => {
                self.view.set_trouble(error.to_string());
                return Some(Doubt::Unknown(error.to_string()));
            }
        };
        let state = self.view.state();
        let same = info.created == state.created
            && (info.state.last_seq == state.last_message || !self.flights.is_empty());
        drop(state);
        if same {
            self.view.clear_trouble();
            return None;
        }
        Some(Doubt::Unknown("the stream has changed".to_owned()))
    }

    // --- What is under way ---------------------------------------------------------------

    fn take_ack(&mut self, ack: &async_nats::Message) -> Option<Doubt> {
        let token = ack.subject.as_str().strip_prefix(self.inbox.as_str())?.strip_prefix('.')?;
        let mut parts = token.split('.').map(|part| part.parse::<u64>().ok());
        let (session, number, fragment) = (parts.next()??, parts.next()??, parts.next()??);
        if session != self.session {
            return None;
        }
        let at = self.flights.iter().position(|flight| flight.block.header.number == number)?;
        if ack.status == Some(StatusCode::NO_RESPONDERS) {
            let error = ApiError::NobodyListens(self.view.subject.clone());
            return Some(Doubt::Unknown(error.to_string()));
        }
        let flight = &mut self.flights[at];
        match read_answer::<Stored>(&ack.payload) {
            Ok(Stored { seq }) if seq == flight.block.message + fragment => {
                flight.acknowledged += 1;
                while self
                    .flights
                    .front()
                    .is_some_and(|flight| flight.acknowledged >= flight.messages.len())
                {
                    self.land();
                }
                None
            }
            Ok(Stored { seq }) => {
                Some(Doubt::Unknown(format!("a message was stored at {seq}, out of order")))
            }
            Err(error) if error.is_wrong_sequence() && at > 0 => {
                // One before it was not stored, or is not answered yet: that one tells why.
                None
            }
            Err(error) => Some(self.refusal(at, error)),
        }
    }

    fn refusal(&self, at: usize, error: ApiError) -> Doubt {
        let of_the_oldest = at == 0;
        if error.is_full() && of_the_oldest {
            return Doubt::Refused(WriteError::Full(format!(
                "stream {} takes nothing more: {error}; raise its limits, or wait until it is trimmed",
                self.view.stream
            )));
        }
        if error.is(code::MESSAGE_TOO_LARGE) && of_the_oldest {
            return Doubt::Refused(WriteError::Unavailable(format!(
                "stream {} refuses messages of this size: set its max_msg_size to -1 ({error})",
                self.view.stream
            )));
        }
        Doubt::Unknown(error.to_string())
    }

    /// The oldest block is stored: it is part of the log, and who asked is answered.
    fn land(&mut self) {
        let Some(flight) = self.flights.pop_front() else { return };
        self.learn(&flight.block);
        self.view.state().add(&flight.block);
        self.view.tell_change();
        answer(flight);
    }

    fn learn(&mut self, block: &Block) {
        for (record, sequence) in block.records.iter().zip(block.header.first..) {
            let Some(id) = &record.id else { continue };
            let hash = self.dedup.hash(id);
            self.dedup.learn(hash, sequence);
            self.flying.remove(&hash);
        }
    }

    // --- Finding out -----------------------------------------------------------------------

    /// Finds out how far the stream is and which blocks are stored, however long that takes,
    /// and publishes the others again.
    async fn settle(&mut self, doubt: Doubt) {
        self.session += 1;
        self.looking = None;
        let (reason, refused) = match doubt {
            Doubt::Unknown(reason) => (reason, None),
            Doubt::Refused(error) => {
                let oldest = self.flights.front().map(|flight| flight.block.header.number);
                (error.to_string(), oldest.zip(Some(error)))
            }
        };
        tracing::debug!(log = self.view.log.as_str(), reason, "reading back how far the stream is");
        let mut pause = FIRST_PAUSE;
        let incomplete = loop {
            match self.catch_up().await {
                Ok(incomplete) => break incomplete,
                Err(trouble) => self.view.set_trouble(trouble),
            }
            if self.requests.is_closed() {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        };
        self.view.clear_trouble();
        if let Some((number, error)) = refused {
            self.refuse(number, &error);
        }
        self.publish_again(incomplete).await;
    }

    /// The oldest block was refused, and no other copy of it is stored.
    fn refuse(&mut self, number: u64, error: &WriteError) {
        let is_oldest = |flight: &mut Flight| flight.block.header.number == number;
        let Some(flight) = self.flights.pop_front_if(is_oldest) else { return };
        if let WriteError::Full(text) = error {
            self.view.set_full(text.clone());
        }
        for (request, _) in flight.requests {
            let told = match error {
                WriteError::Full(text) => WriteError::Full(text.clone()),
                other => WriteError::Unavailable(other.to_string()),
            };
            drop(request.reply.send(Err(told)));
        }
    }

    /// Reads what stands in the stream beyond what is known. Returns which block is not
    /// complete at its end: who wrote it, its number, how many of its fragments are there.
    async fn catch_up(&mut self) -> Result<Option<(u64, u64, u64)>, String> {
        let view = Arc::clone(&self.view);
        let info = match api_info(&self.api, &view).await {
            Ok(info) => info,
            Err(error) => return Err(error),
        };
        let mut at = view.state().last_message + 1;
        if info.state.last_seq + 1 < at {
            return Err(format!(
                "stream {} ends at message {}, but {} was acknowledged: what came after is lost, unless another server still has it; {}",
                view.stream,
                info.state.last_seq,
                at - 1,
                view.state().range()
            ));
        }
        let mut assembler = Assembler::default();
        while at <= info.state.last_seq {
            let messages = reader::messages(&self.api, &view, at, info.state.last_seq)
                .await
                .map_err(|error| error.to_string())?;
            let Some(newest) = messages.last() else {
                return Err(format!("message {at} of {} cannot be read", view.stream));
            };
            at = newest.sequence + 1;
            for message in &messages {
                let block = reader::take(&view, &mut assembler, message)
                    .map_err(|error| error.to_string())?;
                if let Some(block) = block {
                    self.found(&block);
                }
            }
        }
        let mut state = view.state();
        state.last_message = state.last_message.max(info.state.last_seq);
        Ok(assembler.incomplete())
    }

    /// This block is stored: one of those under way, or somebody else's.
    fn found(&mut self, block: &Arc<Block>) {
        let is_it = |flight: &Flight| flight.block.header.number == block.header.number;
        let mine = match block.header.writer == self.id {
            true => self.flights.iter().position(is_it),
            false => None,
        };
        if mine == Some(0) {
            self.land();
        } else if self.view.state().add(block) {
            self.learn(block);
            self.view.tell_change();
            // Somebody else's block stands where the one before it was to be, and was as long:
            // so it fitted. The one before follows it now.
            if let Some(flight) = mine.and_then(|at| self.flights.remove(at)) {
                answer(flight);
            }
        }
    }

    /// What is not stored is published again: as it is, where the stream is where it was
    /// expected to be, else in new blocks.
    async fn publish_again(&mut self, incomplete: Option<(u64, u64, u64)>) {
        let (last, next) = {
            let state = self.view.state();
            (state.last_message, state.next)
        };
        let Some(oldest) = self.flights.front() else {
            self.flying.clear();
            return;
        };
        let fits = oldest.block.header.first == next && {
            let mine = (self.id, oldest.block.header.number);
            let stored = last.checked_sub(oldest.expected());
            match incomplete {
                Some((writer, number, count)) => (writer, number) == mine && stored == Some(count),
                None => stored == Some(0),
            }
        };
        if fits {
            let mut stored = last - oldest.expected();
            let mut flights = std::mem::take(&mut self.flights);
            for flight in &mut flights {
                let from = usize::try_from(stored).unwrap_or(usize::MAX);
                flight.acknowledged = from;
                flight.sent_at = Instant::now();
                self.publish(flight, from).await;
                stored = 0;
            }
            self.flights = flights;
            return;
        }
        for flight in std::mem::take(&mut self.flights).into_iter().rev() {
            for (request, _) in flight.requests.into_iter().rev() {
                self.backlog.push_front(request);
            }
        }
        self.flying.clear();
    }

    // --- Sending ---------------------------------------------------------------------------

    async fn send_backlog(&mut self) {
        while self.flights.len() < MAX_FLIGHTS {
            if let Ok(request) = self.requests.try_recv() {
                self.backlog.push_back(request);
            }
            if self.backlog.is_empty() {
                return;
            }
            let Some(flight) = self.pack() else { continue };
            self.publish(&flight, 0).await;
            self.flights.push_back(flight);
        }
    }

    /// A block of what has gathered; none where there is nothing new in it.
    fn pack(&mut self) -> Option<Flight> {
        let (mut first, mut bytes_before, mut message, incarnation) = {
            let state = self.view.state();
            (state.next, state.bytes, state.last_message + 1, state.incarnation)
        };
        if let Some(latest) = self.flights.back() {
            let header = &latest.block.header;
            first = latest.block.next();
            bytes_before = header.bytes_before + header.bytes;
            message = latest.block.last_message + 1;
        }
        let mut records: Vec<Record> = Vec::new();
        let mut requests: Vec<(Request, Vec<Appended>)> = Vec::new();
        let mut size = 0;
        while requests.len() < MAX_REQUESTS {
            let Some(request) = self.backlog.pop_front().or_else(|| self.requests.try_recv().ok())
            else {
                break;
            };
            if request.reply.is_closed() {
                continue;
            }
            if !requests.is_empty() && size + request.bytes > BLOCK_BYTES {
                self.backlog.push_front(request);
                break;
            }
            size += request.bytes;
            let appended = self.place(&request.batch, first, incarnation, &mut records);
            requests.push((request, appended));
        }
        if records.is_empty() {
            self.answer_duplicates(requests);
            return None;
        }
        self.number += 1;
        let largest =
            self.api.connection.client.max_payload().saturating_sub(MESSAGE_HEADERS_BYTES);
        let header = Header {
            fragment: 0,
            fragments: 1,
            incarnation,
            writer: self.id,
            number: self.number,
            first,
            count: u32::try_from(records.len()).unwrap_or(u32::MAX),
            bytes_before,
            bytes: records.iter().map(Record::bytes).sum(),
        };
        let messages = block::messages(header, &records, largest.max(2 * HEADER_BYTES));
        let last_message = message + messages.len() as u64 - 1;
        let block = Arc::new(Block { message, last_message, header, records });
        let sent_at = Instant::now();
        Some(Flight { block, messages, acknowledged: 0, sent_at, requests })
    }

    /// Gives each record of a batch its place, or that of the one that has its id already.
    fn place(
        &mut self,
        batch: &[Append],
        first: u64,
        incarnation: u32,
        records: &mut Vec<Record>,
    ) -> Vec<Appended> {
        let mut appended = Vec::with_capacity(batch.len());
        for Append { dedup, record } in batch {
            let sequence = first + records.len() as u64;
            let hash = dedup.as_ref().map(|id| self.dedup.hash(id));
            let known = hash
                .and_then(|hash| self.flying.get(&hash).copied().or_else(|| self.dedup.find(hash)));
            let position = tripline_event::Position::new(incarnation, known.unwrap_or(sequence));
            appended.push(Appended { position, duplicate: known.is_some() });
            if known.is_none() {
                if let Some(hash) = hash {
                    self.flying.insert(hash, sequence);
                }
                records.push(Record { id: dedup.clone(), record: record.clone() });
            }
        }
        appended
    }

    /// What these repeat may still be under way: they are answered with it.
    fn answer_duplicates(&mut self, requests: Vec<(Request, Vec<Appended>)>) {
        match self.flights.back_mut() {
            Some(latest) => latest.requests.extend(requests),
            None => {
                for (request, appended) in requests {
                    drop(request.reply.send(Ok(appended)));
                }
            }
        }
    }

    /// Publishes the messages of a block from the one numbered `from` on. Where that fails,
    /// no answer will come, and that is noticed.
    async fn publish(&self, flight: &Flight, from: usize) {
        let number = flight.block.header.number;
        for (message, fragment) in flight.messages.iter().zip(0_u64..).skip(from) {
            let mut headers = HeaderMap::new();
            let expected = flight.expected() + fragment;
            headers.insert("Nats-Expected-Last-Sequence", expected.to_string());
            let reply = format!("{}.{}.{number}.{fragment}", self.inbox, self.session);
            let published = self.api.connection.client.publish_with_reply_and_headers(
                self.view.subject.clone(),
                reply,
                headers,
                message.clone(),
            );
            match tokio::time::timeout(REQUEST_TIMEOUT, published).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "a block could not be published"),
                Err(_) => return,
            }
        }
    }
}

/// How far the stream is, if it is still the one that it was.
async fn api_info(api: &Api, view: &View) -> Result<StreamInfo, String> {
    let held = || view.state().range();
    match api.stream_info(&view.stream).await {
        Ok(info) if info.created == view.state().created => Ok(info),
        Ok(_) => Err(format!(
            "stream {} was removed and made again: {}, which is lost; bring the stream back from a copy, or start again on another prefix",
            view.stream,
            held()
        )),
        Err(error) if error.is(code::STREAM_NOT_FOUND) => Err(format!(
            "stream {} is gone: {}, which is lost unless the stream comes back",
            view.stream,
            held()
        )),
        Err(error) => Err(error.to_string()),
    }
}
