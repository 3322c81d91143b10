//! Messages of a real upstream are not taken into a daemon that only records workflows, unless
//! it was told to: they would be acknowledged, and nothing would run.

use tripline_config::{Diagnostic, Object, Problem};
use tripline_eventsources::EventDefinition;

use super::{Configuration, path_of_event};
use crate::codes;

/// What is said of the first event of `object` whose upstream is real.
pub(super) fn diagnose(object: &Object, events: &[EventDefinition]) -> Option<Diagnostic> {
    let real = events.iter().find(|event| event.has_real_upstream())?;
    let message = "its messages would be acknowledged, and workflows only recorded and not run: \
                   its upstream is no emulator, and the target is `local`";
    let problem =
        Problem::error(codes::REAL_UPSTREAM, path_of_event(object, &real.key.name), message)
            .help("name the cluster (`--context NAME`, `--target NAME`), or say `--target local`");
    Some(object.diagnose(problem))
}

impl Configuration {
    /// Refuses the event sources whose upstream is real. The rest of the files is used.
    pub fn refuse_real_upstreams(&mut self) {
        let (invalid, diagnostics) = (&mut self.invalid, &mut self.diagnostics);
        self.sources.retain(|name, source| {
            let Some(diagnostic) = source.real_upstream.take() else { return true };
            let identity = ("EventSource".to_owned(), name.clone());
            invalid.entry(identity).or_insert_with(|| diagnostic.message.clone());
            diagnostics.push(diagnostic);
            false
        });
        diagnostics.sort();
    }
}

#[cfg(all(test, feature = "sqs"))]
mod tests {
    use tripline_config::Input;

    use super::super::load;
    use crate::engine::definitions::Definitions;

    #[test]
    fn a_real_upstream_is_refused_alone_and_an_emulator_is_not() {
        let source = |name: &str, more: &str| {
            format!(
                "apiVersion: argoproj.io/v1alpha1\nkind: EventSource\nmetadata: {{name: {name}}}\n\
                 spec:\n  sqs:\n    done:\n      {{region: eu-central-1, queue: builds{more}}}\n---\n"
            )
        };
        let yaml = source("real", "") + &source("emulated", ", endpoint: \"http://127.0.0.1:1\"");
        let inputs = [Input::text("sources.yaml", yaml.into_bytes())];
        let mut loaded = load(&inputs, &Definitions::default());
        assert_eq!((loaded.sources.len(), loaded.diagnostics.len()), (2, 0));
        loaded.refuse_real_upstreams();
        let names: Vec<&str> = loaded.sources.keys().map(|name| name.name.as_str()).collect();
        assert_eq!(names, ["emulated"]);
        assert_eq!(loaded.invalid.len(), 1);
        let said = loaded.diagnostics[0].to_string();
        assert!(said.contains("TL0532") && said.contains("spec.sqs.done"), "{said}");
        assert!(said.contains("--target local"), "{said}");
    }
}
