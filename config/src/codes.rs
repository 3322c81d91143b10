//! The stable codes of loading and of the shape of objects: `TL01` and two digits.
//!
//! A code never changes its meaning; one that is no longer used is not given out again.

/// A code with what `tripline help CODE` says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// `TL` and four digits.
    pub code: &'static str,
    /// The mistake, in a few words.
    pub title: &'static str,
    /// Why it is one and what to do about it.
    pub explanation: &'static str,
}

/// Defines each code of a crate as a constant and as a row of its table `CODES`, so that
/// none is forgotten: `NAME = code, title, explanation;`
#[macro_export]
macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal, $explanation:literal;)*) => {
        $(#[doc = $title] pub const $name: &str = $code;)*

        /// All codes of this crate, in their order.
        pub const CODES: &[$crate::Code] =
            &[$($crate::Code { code: $code, title: $title, explanation: $explanation }),*];
    };
}

codes! {
    SYNTAX = "TL0101", "The text is not valid YAML.",
        "The document that holds it is left out; documents after the next `---` are still read. \
         Indentation by tabs, a missing space after a colon and templates that were not rendered \
         are the usual causes.";
    DUPLICATE_KEY = "TL0102", "A key stands twice in one mapping.",
        "Most tools take one of the two silently, and not all of them the same one. Remove one.";
    LIMIT = "TL0103", "A file is larger, deeper or has more in it than is read.",
        "Files have bounds on their size, documents, depth and values, where a value that is \
         repeated by aliases counts each time. Split the file.";
    UNREADABLE = "TL0104", "A file or folder cannot be read.",
        "It does not exist, its permissions forbid it, or it is not UTF-8 text. All others are \
         still read.";
    NOT_AN_OBJECT = "TL0105", "A document is no Kubernetes object.",
        "An object is a mapping with `apiVersion`, `kind` and `metadata.name`.";
    API_VERSION = "TL0106", "The kind is known, but not with this apiVersion.",
        "Argo's own fields are read under `argoproj.io/v1alpha1`; Tripline's fields and kinds are \
         under `tripline.dev/v1`; `Secret` and `ConfigMap` are under `v1`.";
    UNKNOWN_KIND = "TL0107", "The kind is unknown, but looks like one that is known.",
        "Kinds that Tripline does not read are skipped and counted. One that differs from a known \
         kind by a letter or two, or that claims to be Tripline's, is taken for a misspelling.";
    NAME = "TL0108", "The object's name or namespace is missing or not a valid one.",
        "An object needs `metadata.name`: lower-case letters, digits, `-` and `.`, at most 253 \
         characters; a namespace has no `.` and at most 63. A name cannot be generated for an \
         object in a file, since it would be another object each time the file is read.";
    DUPLICATE_OBJECT = "TL0109", "Two objects have the same kind, namespace and name.",
        "The first one is read, and the second one is refused. Rename or remove one of them.";
    BOOLEAN_KEY = "TL0110", "A key is read as a boolean.",
        "In the YAML that Kubernetes' tools read, an unquoted `on`, `off`, `yes`, `no`, `y` or `n` \
         is a boolean, as a key too. Write it in quotes.";
    MERGE_REPLACES = "TL0111", "A merge key replaces keys that are written above it.",
        "In the YAML that Kubernetes' tools read, `<<` has precedence over what stands above it in \
         the same mapping, and not over what stands below it. Write it first.";
    WRONG_TYPE = "TL0112", "The value is not of the expected type.",
        "For example a mapping where a sequence is expected: an element of a sequence begins \
         with `- `.";
    UNQUOTED = "TL0113", "A string is expected, but the value is read as another type.",
        "Unquoted `yes`, `on`, `12000`, `0777` and `1.10` are booleans and numbers in YAML. \
         Write the value in quotes.";
    MISSING_FIELD = "TL0114", "A required field is missing.",
        "A field whose value is null counts as missing.";
    UNKNOWN_VALUE = "TL0115", "The value is not one of those that are allowed.",
        "The message lists those that are; letters' case counts.";
    UNKNOWN_FIELD = "TL0116", "Nobody knows a field of this name.",
        "Argo's own tools ignore such a field, so under `argoproj.io/v1alpha1` this is a warning, \
         and an error with `check --strict`. Under `tripline.dev/v1` it is an error.";
    OWN_FIELD = "TL0117", "The field is Tripline's own, but the apiVersion is Argo's.",
        "Argo's tools would ignore the field. Set `apiVersion: tripline.dev/v1`, which has all \
         of Argo's fields and Tripline's.";
    OUT_OF_RANGE = "TL0118", "The value is too small, too large, too short or too long.",
        "The message says what the bound is.";
    INVALID_VALUE = "TL0119", "The value cannot be read.",
        "It is of the right type, but its text or number does not have the form that is needed.";
    NO_FILES = "TL0120", "A folder holds no YAML.",
        "Files that end in `.yaml`, `.yml` or `.json` are read, in all folders below; names that \
         begin with a dot are not.";
    BAD_SECRET = "TL0121", "A Secret or ConfigMap has a value that cannot be read.",
        "Values under `data` of a Secret are base64; those under `stringData`, and those of a \
         ConfigMap, are strings.";
}

/// What is known of a code of this crate.
pub fn explain(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|known| known.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(CODES.is_sorted_by(|one, next| one.code < next.code));
        for code in CODES {
            assert!(code.code.len() == 6 && code.code.starts_with("TL01"), "{code:?}");
            assert!(!code.explanation.is_empty() && code.title.ends_with('.'), "{code:?}");
        }
    }

    #[test]
    fn no_source_file_writes_a_code_that_is_not_in_the_table() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        let mut seen = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for (at, _) in text.match_indices("TL0") {
                let code: String = text[at..].chars().take(6).collect();
                if code[2..].bytes().all(|byte| byte.is_ascii_digit()) {
                    seen += 1;
                    // The example of a diagnostic's form is of another crate's table.
                    assert!(explain(&code).is_some() || code == "TL0201", "{code}");
                }
            }
        }
        assert!(seen >= CODES.len());
    }

    #[test]
    fn a_code_explains_itself() {
        assert_eq!(explain(SYNTAX).map(|code| code.title), Some("The text is not valid YAML."));
        assert_eq!(explain("TL9999"), None);
    }
}
