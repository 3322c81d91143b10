//! One sensor of the running daemon: looked at and cleared.

use tokio::sync::oneshot;
use tripline_bus::{Append, Log};
use tripline_event::{EventsRecord, ObjectName};
use tripline_sensors::evaluator::{SensorState, Trigger};

use super::Shared;
use crate::control::ControlError;
use crate::control::sensor::{
    ClearReport, ClearRequest, DependencyView, HeldView, SensorView, TriggerView,
};
use crate::engine::driver::HeldBySensor;

impl Shared {
    /// What half-met conditions hold, by sensor.
    pub(super) async fn held_by_sensor(&self) -> Result<HeldBySensor, ControlError> {
        let ended = || ControlError::Failed("the evaluator has ended".to_owned());
        let (question, answer) = oneshot::channel();
        self.engine.questions.send(question).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }

    pub(super) async fn look_at_sensor(
        &self,
        name: &ObjectName,
    ) -> Result<SensorView, ControlError> {
        let configuration = self.configuration.load_full();
        let loaded = configuration.sensors.get(name).ok_or_else(|| unknown(name))?;
        let held = self.held_by_sensor().await?.remove(name).unwrap_or_default();
        let compiled = &loaded.compiled;
        let tally = self.counts.verdicts();
        let counts = self.counts.sensor(name);
        let dependencies = compiled.sensor.dependencies.iter().map(|dependency| {
            let verdicts = tally.as_ref().map(|tally| tally.of(name, &dependency.name));
            let verdicts = verdicts.unwrap_or_default();
            DependencyView {
                name: dependency.name.as_ref().to_owned(),
                source: dependency.key.source.clone(),
                event: dependency.key.name.clone(),
                passed: verdicts.passed,
                filtered: verdicts.filtered,
                errors: verdicts.errors,
            }
        });
        let trigger = |trigger: &Trigger| {
            let name = trigger.name.trigger.as_str();
            let rendering = compiled.triggers.get(name);
            let conditions = Some(&*trigger.conditions).filter(|text| !text.is_empty());
            TriggerView {
                name: name.to_owned(),
                kind: rendering.map(|rendering| rendering.kind.to_owned()).unwrap_or_default(),
                conditions: conditions.map(str::to_owned),
                held: held_for(&held, Some(name), None),
            }
        };
        Ok(SensorView {
            name: name.clone(),
            definition: loaded.definition.hash.to_string(),
            dependencies: dependencies.collect(),
            triggers: compiled.sensor.triggers.iter().map(trigger).collect(),
            fired: counts.fired,
            last_fired: counts.last_fired,
        })
    }

    /// A record says it, so that a replay forgets the same at the same place. When this
    /// returns, it is forgotten.
    pub(super) async fn clear_sensor(
        &self,
        request: ClearRequest,
        who: &str,
    ) -> Result<ClearReport, ControlError> {
        let ClearRequest { sensor, dependency, reason } = request;
        let all = self.held_by_sensor().await?;
        let state = all.get(&sensor).cloned().unwrap_or_default();
        self.check_sensor(&sensor, dependency.as_deref(), all.contains_key(&sensor))?;
        let held = held_for(&state, None, dependency.as_deref());
        let subject = match &dependency {
            Some(dependency) => format!("sensor/{sensor} dependency {dependency}"),
            None => format!("sensor/{sensor}"),
        };
        let at = self.clock.now();
        let record = EventsRecord::Clear { sensor, dependency, at, through: None }.encode();
        let append = Append { dedup: None, record };
        let unreachable =
            |error: &dyn std::fmt::Display| ControlError::Unreachable(error.to_string());
        let appended = self.bus.append(Log::Events, vec![append]).await;
        let appended = appended.map_err(|error| unreachable(&error))?;
        let position = appended.first().map(|appended| appended.position);
        let position = position.ok_or_else(|| unreachable(&"the bus answered to no record"))?;
        let mut progress = self.engine.progress.clone();
        let evaluated = progress.wait_for(|progress| progress.evaluated >= position).await;
        evaluated.map_err(|_| ControlError::Failed("the evaluator has ended".to_owned()))?;
        self.note(who, "clear", &subject, reason.as_deref()).await?;
        Ok(ClearReport { position, held })
    }

    /// A sensor that was removed may hold something, too.
    fn check_sensor(
        &self,
        name: &ObjectName,
        dependency: Option<&str>,
        holds: bool,
    ) -> Result<(), ControlError> {
        let configuration = self.configuration.load();
        let Some(loaded) = configuration.sensors.get(name) else {
            return if holds { Ok(()) } else { Err(unknown(name)) };
        };
        let sensor = &loaded.compiled.sensor;
        match dependency {
            Some(dependency) if sensor.dependency(dependency).is_none() => {
                let names: Vec<&str> = sensor.dependencies.iter().map(|of| &*of.name).collect();
                let names = names.join(", ");
                Err(ControlError::NotFound(format!(
                    "sensor {name} has no dependency `{dependency}`; it has {names}"
                )))
            }
            _ => Ok(()),
        }
    }
}

fn unknown(name: &ObjectName) -> ControlError {
    ControlError::NotFound(format!("there is no sensor {name}"))
}

/// What is held, of one trigger and one dependency or of all.
fn held_for(state: &SensorState, trigger: Option<&str>, dependency: Option<&str>) -> Vec<HeldView> {
    let triggers = state.triggers.iter();
    let of_trigger = triggers.filter(|(name, _)| trigger.is_none_or(|trigger| trigger == *name));
    let held = of_trigger.flat_map(|(_, trigger)| trigger.held.values());
    let of_it = held.filter(|held| dependency.is_none_or(|dependency| dependency == &*held.name));
    of_it
        .map(|held| HeldView {
            dependency: held.name.as_ref().to_owned(),
            id: held.event.id.clone(),
            correlation: held.event.correlation.clone(),
            position: held.event.position,
            since: held.since,
        })
        .collect()
}
