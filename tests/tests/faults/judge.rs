//! What came out of a cell, compared with what went in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::task::block_in_place;
use tripline_tests::letters::resolve_unknown;
use tripline_tests::load::number_in;
use tripline_tests::set_checker::{Delivery, Findings, Sent, Times, check};

use crate::cell::World;
use crate::producers::Published;
use crate::report::{Counted, Counts};
use crate::source::Source;
use tripline_tests::target::Request;

/// How often it is looked whether everything has come out.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the daemon may take for what is left: SQS keeps messages that a dead daemon had for
/// two minutes.
const SETTLE: Duration = Duration::from_secs(240);

type CameOut = BTreeMap<String, Vec<Delivery>>;

impl World<'_> {
    /// Waits until everything has come out, and compares it with what went in.
    pub async fn judge(&self, published: Published) -> anyhow::Result<Counts> {
        let Published { mut sent, unanswered, put_off } = published;
        let daemon = self.daemon()?;
        let mut unknown = 0;
        let deadline = Instant::now() + SETTLE;
        let (ticks, came_out, requests) = loop {
            daemon.settled(SETTLE).await?;
            unknown += resolve_unknown(&self.place, daemon, SETTLE).await?;
            for (source, sent) in &mut sent {
                if source.forgets(self.cell.fault) {
                    sent.acknowledged.extend(self.ids(*source)?);
                }
            }
            // They go on: of these, the newest may not have come out yet.
            let ticks = self.ticks()?;
            let came_out = block_in_place(|| self.tenant.all_deliveries())?;
            let requests = self.target.done();
            let is_missing = |source: Source, sent: &Sent| {
                let workflows = deliveries(&came_out, source);
                !check(&self.submitted(sent), workflows, Times::Once).lost.is_empty()
                    || !self.asked(source, sent, &requests).lost.is_empty()
            };
            let missing = sent.iter().any(|(source, sent)| is_missing(*source, sent))
                || is_missing(Source::Cron, &ticks);
            if !missing || Instant::now() > deadline {
                break (ticks, came_out, requests);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        let mut counts = Counts { unknown, unanswered, put_off, ..Counts::default() };
        for (source, sent) in &sent {
            counts.add(self.counted(*source, sent, deliveries(&came_out, *source))?);
            counts.requests.add(self.asked(*source, sent, &requests));
        }
        let newest = ticks.events.keys().next_back().cloned().unwrap_or_default();
        // Not the ticks that came after it was looked which there are.
        let ticked = deliveries(&came_out, Source::Cron).iter().filter(|d| d.event <= newest);
        let ticked: Vec<Delivery> = ticked.cloned().collect();
        counts.add(self.counted(Source::Cron, &ticks, &ticked)?);
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        requests.iter().for_each(|request| *times.entry(&request.action).or_default() += 1);
        counts.repeated = times.values().filter(|times| **times > 1).count();
        Ok(counts)
    }

    /// What became of what one source has acknowledged.
    fn counted(
        &self,
        source: Source,
        sent: &Sent,
        came_out: &[Delivery],
    ) -> anyhow::Result<Counted> {
        ensure!(!sent.acknowledged.is_empty(), "nothing came in from {source}");
        let submitted = self.submitted(sent);
        Ok(Counted {
            source,
            acknowledged: sent.acknowledged.len(),
            submitted: submitted.acknowledged.len(),
            findings: check(&submitted, came_out, Times::Once),
        })
    }

    /// The part of it that becomes workflows.
    fn submitted(&self, sent: &Sent) -> Sent {
        let has = |correlation: &str| number_in(correlation).is_none_or(|n| self.share.has(n));
        let events: BTreeMap<_, _> = sent
            .events
            .iter()
            .filter(|(_, correlation)| has(correlation))
            .map(|(event, correlation)| (event.clone(), correlation.clone()))
            .collect();
        let acknowledged = sent.acknowledged.iter().filter(|event| events.contains_key(*event));
        Sent { acknowledged: acknowledged.cloned().collect(), events }
    }

    /// What is wrong with the requests that the source's events were to make.
    fn asked(&self, source: Source, sent: &Sent, requests: &[Request]) -> Findings {
        if !self.share.asks_for(source) {
            return Findings::default();
        }
        let events: BTreeMap<&str, &str> =
            sent.events.iter().map(|(id, correlation)| (&**correlation, &**id)).collect();
        let delivery = |request: &Request| {
            let Request { action, correlation, .. } = request.clone();
            let event = events.get(&*correlation).map_or(&*correlation, |id| *id).to_owned();
            Delivery { event, action, correlation }
        };
        let of_source = requests.iter().filter(|request| request.path == source.name());
        check(sent, &of_source.map(delivery).collect::<Vec<_>>(), Times::AtLeastOnce)
    }

    /// The ids of the events of a source that are in the log.
    fn ids(&self, source: Source) -> anyhow::Result<Vec<String>> {
        let of = ["events", "--source", source.name(), "--limit", "1000000"];
        let id = |line: &serde_json::Value| {
            line["id"].as_str().map(str::to_owned).context("an event has no id")
        };
        self.place.lines(&of)?.iter().map(id).collect()
    }

    /// The ticks that must have come out: every second between the first and the last.
    fn ticks(&self) -> anyhow::Result<Sent> {
        let mut seconds = Vec::new();
        for id in self.ids(Source::Cron)? {
            seconds.push(id.parse::<jiff::Timestamp>()?.as_second());
        }
        let (Some(first), Some(last)) = (seconds.iter().min(), seconds.iter().max()) else {
            return Ok(Sent::default());
        };
        let mut sent = Sent::default();
        for second in *first..=*last {
            let id = jiff::Timestamp::from_second(second)?.to_string();
            sent.events.insert(id.clone(), id.clone());
            sent.acknowledged.insert(id);
        }
        Ok(sent)
    }
}

/// The workflows of a source's sensor.
fn deliveries(came_out: &CameOut, source: Source) -> &[Delivery] {
    came_out.get(source.name()).map(Vec::as_slice).unwrap_or_default()
}
