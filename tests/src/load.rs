//! A lean HTTP/1.1 client and a load generator on it.
//!
//! The generator runs beside what it measures, on the same processors: so requests are put
//! together in one buffer, and of an answer only what is needed is looked at.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The size of each body, in bytes.
pub const BODY_BYTES: usize = 250;
/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// How long one exchange may take.
const EXCHANGE: Duration = Duration::from_secs(30);
/// The rate below which each request is sent at its time, to the microsecond.
const PRECISE: f64 = 1000.0;
/// The resolution of the runtime's timers.
const TICK: Duration = Duration::from_millis(1);
/// The longest latency that is told from longer ones, in microseconds.
const LONGEST_MICROS: u64 = 600_000_000;

/// The id of event `number`.
pub fn event_id(number: u64) -> String {
    format!("e-{number:012}")
}

/// The correlation id of event `number`.
pub fn correlation_id(number: u64) -> String {
    format!("c-{number:012}")
}

/// The number in an event's id or correlation id.
pub fn number_in(id: &str) -> Option<u64> {
    id.strip_prefix("e-").or_else(|| id.strip_prefix("c-"))?.parse().ok()
}

/// A histogram of latencies, in microseconds, with three digits.
///
/// # Panics
/// Never: the bounds are valid ones.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_MICROS, 3).expect("1, 600,000,000 and 3 are valid bounds")
}

/// Notes a latency.
pub fn note(histogram: &mut Histogram<u64>, latency: Duration) {
    histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
}

/// One connection that is kept alive.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer, as far as it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The event's id was known.
    pub duplicate: bool,
    /// The body.
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// The connection ends, takes too long, or what comes is no answer.
    pub async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        tokio::time::timeout(EXCHANGE, async {
            self.stream.write_all(request).await?;
            self.answer().await
        })
        .await
        .context("there was no answer in time")?
    }

    /// Sends a part of a request.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn send(&mut self, part: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(part).await
    }

    /// Reads one answer.
    ///
    /// # Errors
    /// The connection ends, or what comes is no answer.
    pub async fn answer(&mut self) -> anyhow::Result<Answer> {
        self.buffer.clear();
        loop {
            if let Some((head, length)) = head(&self.buffer)?
                && self.buffer.len() >= head + length
            {
                ensure!(self.buffer.len() == head + length, "there is more than an answer");
                return Ok(Answer {
                    status: status(&self.buffer)?,
                    duplicate: header(&self.buffer[..head], "x-tripline-duplicate").is_some(),
                    body: self.buffer[head..].to_vec(),
                });
            }
            ensure!(self.buffer.len() < MAX_ANSWER_BYTES, "the answer is too long");
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the connection ended");
            }
        }
    }
}

/// The length of the head, and that of the body; none where the head is not complete.
fn head(buffer: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let length = header(&buffer[..end + 2], "content-length").unwrap_or(b"0");
    let length = std::str::from_utf8(length)?.parse().context("content-length")?;
    Ok(Some((end + 4, length)))
}

fn status(buffer: &[u8]) -> anyhow::Result<u16> {
    let status = buffer.get(9..12).context("the answer has no status")?;
    Ok(std::str::from_utf8(status)?.parse()?)
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        found.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
    })
}

/// Gets something on a connection of its own: its status and body.
///
/// # Errors
/// There is no answer.
pub async fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let answer = Connection::open(address).await?.exchange(request.as_bytes()).await?;
    Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
}

/// Posts a body with these headers, on a connection of its own.
///
/// # Errors
/// There is no answer.
pub async fn post(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> anyhow::Result<Answer> {
    let mut request = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    Connection::open(address).await?.exchange(&request).await
}

/// Requests that differ in their number alone, each with a body of [`BODY_BYTES`].
#[derive(Clone)]
pub struct Requests {
    head: String,
}

impl Requests {
    /// Posts to `path`.
    pub fn new(address: SocketAddr, path: &str) -> Self {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {BODY_BYTES}\r\nwebhook-id: "
        );
        Self { head }
    }

    /// Puts the request of event `number` in the place of what is in `request`.
    pub fn write(&self, number: u64, request: &mut Vec<u8>) {
        use std::io::Write as _;
        request.clear();
        request.extend_from_slice(self.head.as_bytes());
        // Nothing can go wrong when writing to a vector.
        drop(write!(request, "{}\r\n\r\n", event_id(number)));
        let begin = request.len();
        drop(write!(
            request,
            r#"{{"action":"completed","repository":"shop","branch":"main","correlation_id":"{}","log":""#,
            correlation_id(number)
        ));
        request.resize(begin + BODY_BYTES - 2, b'.');
        request.extend_from_slice(b"\"}");
    }
}

/// How fast requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Each connection sends the next as soon as the one before is answered.
    AsFastAsAnswered,
    /// At fixed times, so many a second, whether or not those before are answered.
    /// Latencies count from the time when a request was due.
    PerSecond(f64),
}

