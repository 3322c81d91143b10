//! Which records a listing shows.

use tripline_event::event::Links;
use tripline_event::{Action, CorrelationId, Event, EventKey, Outcome, Timestamp, TriggerName};
use tripline_sensors::path::Path;

use super::glob;
use super::item::{Record, facts};

/// What a record must fit to be shown; a field that is not set fits everything. Names
/// and ids may hold `*` and `?`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Not before this.
    pub since: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
    /// The namespace of the event source or sensor.
    pub namespace: Option<String>,
    /// The event source; of an action, that of one of its events.
    pub source: Option<String>,
    /// The event's name; likewise.
    pub event: Option<String>,
    /// The sensor. Attempts and phases of workflows name no sensor, and do not fit.
    pub sensor: Option<String>,
    /// The trigger; likewise.
    pub trigger: Option<String>,
    /// The correlation id: a record's own, or that of its chain.
    pub correlation: Option<String>,
    /// What the event's data must hold; of an action, that of one of its events.
    pub matches: Vec<Match>,
    /// In EVENTS, the records of time and plans too.
    pub markers: bool,
}

/// A value in an event's data: `body.sha=4f2a*`.
#[derive(Clone, Debug)]
pub struct Match {
    text: String,
    path: Path,
    glob: String,
}

impl PartialEq for Match {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Match {}

impl std::str::FromStr for Match {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((path, glob)) = text.split_once('=').filter(|(path, _)| !path.is_empty()) else {
            let message = "expected PATH=PATTERN, as in body.sha=4f2a*";
            return Err(format!("`{text}` is no match: {message}"));
        };
        let path = Path::compile(path).map_err(|error| format!("`{path}`: {error}"))?;
        Ok(Self { text: text.to_owned(), path, glob: glob.to_owned() })
    }
}

impl std::fmt::Display for Match {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Match {
    /// Whether the value at the path is there in `data`, which is JSON, and its text fits
    /// the pattern. Of objects and lists, the text is their JSON.
    pub fn fits(&self, data: &str) -> bool {
        self.path.find(data).is_some_and(|found| glob::fits(&self.glob, &found.text()))
    }
}

impl Filter {
    /// Whether the record fits, as far as it can tell itself: for an action, `matches` is
    /// about the data of its events, which it does not hold.
    pub fn fits(&self, record: &Record) -> bool {
        let time = record.time();
        if self.since.is_some_and(|since| time < since)
            || self.until.is_some_and(|until| time >= until)
        {
            return false;
        }
        match record {
            Record::Event(event) => self.fits_event(event),
            Record::Time(_) | Record::Plan { .. } | Record::Clear { .. } => {
                self.markers && self.is_about_time_alone()
            }
            Record::Action(action) => self.fits_action(action),
            Record::Outcome(outcome) => self.fits_outcome(outcome),
        }
    }

    /// Whether nothing but times is asked for.
    fn is_about_time_alone(&self) -> bool {
        let Self { namespace, source, event, sensor, trigger, correlation, matches, .. } = self;
        [namespace, source, event, sensor, trigger, correlation].iter().all(|part| part.is_none())
            && matches.is_empty()
    }

    fn fits_event(&self, event: &Event) -> bool {
        self.sensor.is_none()
            && self.trigger.is_none()
            && self.fits_key(&event.key)
            && self.fits_links(&event.links)
            && self.fits_data(event)
    }

    /// Whether the event's data holds everything that `matches` asks for.
    pub fn fits_data(&self, event: &Event) -> bool {
        if self.matches.is_empty() {
            return true;
        }
        event.data_text().is_some_and(|data| self.matches.iter().all(|each| each.fits(data)))
    }

    fn fits_action(&self, action: &Action) -> bool {
        let any = |fits: &dyn Fn(&EventKey) -> bool| action.events.iter().any(|e| fits(&e.key));
        self.fits_trigger(&action.trigger)
            && part_fits(self.namespace.as_deref(), &action.trigger.namespace)
            && (self.source.is_none() && self.event.is_none()
                || any(&|key| self.fits_source_and_event(key)))
            && (self.fits_links(&action.links)
                || action.events.iter().any(|event| self.fits_correlation(&event.correlation)))
    }

