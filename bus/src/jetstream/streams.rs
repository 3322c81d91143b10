//! The streams: made once, checked each time.
//!
//! A log's incarnation stands in the metadata of its stream, with when the stream was made:
//! one that was made again with the same metadata is recognised, and gets another one.

use std::fmt::Write as _;

use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

use super::api::{Api, ApiError, StreamInfo, code};
use super::names::Names;
use super::{Finding, OpenError, Severity};
use crate::Log;
use crate::copy::Start;

const INCARNATION: &str = "tripline.dev/incarnation";
const FORMAT: &str = "tripline.dev/format";
/// The sequence that an empty log begins at.
const FIRST: &str = "tripline.dev/first";
/// When the stream of this incarnation was made, as the server says.
const CREATED: &str = "tripline.dev/created";
const FORMAT_VERSION: &str = "1";

/// How streams are made.
pub(super) struct Shape<'a> {
    pub(super) names: &'a Names,
    pub(super) replicas: usize,
    /// The most that EVENTS may take.
    pub(super) max_bytes: Option<u64>,
    /// Where new logs begin; none: at 1, of an incarnation chosen at random.
    pub(super) starts: Option<[Start; 3]>,
}

/// A log's stream as it was found or made.
pub(super) struct Opened {
    pub(super) info: StreamInfo,
    pub(super) start: Start,
}

/// Finds the stream of a log, or makes it.
pub(super) async fn open_log(api: &Api, shape: &Shape<'_>, log: Log) -> Result<Opened, OpenError> {
    let stream = shape.names.stream(log);
    let start = shape.starts.map_or_else(random_start, |starts| starts[log.index()]);
    let max_bytes = shape.max_bytes.filter(|_| log == Log::Events);
    let mut config = config(shape, &stream, vec![shape.names.subject(log)], max_bytes);
    config["metadata"] = json!({
        FORMAT: FORMAT_VERSION,
        INCARNATION: format!("{:08x}", start.incarnation),
        FIRST: start.first.to_string(),
    });
    let info = find_or_make(api, &stream, &config).await?;
    check_format(&stream, &info)?;
    let start = start_of(&info).ok_or_else(|| foreign(&stream))?;
    match metadata(&info, CREATED) {
        Some(created) if created == info.created => Ok(Opened { info, start }),
        None if info.state.last_seq == 0 => sign(api, &stream, info, start).await,
        // Somebody has made it again after the old one's pattern, or brought it back from a
        // copy: what it holds now may be other records under the same positions.
        _ => sign(api, &stream, info, Start { first: 1, ..random_start() }).await,
    }
}

/// Finds the stream of the keys, or makes it.
pub(super) async fn open_state(api: &Api, shape: &Shape<'_>) -> Result<StreamInfo, OpenError> {
    let stream = shape.names.state_stream();
    let mut config = config(shape, &stream, vec![shape.names.state_subjects()], None);
    config["max_msgs_per_subject"] = 1.into();
    config["metadata"] = json!({FORMAT: FORMAT_VERSION});
    let info = find_or_make(api, &stream, &config).await?;
    check_format(&stream, &info)?;
    Ok(info)
}

/// The log was emptied by somebody else: it goes on as another one.
pub(super) async fn renew(api: &Api, stream: &str, info: StreamInfo) -> Result<Opened, OpenError> {
    sign(api, stream, info, Start { first: 1, ..random_start() }).await
}

/// Writes the incarnation down, together with when this stream was made.
async fn sign(
    api: &Api,
    stream: &str,
    info: StreamInfo,
    start: Start,
) -> Result<Opened, OpenError> {
    let mut config = info.config.clone();
    let mut metadata = match config.remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => Map::new(),
    };
    metadata.insert(INCARNATION.to_owned(), format!("{:08x}", start.incarnation).into());
    metadata.insert(FIRST.to_owned(), start.first.to_string().into());
    metadata.insert(CREATED.to_owned(), info.created.clone().into());
    config.insert("metadata".to_owned(), metadata.into());
    let info: StreamInfo = api
        .ask(&format!("STREAM.UPDATE.{stream}"), &Value::Object(config))
        .await
        .map_err(|error| api_error(api, stream, error))?;
    Ok(Opened { info, start })
}

fn random_start() -> Start {
    let mut random = rand::rngs::StdRng::from_os_rng();
    // 0 is left to `Position::default()`, which is in no log.
    Start { incarnation: random.random_range(1..=u32::MAX), first: 1 }
}

fn config(shape: &Shape<'_>, stream: &str, subjects: Vec<String>, max_bytes: Option<u64>) -> Value {
    let max_bytes = max_bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(-1);
    json!({
        "name": stream,
        "description": "Tripline's: trimmed by its daemon, not by limits",
        "subjects": subjects,
        "retention": "limits",
        "storage": "file",
        "num_replicas": shape.replicas,
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": max_bytes,
        "max_age": 0,
        "max_msg_size": -1,
        "discard": "new",
        "allow_direct": true,
    })
}

