//! How a command names what is to be paused: `all`, `sensor/ci/deploy`,
//! `trigger/ci/deploy/submit`, `target/local`.

use tripline_event::{ObjectName, TriggerName};
use tripline_triggers::executor::Scope;

use super::ControlError;

/// Reads a scope. A sensor without namespace is in `namespace`.
pub fn parse(text: &str, namespace: &str) -> Result<Scope, ControlError> {
    if let Some(target) = text.strip_prefix("target/").filter(|target| !target.is_empty()) {
        return Ok(Scope::Target(target.to_owned()));
    }
    let parts: Vec<&str> = text.split('/').collect();
    let sensor = |namespace: &str, name: &str| ObjectName::new(namespace, name);
    if parts.iter().any(|part| part.is_empty()) {
        return Err(unknown(text));
    }
    Ok(match parts[..] {
        ["all"] => Scope::All,
        ["sensor", name] => Scope::Sensor(sensor(namespace, name)),
        ["sensor", namespace, name] => Scope::Sensor(sensor(namespace, name)),
        ["trigger", name, trigger] => {
            Scope::Trigger(TriggerName::new(&sensor(namespace, name), trigger))
        }
        ["trigger", namespace, name, trigger] => {
            Scope::Trigger(TriggerName::new(&sensor(namespace, name), trigger))
        }
        _ => return Err(unknown(text)),
    })
}

fn unknown(text: &str) -> ControlError {
    ControlError::Invalid(format!(
        "`{text}` names nothing that can be paused: expected all, sensor/NAME, trigger/SENSOR/NAME or target/NAME, where a sensor may have its namespace before it (sensor/ci/deploy)"
    ))
}

/// The scope as [`parse`] reads it.
pub fn text(scope: &Scope) -> String {
    match scope {
        Scope::All => "all".to_owned(),
        Scope::Sensor(sensor) => format!("sensor/{sensor}"),
        Scope::Trigger(trigger) => format!("trigger/{trigger}"),
        Scope::Target(target) => format!("target/{target}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_written_as_it_is_read_with_its_namespace() {
        for (written, whole) in [
            ("all", "all"),
            ("sensor/deploy", "sensor/ci/deploy"),
            ("sensor/prod/deploy", "sensor/prod/deploy"),
            ("trigger/deploy/submit", "trigger/ci/deploy/submit"),
            ("trigger/prod/deploy/submit", "trigger/prod/deploy/submit"),
            ("target/local", "target/local"),
            ("target/https://host/path", "target/https://host/path"),
        ] {
            let scope = parse(written, "ci").unwrap();
            assert_eq!(text(&scope), whole);
            assert_eq!(parse(whole, "other").unwrap(), scope);
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for text in
            ["", "deploy", "sensor", "sensor/", "sensor/a/b/c", "trigger/a", "target/", "All"]
        {
            assert!(parse(text, "ci").is_err(), "{text}");
        }
    }
}