    fn fits_outcome(&self, outcome: &Outcome) -> bool {
        let facts = facts(&outcome.kind);
        let key = match (&facts.keys[..], self.source.is_some() || self.event.is_some()) {
            (_, false) => true,
            (keys, true) => keys.iter().any(|key| self.fits_source_and_event(key)),
        };
        let trigger = match (facts.trigger, self.sensor.is_some() || self.trigger.is_some()) {
            (_, false) => true,
            (Some(trigger), true) => self.fits_trigger(trigger),
            (None, true) => false,
        };
        let namespace = match (facts.namespace, &self.namespace) {
            (_, None) => true,
            (Some(namespace), Some(pattern)) => glob::fits(pattern, namespace),
            (None, Some(_)) => false,
        };
        let correlation = match (&outcome.correlation, &self.correlation) {
            (_, None) => true,
            (Some(correlation), Some(_)) => self.fits_correlation(correlation),
            (None, Some(_)) => false,
        };
        key && trigger && namespace && correlation
    }

    fn fits_key(&self, key: &EventKey) -> bool {
        part_fits(self.namespace.as_deref(), &key.namespace) && self.fits_source_and_event(key)
    }

    fn fits_source_and_event(&self, key: &EventKey) -> bool {
        part_fits(self.source.as_deref(), &key.source)
            && part_fits(self.event.as_deref(), &key.name)
    }

    fn fits_trigger(&self, trigger: &TriggerName) -> bool {
        part_fits(self.sensor.as_deref(), &trigger.sensor)
            && part_fits(self.trigger.as_deref(), &trigger.trigger)
    }

    fn fits_links(&self, links: &Links) -> bool {
        self.fits_correlation(&links.correlation) || self.fits_correlation(links.root())
    }

    fn fits_correlation(&self, correlation: &CorrelationId) -> bool {
        part_fits(self.correlation.as_deref(), correlation.as_str())
    }

    /// Texts of which each must stand in a record for it to fit, where that can be told
    /// from the bytes alone.
    pub(super) fn plain_texts(&self) -> Vec<&str> {
        let Self { source, event, sensor, trigger, correlation, .. } = self;
        [source, event, sensor, trigger, correlation]
            .into_iter()
            .filter_map(|part| part.as_deref())
            .filter(|part| glob::is_plain(part))
            .collect()
    }

    /// The filter as the parameters of a URL, so that [`Self::from_pairs`] gives it back.
    pub fn to_pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs: Vec<(&'static str, String)> = Vec::new();
        let times = [("since", self.since), ("until", self.until)];
        pairs.extend(times.into_iter().filter_map(|(k, v)| v.map(|v| (k, v.to_string()))));
        let texts = [
            ("namespace", &self.namespace),
            ("source", &self.source),
            ("event", &self.event),
            ("sensor", &self.sensor),
            ("trigger", &self.trigger),
            ("correlation", &self.correlation),
        ];
        pairs.extend(texts.into_iter().filter_map(|(k, v)| v.clone().map(|v| (k, v))));
        pairs.extend(self.matches.iter().map(|each| ("match", each.to_string())));
        if self.markers {
            pairs.push(("markers", "true".to_owned()));
        }
        pairs
    }

    /// Reads what [`Self::to_pairs`] wrote; parameters of other names are left alone.
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, String> {
        let mut filter = Self::default();
        for (name, value) in pairs {
            let time = || {
                let error = |_| format!("`{name}`: `{value}` is no time (RFC 3339)");
                value.parse::<Timestamp>().map(Some).map_err(error)
            };
            let text = || Some(value.to_owned());
            match name {
                "since" => filter.since = time()?,
                "until" => filter.until = time()?,
                "namespace" => filter.namespace = text(),
                "source" => filter.source = text(),
                "event" => filter.event = text(),
                "sensor" => filter.sensor = text(),
                "trigger" => filter.trigger = text(),
                "correlation" => filter.correlation = text(),
                "match" => filter.matches.push(value.parse()?),
                "markers" => filter.markers = value == "true",
                _ => {}
            }
        }
        Ok(filter)
    }
}

fn part_fits(pattern: Option<&str>, text: &str) -> bool {
    pattern.is_none_or(|pattern| glob::fits(pattern, text))
}