async fn find_or_make(api: &Api, stream: &str, config: &Value) -> Result<StreamInfo, OpenError> {
    let failed = |error| api_error(api, stream, error);
    match api.stream_info(stream).await {
        Ok(info) => return Ok(info),
        Err(error) if error.is(code::STREAM_NOT_FOUND) => {}
        Err(error) => return Err(failed(error)),
    }
    match api.ask::<StreamInfo>(&format!("STREAM.CREATE.{stream}"), config).await {
        Ok(_) => {}
        // Somebody else was quicker, or the answer to an earlier try was lost.
        Err(error) if error.is(code::STREAM_NAME_EXISTS) => {}
        Err(error) => return Err(failed(error)),
    }
    api.stream_info(stream).await.map_err(failed)
}

fn metadata<'a>(info: &'a StreamInfo, key: &str) -> Option<&'a str> {
    info.config.get("metadata")?.get(key)?.as_str()
}

fn start_of(info: &StreamInfo) -> Option<Start> {
    let incarnation = u32::from_str_radix(metadata(info, INCARNATION)?, 16).ok()?;
    let first = metadata(info, FIRST)?.parse().ok()?;
    Some(Start { incarnation, first })
}

fn foreign(stream: &str) -> OpenError {
    OpenError::Foreign { stream: stream.to_owned() }
}

fn check_format(stream: &str, info: &StreamInfo) -> Result<(), OpenError> {
    match metadata(info, FORMAT) {
        Some(FORMAT_VERSION) => {}
        Some(newer) => {
            return Err(OpenError::NewerFormat {
                stream: stream.to_owned(),
                found: newer.to_owned(),
            });
        }
        None => return Err(foreign(stream)),
    }
    let mut wrong = String::new();
    for finding in limits(stream, info).iter().filter(|finding| finding.severity == Severity::Wrong)
    {
        // Writing to a text cannot fail.
        let _ = write!(wrong, "{}{}", if wrong.is_empty() { "" } else { "; " }, finding.text);
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(OpenError::Unsafe { stream: stream.to_owned(), reason: wrong })
    }
}

/// What of a stream's limits would drop what was not read yet, or is not durable.
pub(super) fn limits(stream: &str, info: &StreamInfo) -> Vec<Finding> {
    let config = &info.config;
    let number = |key: &str| config.get(key).and_then(Value::as_i64).unwrap_or(0);
    let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default();
    let flag = |key: &str| config.get(key).and_then(Value::as_bool).unwrap_or(false);
    let limited = number("max_bytes") > 0 || number("max_msgs") > 0;
    let checks = [
        (
            text("storage") == "memory",
            "is kept in memory and is gone when the server ends: make it again with storage `file`",
        ),
        (
            text("discard") != "new" && limited,
            "drops its oldest records at its limits, read or not: set discard to `new`",
        ),
        (number("max_age") > 0, "drops records by age (max_age), read or not: set it to 0"),
        (
            number("max_msgs_per_subject") > 0 && !stream.ends_with("-state"),
            "drops records by subject (max_msgs_per_subject): set it to -1",
        ),
        (text("retention") != "limits", "does not keep what was read: retention must be `limits`"),
        (!flag("allow_direct"), "cannot be read directly: set allow_direct"),
        (flag("sealed"), "is sealed: nothing can be written to it"),
        (flag("deny_purge"), "cannot be purged, and so not be trimmed: it must be made anew"),
        (flag("deny_delete"), "takes no deletions: it must be made anew"),
        (flag("no_ack"), "does not acknowledge: unset no_ack"),
        (text("persist_mode") == "async", "acknowledges before it has written: unset persist_mode"),
    ];
    let wrong = |(is_wrong, text): (bool, &str)| {
        is_wrong.then(|| Finding::wrong(format!("stream {stream} {text}")))
    };
    checks.into_iter().filter_map(wrong).collect()
}

/// Why a stream cannot be used, in the words of who has to mend it.
pub(super) fn api_error(api: &Api, stream: &str, error: ApiError) -> OpenError {
    let url = api.connection.url().to_owned();
    match error {
        ApiError::NobodyListens(_) => OpenError::NoJetStream { url },
        error if error.is(code::NOT_ENABLED) || error.is(code::NOT_ENABLED_FOR_ACCOUNT) => {
            OpenError::NoJetStream { url }
        }
        ApiError::Silent(reason) => OpenError::Unreachable { url, reason },
        error => OpenError::Stream { stream: stream.to_owned(), reason: error.to_string() },
    }
}
