//! `tripline demo`: the main job, shown as it happens.
//!
//! It starts the real daemon on the example that is inside the binary, sends it what a
//! build would send, and prints what becomes of it. In a terminal it uses colour; piped,
//! it is plain lines.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Color, Style};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tripline_config::Input;
use tripline_event::outcome::TargetResult;
use tripline_event::{Action, Clock, Event, Position, SystemClock};
use tripline_sensors::view::EventView;
use tripline_triggers::executor::{Observer, Success};

use crate::daemon::{Daemon, LOCAL_TARGET, Options};
use crate::engine::observer::EngineObserver;
use crate::query::Step;
use crate::query::trace::{Trace, trace};
use crate::query::workflow;

/// The example, as it is in the repository.
pub const EXAMPLE: [(&str, &str); 2] = [
    ("event-source.yaml", include_str!("../examples/build-then-deploy/event-source.yaml")),
    ("sensor.yaml", include_str!("../examples/build-then-deploy/sensor.yaml")),
];

const PORT: u16 = 12000;
/// Nothing of the demo takes as long as this.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the demo sees of the daemon.
enum Seen {
    Evaluated(Box<Event>, usize),
    Decided(Box<Action>),
    Submitted(TargetResult),
}

struct Audience(mpsc::Sender<(Instant, Seen)>);

impl Audience {
    fn tell(&self, seen: Seen) {
        // When the demo does not listen any more, there is nothing to tell.
        let _ = self.0.try_send((Instant::now(), seen));
    }
}

impl EngineObserver for Audience {
    fn on_evaluated(&self, event: &Event, actions: usize) {
        self.tell(Seen::Evaluated(Box::new(event.clone()), actions));
    }

    fn on_decided(&self, _: Position, action: &Action) {
        self.tell(Seen::Decided(Box::new(action.clone())));
    }
}

impl Observer for Audience {
    fn on_succeeded(&self, _: &Action, success: &Success<'_>) {
        self.tell(Seen::Submitted(success.result.clone()));
    }
}

/// Runs the demo on the data directory `data` and writes to `out`.
///
/// # Errors
/// The daemon cannot start, or does not do its job.
pub async fn demo(data: PathBuf, out: &mut dyn Write, colour: bool) -> anyhow::Result<()> {
    let (sender, receiver) = mpsc::channel(256);
    let mut options = Options::new(inputs(), data.clone());
    options.watch = false;
    options.guest = Some(Arc::new(Audience(sender)));
    // Another program may have the example's port: any free one does.
    if std::net::TcpListener::bind(("127.0.0.1", PORT)).is_err() {
        options.listen_port = |_| 0;
    }
    let daemon = Daemon::start(options).await.context("the demo cannot start")?;
    let address = *daemon.addresses().get(&PORT).context("the webhook does not listen")?;
    let mut show = Show { out, colour, seen: receiver, began: Instant::now() };
    show.opening(&data, &format!("http://{address}/builds"))?;
    let correlation = format!("build-{}", SystemClock.now().as_second() % 1_000_000);
    let failed = json!({"action": "failed", "repository": "shop", "sha": "9be00d1", "correlation_id": format!("{correlation}-failed")});
    let completed = json!({"action": "completed", "repository": "shop", "sha": "4f2a91c", "correlation_id": correlation});
    show.publish(
        &address.to_string(),
        &daemon,
        "A build failed. Its job says so, and goes on:",
        &failed,
    )
    .await?;
    show.publish(&address.to_string(), &daemon, "Another one completed:", &completed).await?;
    show.timeline(&daemon, &correlation).await?;
    show.closing(&data, &correlation)?;
    let stop = CancellationToken::new();
    stop.cancel();
    daemon.run(stop).await.map(drop)
}

fn inputs() -> Vec<Input> {
    EXAMPLE
        .iter()
        .map(|(name, text)| Input::text(&format!("examples/build-then-deploy/{name}"), text))
        .collect()
}

struct Show<'a> {
    out: &'a mut dyn Write,
    colour: bool,
    seen: mpsc::Receiver<(Instant, Seen)>,
    began: Instant,
}

