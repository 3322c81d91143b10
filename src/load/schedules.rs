//! CronWorkflows, Schedules, and the calendars of holidays that these leave out.

use std::collections::BTreeMap;

use serde_json::Value;
use tripline_config::{Dialect, FieldPath, Object, Problem, decode};
use tripline_event::{DefinitionHash, EventKey, ObjectName};
use tripline_schedules::exclusion::{Exclusions, HolidayCalendar};

use super::{LoadedSensor, Loader};
use crate::codes;
use crate::engine::plans::Definition;
use crate::engine::schedules::Kind;
use crate::engine::schedules::lowered::HOLIDAYS;

impl Loader<'_> {
    /// Schedules are looked at when everything is there that they may refer to.
    pub(super) fn schedules(&mut self, objects: Vec<Object>) {
        let (calendars, schedules): (Vec<_>, Vec<_>) =
            objects.into_iter().partition(|object| object.kind == "HolidayCalendar");
        let holidays: BTreeMap<ObjectName, HolidayCalendar> = calendars
            .iter()
            .filter_map(|object| Some((object.name.clone(), self.holidays(object)?)))
            .collect();
        for object in schedules {
            self.schedule(object, &holidays);
        }
    }

    fn holidays(&mut self, object: &Object) -> Option<HolidayCalendar> {
        let at = FieldPath::root().key("spec");
        let null = Value::Null;
        let spec = object.value.get("spec").unwrap_or(&null);
        let (calendar, mut problems) =
            match decode::<HolidayCalendar>(spec, &at, Dialect::of(&object.api_version)) {
                Ok((calendar, warnings)) => (Some(calendar), warnings),
                Err(problems) => (None, problems),
            };
        if let Some(calendar) = &calendar {
            let mut errors = Vec::new();
            Exclusions::compile([(at, calendar)], &mut errors);
            problems.extend(errors.into_iter().map(|error| {
                let problem = Problem::error(codes::SCHEDULE, error.path, error.message);
                problem.help(error.help.unwrap_or_default())
            }));
        }
        let refused = self.refuse(object, problems);
        calendar.filter(|_| !refused)
    }

    fn schedule(&mut self, object: Object, holidays: &BTreeMap<ObjectName, HolidayCalendar>) {
        let Ok(kind) = object.kind.parse::<Kind>() else { return };
        let name = kind.source_of(&object.name);
        let at = FieldPath::root().key("metadata").key("name");
        let mut problems = Vec::new();
        if self.configuration.sensors.contains_key(&name)
            || self.configuration.sources.contains_key(&name)
        {
            let message =
                format!("there is a Sensor or EventSource `{name}`, which is what this becomes");
            problems.push(Problem::error(codes::CLASH, at, message).help("rename one of them"));
        }
        let (hash, json) = object.definition();
        let (hash, json) = with_holidays(&object, holidays).unwrap_or((hash, json));
        let (compiled, found) = match serde_json::from_str::<Value>(&json) {
            Ok(value) => self.definitions.compile(&name, &hash, &value),
            Err(error) => {
                let at = FieldPath::root().key("spec");
                (None, vec![Problem::error(codes::NO_SPEC, at, error.to_string())])
            }
        };
        problems.extend(found);
        let refused = self.refuse(&object, problems);
        if let Some(compiled) = compiled.filter(|_| !refused) {
            let definition = Definition { name: name.clone(), hash, json: json.into() };
            self.configuration.sensors.insert(name, LoadedSensor { definition, compiled });
        }
        self.remember(object);
    }

    /// Whether the event is one of a schedule's own.
    pub(super) fn is_of_schedule(&self, key: &EventKey) -> bool {
        let source = ObjectName::new(&key.namespace, &key.source);
        let sensor = self.configuration.sensors.get(&source);
        sensor.is_some_and(|sensor| sensor.compiled.schedule.is_some())
    }
}

/// The definition with the calendars that it names in it, so that it says everything by
/// itself; none where it names none.
fn with_holidays(
    object: &Object,
    holidays: &BTreeMap<ObjectName, HolidayCalendar>,
) -> Option<(DefinitionHash, String)> {
    let names = object.value.pointer("/spec/excludeHolidays")?.as_array()?;
    let named = names.iter().filter_map(Value::as_str).filter_map(|name| {
        let calendar = holidays.get(&ObjectName::new(&object.name.namespace, name))?;
        Some((name.to_owned(), serde_json::to_value(calendar).ok()?))
    });
    let named: serde_json::Map<String, Value> = named.collect();
    let (_, json) = object.definition();
    let mut value: Value = serde_json::from_str(&json).ok()?;
    value.as_object_mut()?.insert(HOLIDAYS.to_owned(), named.into());
    let json = value.to_string();
    Some((DefinitionHash::of(&json), json))
}
