//! What a load leaves for the next one: sensors by the texts that they were read from, and
//! files by what they were. What has not changed is neither read nor compiled again.

use std::collections::HashMap;
use std::sync::Arc;

use tripline_config::{Document, Stamp};
use tripline_event::DefinitionHash;

use super::LoadedSensor;

/// What was read, and was right.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Sensors in which nothing is wrong, by the hashes of their texts.
    pub documents: HashMap<DefinitionHash, LoadedSensor>,
    /// What files were before they were read, and what stands in them.
    pub files: HashMap<Arc<str>, (Stamp, Arc<[Document]>)>,
}

impl Remembered {
    /// The documents of a file, unless it is another one by now.
    pub fn file(&self, file: &str, stamp: &Stamp) -> Option<Arc<[Document]>> {
        let (then, documents) = self.files.get(file)?;
        (then == stamp).then(|| Arc::clone(documents))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use tripline_config::Input;
    use tripline_event::ObjectName;

    use super::*;
    use crate::engine::definitions::Definitions;
    use crate::load::{Configuration, load_without_texts};

    fn sensor(name: &str, seconds: u32, extra: &str) -> String {
        format!(
            "apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{name: {name}, namespace: ci}}
spec:
  dependencies: [{{name: a, eventSourceName: builds, eventName: completed}}]
  triggers: [{{template: {{name: note, log: {{intervalSeconds: {seconds}}}}}}}]
{extra}"
        )
    }

    fn load(folder: &Path, definitions: &Definitions) -> Configuration {
        load_without_texts(&[Input::Path(folder.to_owned())], definitions)
    }

    fn of<'c>(configuration: &'c Configuration, name: &str) -> &'c LoadedSensor {
        &configuration.sensors[&ObjectName::new("ci", name)]
    }

    fn told(configuration: &Configuration) -> Vec<String> {
        configuration.diagnostics.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_that_changes_is_compiled_and_the_others_are_what_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(format!(".{name}")), text).unwrap();
            let to = folder.path().join(format!("{name}.yaml"));
            fs::rename(folder.path().join(format!(".{name}")), to).unwrap();
        };
        for name in ["a", "b", "c"] {
            write(name, &sensor(name, 1, ""));
        }
        // One about which there is something to say each time.
        write("d", &sensor("d", 1, "  unheard: of\n"));
        let definitions = Definitions::default();
        let first = load(folder.path(), &definitions);
        assert_eq!(first.sensors.len(), 4);
        assert_eq!(told(&first).len(), 1, "{:?}", told(&first));

        write("b", &sensor("b", 2, ""));
        let second = load(folder.path(), &definitions);
        let same = |name| Arc::ptr_eq(&of(&first, name).compiled, &of(&second, name).compiled);
        assert_eq!(["a", "b", "c", "d"].map(same), [true, false, true, true]);
        assert_eq!((told(&second), second.files), (told(&first), 4));
        assert_ne!(of(&second, "b").definition.hash, of(&first, "b").definition.hash);

        fs::remove_file(folder.path().join("a.yaml")).unwrap();
        let third = load(folder.path(), &definitions);
        assert_eq!((third.sensors.len(), third.files), (3, 3));
        assert!(!third.incomplete && third.invalid.is_empty());
    }

    /// What is found later speaks of a sensor that was not read again.
    #[test]
    fn a_dependency_on_an_event_that_is_gone_is_told_of_one_that_was_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let source = |event: &str| {
            format!(
                "apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{name: builds, namespace: ci}}
spec: {{webhook: {{{event}: {{port: \"12000\", endpoint: /b, method: POST}}}}}}
"
            )
        };
        fs::write(folder.path().join("sensor.yaml"), sensor("a", 1, "")).unwrap();
        fs::write(folder.path().join("source.yaml"), source("completed")).unwrap();
        let definitions = Definitions::default();
        assert_eq!(told(&load(folder.path(), &definitions)), [""; 0]);
        fs::write(folder.path().join("source.yaml"), source("other")).unwrap();
        let second = load(folder.path(), &definitions);
        let [warning] = &second.diagnostics[..] else { panic!("{:?}", told(&second)) };
        assert!(warning.place.file.ends_with("sensor.yaml"), "{warning}");
        assert!(warning.message.contains("has no event `completed`"), "{warning}");
    }
}