impl Show<'_> {
    fn paint(&self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    fn opening(&mut self, data: &Path, url: &str) -> anyhow::Result<()> {
        let title = self.bold("Tripline: a build completes, a deployment is submitted.");
        writeln!(self.out, "{title}\n")?;
        writeln!(
            self.out,
            "  files    examples/build-then-deploy (inside this program): an EventSource, a Sensor"
        )?;
        writeln!(self.out, "  webhook  {url}")?;
        writeln!(
            self.out,
            "  target   {LOCAL_TARGET}: workflows are recorded here, no cluster is touched"
        )?;
        writeln!(self.out, "  data     {}\n", data.display())?;
        Ok(())
    }

    /// A line of what happens: how long after the message was sent, what, and the details.
    fn step(
        &mut self,
        at: Instant,
        what: &str,
        colour: AnsiColor,
        details: &str,
    ) -> anyhow::Result<()> {
        let after = at.saturating_duration_since(self.began).as_secs_f64() * 1e3;
        let what =
            self.paint(Style::new().fg_color(Some(Color::Ansi(colour))), &format!("{what:<9}"));
        writeln!(self.out, "  {after:>7.2} ms  {what}  {details}")?;
        Ok(())
    }

    async fn publish(
        &mut self,
        address: &str,
        daemon: &Daemon,
        title: &str,
        body: &Value,
    ) -> anyhow::Result<()> {
        let title = self.bold(title);
        writeln!(self.out, "{title}")?;
        writeln!(
            self.out,
            "$ curl http://{address}/builds -H 'content-type: application/json' -d '{body}'"
        )?;
        self.began = Instant::now();
        let client = reqwest::Client::new();
        let answer = client.post(format!("http://{address}/builds")).json(body).send();
        let answer = tokio::time::timeout(PATIENCE, answer)
            .await
            .context("the webhook does not answer")??;
        let answered = Instant::now();
        let header = |name: &str| {
            let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or("?").to_owned()
        };
        let (status, id) = (answer.status(), header("x-tripline-event-id"));
        let correlation = header("x-tripline-correlation-id");
        self.step(self.began, "received", AnsiColor::Cyan, "event ci/builds/completed")?;
        let details = format!(
            "synced to disk, and only now answered {}: id {id}, correlation id {correlation}",
            status.as_u16()
        );
        self.step(answered, "durable", AnsiColor::Cyan, &details)?;
        self.follow(daemon).await?;
        writeln!(self.out)?;
        Ok(())
    }

    /// Shows what becomes of the event, to the end.
    async fn follow(&mut self, daemon: &Daemon) -> anyhow::Result<()> {
        let mut open = None;
        while open != Some(0) {
            let seen = tokio::time::timeout(PATIENCE, self.seen.recv()).await;
            let Ok(Some((at, seen))) = seen else {
                bail!("the daemon does not go on with the event")
            };
            match seen {
                Seen::Evaluated(event, actions) => {
                    self.filters(at, daemon, &event)?;
                    if actions == 0 {
                        self.step(
                            at,
                            "nothing",
                            AnsiColor::Yellow,
                            "no trigger fires, and `tripline sensors` counts it",
                        )?;
                    }
                    open = Some(actions);
                }
                Seen::Decided(action) => {
                    let details = format!("trigger {}, action {}", action.trigger, action.id);
                    self.step(at, "decided", AnsiColor::Blue, &details)?;
                }
                Seen::Submitted(result) => {
                    self.submitted(at, daemon, &result).await?;
                    open = open.map(|open| open - 1);
                }
            }
        }
        Ok(())
    }

    fn filters(&mut self, at: Instant, daemon: &Daemon, event: &Event) -> anyhow::Result<()> {
        for (name, loaded) in &daemon.configuration().sensors {
            for dependency in &loaded.compiled.sensor.dependencies {
                if dependency.key != event.key {
                    continue;
                }
                let mut trace = tripline_sensors::filter::Trace::default();
                dependency.filter.evaluate(&EventView::of(event), Some(&mut trace));
                for step in trace.steps {
                    let found = step
                        .found
                        .map_or_else(|| "nothing".to_owned(), |found| format!("`{found}`"));
                    let verdict = if step.pass { "pass" } else { "no" };
                    let details = format!(
                        "sensor {name}, dependency {}: {} is {found}, wanted {}: {verdict}",
                        dependency.name, step.path, step.wanted
                    );
                    let colour = if step.pass { AnsiColor::Green } else { AnsiColor::Yellow };
                    self.step(at, "filter", colour, &details)?;
                }
            }
        }
        Ok(())
    }

    async fn submitted(
        &mut self,
        at: Instant,
        daemon: &Daemon,
        result: &TargetResult,
    ) -> anyhow::Result<()> {
        let TargetResult::Workflow { target, namespace, name, .. } = result else { return Ok(()) };
        let details = format!("Workflow {namespace}/{name} in target {target}");
        self.step(at, "submitted", AnsiColor::Green, &details)?;
        let Some(workflow) = workflow::get(daemon.bus(), namespace, name).await? else {
            bail!("workflow {namespace}/{name} was submitted and is not there");
        };
        let parameters =
            workflow.object.as_ref().and_then(|it| it.pointer("/spec/arguments/parameters"));
        for parameter in parameters.and_then(Value::as_array).into_iter().flatten() {
            let text = |field: &str| {
                parameter.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            writeln!(
                self.out,
                "  {:>10}  {:<9}  parameter {} = {}",
                "",
                "",
                text("name"),
                text("value")
            )?;
        }
        Ok(())
    }

    async fn timeline(&mut self, daemon: &Daemon, correlation: &str) -> anyhow::Result<()> {
        let title = self.bold(&format!(
            "The timeline of {correlation}, as `tripline trace {correlation}` shows it:"
        ));
        writeln!(self.out, "{title}")?;
        let bus = daemon.bus();
        let began = Instant::now();
        loop {
            // The outcome is written right after the workflow; it is waited for.
            match trace(&*bus, correlation).await? {
                Trace::Found(timeline)
                    if timeline.entries.iter().any(|entry| entry.step == Step::Succeeded) =>
                {
                    for line in timeline.text(self.colour).lines() {
                        writeln!(self.out, "  {line}")?;
                    }
                    writeln!(self.out)?;
                    return Ok(());
                }
                _ if began.elapsed() > PATIENCE => bail!("the chain of {correlation} has no end"),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    fn closing(&mut self, data: &Path, correlation: &str) -> anyhow::Result<()> {
        let title = self.bold("Try next:");
        writeln!(self.out, "{title}")?;
        let (program, data) = (program(), data.display());
        writeln!(
            self.out,
            "  {program} trace {correlation} --data {data}   # this chain, from the logs on disk"
        )?;
        writeln!(self.out, "  {program} workflows list --data {data}")?;
        writeln!(
            self.out,
            "  {program} init --dir my-first && {program} run my-first   # your own"
        )?;
        Ok(())
    }
}

/// The program as it was called.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "tripline".to_owned())
}
