//! `status`, `sensors`, `graph`.

use tripline_event::{Clock as _, SystemClock, Timestamp};

use super::args::GraphArgs;
use super::dispatch::draw;
use super::output::Output;
use super::{CommandError, Exit};
use crate::control::Backend;
use crate::control::api::{QueueStatus, SensorStatus, Status};
use crate::query::relative::{age, span};
use crate::query::timeline::several;

type Answer = Result<Exit, CommandError>;

/// `status`. Exits with 1 where the daemon is not ready or none runs.
pub(super) async fn status(backend: &Backend, output: &mut Output) -> Answer {
    let status = backend.status().await?;
    if output.is_json() {
        output.json(&status)?;
    } else {
        print(&status, backend.now(), output)?;
    }
    Ok(if status.running && status.not_ready.is_empty() { Exit::Done } else { Exit::Findings })
}

fn print(status: &Status, now: Timestamp, output: &mut Output) -> std::io::Result<()> {
    if status.running {
        let uptime = span(jiff::SignedDuration::from_millis(
            i64::try_from(status.uptime_ms).unwrap_or(i64::MAX),
        ));
        output.line(format_args!(
            "tripline {}, up {uptime}, plan {}, workflows go to {}",
            status.version, status.plan, status.target
        ))?;
        let ready = if status.not_ready.is_empty() {
            output.good("ready")
        } else {
            output.bad(&format!("not ready: {}", status.not_ready.join("; ")))
        };
        output.line(ready)?;
        running(status, now, output)?;
    } else {
        let text = output.bad("no daemon runs");
        output.line(text)?;
    }
    if status.dead_letters.is_empty() {
        output.line("dead letters: none")?;
    } else {
        let counts: Vec<String> =
            status.dead_letters.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
        let text = output.bad(&format!("dead letters: {}", counts.join(", ")));
        output.line(text)?;
    }
    output.line("")?;
    output.table(
        ["log", "records", "bytes", "oldest", "newest"],
        status.logs.iter().map(|log| {
            let ago = |at: Option<Timestamp>| at.map(|at| format!("{} ago", age(at, now)));
            [
                log.log.clone(),
                log.records.to_string(),
                log.bytes.to_string(),
                ago(log.oldest).unwrap_or_default(),
                ago(log.newest).unwrap_or_default(),
            ]
        }),
    )
}

fn running(status: &Status, now: Timestamp, output: &mut Output) -> std::io::Result<()> {
    let down = status.sources.iter().filter(|source| !source.ready).count();
    output.line(format_args!(
        "{} ({down} down), {}, {} not evaluated yet",
        several(status.sources.len(), "source"),
        several(status.sensors, "sensor"),
        several(usize::try_from(status.lag).unwrap_or(usize::MAX), "record"),
    ))?;
    if let Some(why) = &status.held_reload {
        let text =
            output.bad(&format!("changed files wait for `tripline reload --confirm`: {why}"));
        output.line(text)?;
    }
    for paused in &status.paused {
        let until = paused.until.map(|at| format!(" until {at:.0}")).unwrap_or_default();
        let why = paused.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let text = format!("paused by {}{until}: {}{why}", paused.who, paused.scope);
        output.line(output.bad(&crate::query::item::shortened(&text, 400)))?;
    }
    for circuit in &status.circuits {
        let ago = age(circuit.since, now);
        let text = format!(
            "target {} does not answer for {ago}, {}: {}",
            circuit.target,
            several(circuit.failures as usize, "failure"),
            circuit.error
        );
        output.line(output.bad(&crate::query::item::shortened(&text, 400)))?;
    }
    for object in &status.invalid {
        let older = if object.older_in_force { " (an older version is in force)" } else { "" };
        let text = format!("{} {} {}{older}", object.kind, object.name, object.place);
        output.line(format_args!("{}: {}", output.bad(&text), object.message))?;
    }
    if !status.sources.is_empty() {
        output.line("")?;
        output.table(
            ["source", "kind", "ready", "received", "detail"],
            status.sources.iter().map(|source| {
                [
                    source.key.to_string(),
                    source.kind.clone(),
                    if source.ready { "yes" } else { "NO" }.to_owned(),
                    source.received.to_string(),
                    source.detail.clone(),
                ]
            }),
        )?;
    }
    let busy: Vec<&QueueStatus> = status.triggers.iter().filter(|queue| is_busy(queue)).collect();
    if !busy.is_empty() {
        output.line("")?;
        output.table(
            ["trigger", "waiting", "running", "retrying", "oldest", "held up", "last error"],
            busy.into_iter().map(|queue| {
                [
                    queue.trigger.to_string(),
                    queue.waiting.to_string(),
                    queue.in_flight.to_string(),
                    queue.retrying.to_string(),
                    queue.oldest.map(|at| age(at, now)).unwrap_or_default(),
                    held_up(queue, now),
                    queue.last_error.clone().unwrap_or_default(),
                ]
            }),
        )?;
    }
    output.line("")
}

/// Why the next action of the queue is not started.
fn held_up(queue: &QueueStatus, now: Timestamp) -> String {
    match (&queue.paused, &queue.hold) {
        (Some(paused), _) => paused.clone(),
        (None, Some(hold)) => match hold.until {
            Some(until) => format!("{} (for {})", hold.reason, span(until.duration_since(now))),
            None => hold.reason.clone(),
        },
        (None, None) => String::new(),
    }
}

/// Whether there is anything to say about the queue.
fn is_busy(queue: &QueueStatus) -> bool {
    queue.waiting + queue.in_flight + queue.retrying > 0
        || queue.last_error.is_some()
        || queue.paused.is_some()
}

/// `sensors`.
pub(super) async fn sensors(backend: &Backend, output: &mut Output) -> Answer {
    let sensors = backend.sensors().await?;
    let now = backend.now();
    let header = ["sensor", "waits for", "triggers", "fired", "passed", "filtered", "last fired"];
    output.list(&sensors, "no sensors", header, |sensor| {
        [
            sensor.name.to_string(),
            dependencies(sensor, now),
            sensor.triggers.join(", "),
            sensor.fired.to_string(),
            sensor.passed.to_string(),
            sensor.filtered.to_string(),
            sensor.last_fired.map(|at| format!("{} ago", age(at, now))).unwrap_or_default(),
        ]
    })?;
    Ok(Exit::Done)
}

fn dependencies(sensor: &SensorStatus, now: Timestamp) -> String {
    let each = sensor.dependencies.iter().map(|dependency| match &dependency.held {
        Some(held) => format!("{} (held for {})", dependency.name, age(held.since, now)),
        None => dependency.name.clone(),
    });
    each.collect::<Vec<_>>().join(", ")
}

/// `graph` of a running daemon.
pub(super) fn graph(args: GraphArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let since = args.since.map(|when| when.before(SystemClock.now()));
        draw(&backend.graph(since).await?, args.format, output)?;
        Ok(Exit::Done)
    }
}