/// What to send.
#[derive(Clone)]
pub struct Load {
    /// Where to.
    pub address: SocketAddr,
    /// The path.
    pub path: String,
    /// How many connections.
    pub connections: usize,
    /// How fast.
    pub pace: Pace,
    /// The number of the first event.
    pub first: u64,
    /// The most events.
    pub events: u64,
    /// The longest time.
    pub time: Duration,
}

/// What became of it.
pub struct Sending {
    /// How many were sent and answered 200.
    pub accepted: u64,
    /// How many of them were duplicates.
    pub duplicates: u64,
    /// From the first request to the last answer.
    pub took: Duration,
    /// From the time when a request was due to its answer, in microseconds.
    pub latency: Histogram<u64>,
    /// When each was due, by number from `first` on.
    pub due: Vec<Instant>,
}

impl Load {
    /// Sends.
    ///
    /// # Errors
    /// A connection fails, or a request is not answered 200.
    pub async fn run(&self) -> anyhow::Result<Sending> {
        let begin = Instant::now();
        let next = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..self.connections {
            tasks.spawn(self.clone().client(begin, Arc::clone(&next)));
        }
        let mut sending = Sending {
            accepted: 0,
            duplicates: 0,
            took: Duration::ZERO,
            latency: histogram(),
            due: Vec::new(),
        };
        let mut due = Vec::new();
        while let Some(client) = tasks.join_next().await {
            let client = client??;
            sending.duplicates += client.duplicates;
            for (number, at, latency) in client.answered {
                note(&mut sending.latency, latency);
                sending.accepted += 1;
                due.push((number, at));
            }
        }
        sending.took = begin.elapsed();
        due.sort_unstable();
        sending.due = due.into_iter().map(|(_, at)| at).collect();
        Ok(sending)
    }

    /// The number of the next request and when it is due, once that time has come.
    async fn turn(&self, begin: Instant, next: &AtomicU64) -> Option<(u64, Instant)> {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let due = match self.pace {
            Pace::AsFastAsAnswered => Instant::now(),
            Pace::PerSecond(rate) => begin + Duration::from_secs_f64(number as f64 / rate),
        };
        if number >= self.events || due >= begin + self.time {
            return None;
        }
        if let Pace::PerSecond(rate) = self.pace {
            wait_until(due, rate < PRECISE).await;
        }
        Some((number, due))
    }

    async fn client(self, begin: Instant, next: Arc<AtomicU64>) -> anyhow::Result<Client> {
        let mut connection = Connection::open(self.address).await?;
        let requests = Requests::new(self.address, &self.path);
        let mut request = Vec::with_capacity(1024);
        let mut client = Client::default();
        while let Some((number, due)) = self.turn(begin, &next).await {
            requests.write(self.first + number, &mut request);
            let answer = connection.exchange(&request).await?;
            let body = String::from_utf8_lossy(&answer.body);
            ensure!(answer.status == 200, "event {number} was answered {}: {body}", answer.status);
            client.duplicates += u64::from(answer.duplicate);
            client.answered.push((number, due, due.elapsed()));
        }
        Ok(client)
    }
}

#[derive(Default)]
struct Client {
    duplicates: u64,
    answered: Vec<(u64, Instant, Duration)>,
}

/// Timers of the runtime have ticks of a millisecond. At high rates what is due within a tick
/// is sent at its end, and the wait counts as latency; to wait more precisely would take a
/// processor's time from what is measured. At low rates there is time enough to look.
async fn wait_until(due: Instant, precisely: bool) {
    let left = due.saturating_duration_since(Instant::now());
    if !precisely {
        if !left.is_zero() {
            tokio::time::sleep(left).await;
        }
        return;
    }
    if left > 2 * TICK {
        tokio::time::sleep(left - 2 * TICK).await;
    }
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_its_number_and_the_same_size() {
        let requests = Requests::new(([127, 0, 0, 1], 80).into(), "/builds");
        let mut request = Vec::new();
        for number in [0, 7, 999_999_999_999] {
            requests.write(number, &mut request);
            let text = std::str::from_utf8(&request).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert_eq!(body.len(), BODY_BYTES);
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["correlation_id"].as_str().and_then(number_in), Some(number));
            assert!(head.ends_with(&format!("webhook-id: {}", event_id(number))), "{head}");
        }
    }

    #[test]
    fn an_answer_is_complete_when_all_of_its_body_is_there() {
        let answer =
            b"HTTP/1.1 200 OK\r\nX-Tripline-Duplicate: true\r\nContent-Length: 7\r\n\r\nsuccess";
        for end in 0..answer.len() {
            let complete =
                head(&answer[..end]).unwrap().is_some_and(|(head, length)| head + length <= end);
            assert!(!complete, "{end}");
        }
        assert_eq!(head(answer).unwrap(), Some((answer.len() - 7, 7)));
        assert_eq!(status(answer).unwrap(), 200);
        assert_eq!(header(answer, "x-tripline-duplicate"), Some(&b"true"[..]));
        assert_eq!(header(answer, "x-tripline"), None);
    }
}
