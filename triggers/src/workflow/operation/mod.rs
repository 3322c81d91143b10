//! What a trigger does with workflows: the operations of Argo Events, which runs the program
//! `argo` for each. Here they are what that program does with the objects.
//!
//! Not here: how an object is read and written, which [`super::cluster`] does.

pub(crate) mod arguments;
pub(crate) mod change;
pub(crate) mod derived;

use arguments::Arguments;

/// An operation on workflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The workflow in `source` is created.
    Submit,
    /// A workflow is made of the `WorkflowTemplate`, `ClusterWorkflowTemplate` or
    /// `CronWorkflow` that `source` names.
    SubmitFrom,
    /// A workflow that is there is done once more, as a new one.
    Resubmit,
    /// What failed of a workflow is done once more.
    Retry,
    /// A workflow starts nothing more until it is resumed.
    Suspend,
    /// A workflow that is suspended, or waits in a `suspend` step, goes on.
    Resume,
    /// A workflow ends; its exit handlers run.
    Stop,
    /// A workflow ends at once; its exit handlers do not run.
    Terminate,
}

/// All operations, by the words for them.
const ALL: [(&str, Operation); 8] = [
    ("submit", Operation::Submit),
    ("submit-from", Operation::SubmitFrom),
    ("resubmit", Operation::Resubmit),
    ("retry", Operation::Retry),
    ("suspend", Operation::Suspend),
    ("resume", Operation::Resume),
    ("stop", Operation::Stop),
    ("terminate", Operation::Terminate),
];

impl Operation {
    /// The operation that stands in a trigger's configuration; `submit` where none does.
    ///
    /// # Errors
    /// It is none; which there are.
    pub fn of(operation: Option<&str>) -> Result<Self, String> {
        let word = operation.filter(|word| !word.is_empty()).unwrap_or("submit");
        let found = ALL.iter().find(|(known, _)| *known == word);
        found.map(|(_, operation)| *operation).ok_or_else(|| {
            let known: Vec<String> = ALL.iter().map(|(word, _)| format!("`{word}`")).collect();
            format!("`{word}` is no operation on a workflow: expected {}", known.join(", "))
        })
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        ALL.iter().find(|(_, operation)| *operation == self).map_or("", |(word, _)| word)
    }

    /// The kinds that `source` may name.
    pub fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::SubmitFrom => &["WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow"],
            _ => &["Workflow"],
        }
    }

    /// Whether `source` is only named, and is there already.
    pub fn names_its_source(self) -> bool {
        self != Self::Submit
    }

    /// What `args` mean for it.
    ///
    /// # Errors
    /// The index of the argument that is not one, and why.
    pub fn arguments(self, args: &[String]) -> Result<Arguments, (usize, String)> {
        Arguments::parse(self, args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_word() {
        for (word, operation) in ALL {
            assert_eq!(Operation::of(Some(word)), Ok(operation));
            assert_eq!(operation.as_str(), word);
        }
        assert_eq!(Operation::of(None), Ok(Operation::Submit));
        assert_eq!(Operation::of(Some("")), Ok(Operation::Submit));
        assert!(Operation::of(Some("Submit")).unwrap_err().contains("`submit-from`"));
    }
}
