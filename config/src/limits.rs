//! Every bound of loading, in one place. Beyond one of them there is a diagnostic, and the
//! rest is still read.

/// The size of one file or of standard input, in bytes.
pub const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;

/// Files of one load. What is beyond is reported, not read.
pub const MAX_FILES: usize = 20_000;

/// Documents in one file.
pub const MAX_DOCUMENTS: usize = 20_000;

/// How deep mappings and sequences may be nested, in one document.
pub const MAX_DEPTH: usize = 100;

/// Values in one document, aliases counted as often as they are used; and values that
/// aliases repeat in one file.
pub const MAX_NODES: usize = 1_000_000;

/// Bytes that aliases may add to one file by repeating what their anchors hold.
pub const MAX_ALIAS_BYTES: usize = 10 * 1024 * 1024;

/// Problems that are reported of one document while it is parsed, and of one object while
/// it is validated. The first ones are kept.
pub const MAX_PROBLEMS: usize = 200;

/// The size of one value of a secret, in bytes: what Kubernetes allows for a whole Secret.
pub const MAX_SECRET_BYTES: u64 = 1024 * 1024;
