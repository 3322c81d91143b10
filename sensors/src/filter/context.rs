//! The `context` filter: attributes of the event, exactly.

use tripline_config::{FieldPath, Problem};

use super::Answer;
use super::trace::Trace;
use crate::codes;
use crate::definition::{ContextFilter, EventDependency};
use crate::view::EventView;

/// The attributes that are compared; an empty text is not.
#[derive(Clone, Debug)]
pub(super) struct Context {
    wanted: [(&'static str, Box<str>); 4],
}

impl Context {
    pub(super) fn compile(
        filter: &ContextFilter,
        dependency: &EventDependency,
        at: &FieldPath,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let ignored =
            [("id", &filter.id), ("specversion", &filter.specversion), ("time", &filter.time)];
        for (name, _) in ignored.iter().filter(|(_, value)| !value.is_empty()) {
            let message = format!("`{name}` is not compared");
            problems.push(Problem::warning(codes::FILTER_MISLEADING, at.key(*name), message));
        }
        // A dependency is one event of one event source, so these two are known.
        for (name, wanted, known) in [
            ("source", &filter.source, &dependency.event_source_name),
            ("subject", &filter.subject, &dependency.event_name),
        ] {
            if !wanted.is_empty() && !known.is_empty() && wanted != known {
                let message = format!(
                    "no event fits but CloudEvents that say so of themselves: the dependency's \
                     events have `{known}`"
                );
                problems.push(
                    Problem::warning(codes::FILTER_MISLEADING, at.key(name), message)
                        .help("they do where their event source has `cloudEvents: true`"),
                );
            }
        }
        let wanted = [
            ("type", &filter.r#type),
            ("subject", &filter.subject),
            ("source", &filter.source),
            ("datacontenttype", &filter.datacontenttype),
        ];
        if wanted.iter().all(|(_, value)| value.is_empty()) {
            let message = "no attribute is given that could be compared";
            let problem = Problem::error(codes::MISSING_FIELD, at.clone(), message);
            problems.push(problem.help("give `type`, `subject`, `source` or `datacontenttype`"));
        }
        Self { wanted: wanted.map(|(name, value)| (name, value.as_str().into())) }
    }

    #[expect(clippy::unnecessary_wraps, reason = "all kinds answer alike")]
    pub(super) fn evaluate(&self, event: &EventView<'_>, mut trace: Option<&mut Trace>) -> Answer {
        let mut pass = true;
        for (name, wanted) in self.wanted.iter().filter(|(_, wanted)| !wanted.is_empty()) {
            let found = match *name {
                "type" => event.kind,
                "subject" => event.subject,
                "source" => event.source,
                _ => event.content_type,
            };
            let fits = found == &**wanted;
            pass &= fits;
            if let Some(trace) = trace.as_deref_mut() {
                let field = format!("filters.context.{name}");
                trace.push(field, name, Some(found), &format!("= {wanted}"), &Ok(fits));
            }
        }
        Ok(pass)
    }
}
