//! Who may do what.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use super::ControlError;

/// The shortest token, in bytes.
const MIN_TOKEN_BYTES: usize = 16;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Look.
    Read,
    /// Look, and change what happens.
    Operate,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user of the socket, or the name of the token.
    pub who: String,
    /// What they may do.
    pub right: Right,
}

/// The tokens that are known.
#[derive(Clone, Default)]
pub struct Tokens(Arc<[Token]>);

struct Token {
    caller: Caller,
    secret: String,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|token| (&token.caller, "***"))).finish()
    }
}

impl Tokens {
    /// Reads a file of lines `read NAME TOKEN` and `operate NAME TOKEN`; empty lines and
    /// those that begin with `#` are passed over.
    ///
    /// # Errors
    /// When the file cannot be read, others than its owner may read it, or a line is
    /// none of these; the message names the line and shows no token.
    pub fn from_file(path: &Path) -> Result<Self, ControlError> {
        use std::os::unix::fs::PermissionsExt as _;
        let failed = |error: std::io::Error| {
            ControlError::Invalid(format!("token file {}: {error}", path.display()))
        };
        let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(ControlError::Invalid(format!(
                "token file {} may be read by others: chmod 600 {0}",
                path.display()
            )));
        }
        Self::parse(&std::fs::read_to_string(path).map_err(failed)?).map_err(|problem| {
            ControlError::Invalid(format!("token file {}: {problem}", path.display()))
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let number = number + 1;
            let parts: Vec<&str> = line.split_whitespace().collect();
            let (right, who, secret) = match parts[..] {
                ["read", who, secret] => (Right::Read, who, secret),
                ["operate", who, secret] => (Right::Operate, who, secret),
                _ => {
                    return Err(format!(
                        "line {number}: expected `read NAME TOKEN` or `operate NAME TOKEN`"
                    ));
                }
            };
            if secret.len() < MIN_TOKEN_BYTES {
                return Err(format!(
                    "line {number}: the token of `{who}` is shorter than {MIN_TOKEN_BYTES} bytes"
                ));
            }
            let caller = Caller { who: who.to_owned(), right };
            tokens.push(Token { caller, secret: secret.to_owned() });
        }
        if tokens.is_empty() {
            return Err("there is no token in it".to_owned());
        }
        Ok(Self(tokens.into()))
    }

    /// Whose token it is. Takes the same time for every wrong token of one length.
    pub fn caller(&self, secret: &str) -> Option<&Caller> {
        let mut found = None;
        for token in self.0.iter() {
            if bool::from(token.secret.as_bytes().ct_eq(secret.as_bytes())) {
                found = Some(&token.caller);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "# who may what\n\nread dashboard 0123456789abcdef\n  operate ada fedcba9876543210  \n";

    #[test]
    fn a_token_belongs_to_somebody_with_a_right() {
        let tokens = Tokens::parse(FILE).unwrap();
        let caller = |secret| tokens.caller(secret).map(|c| (c.who.as_str(), c.right));
        assert_eq!(caller("0123456789abcdef"), Some(("dashboard", Right::Read)));
        assert_eq!(caller("fedcba9876543210"), Some(("ada", Right::Operate)));
        for wrong in ["", "0123456789abcde", "0123456789abcdeF", "ada"] {
            assert_eq!(caller(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let tokens = Tokens::parse(FILE).unwrap();
        assert!(!format!("{tokens:?}").contains("0123456789"));
        for line in ["write ada fedcba9876543210", "read fedcba9876543210", "read ada short"] {
            let problem = Tokens::parse(&format!("\n{line}")).unwrap_err();
            assert!(problem.starts_with("line 2: "), "{problem}");
            assert!(!problem.contains("fedcba"), "{problem}");
        }
        assert!(Tokens::parse("# nobody").is_err());
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        std::fs::write(&path, FILE).unwrap();
        for (mode, fine) in [(0o600, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(Tokens::from_file(&path).is_ok(), fine, "{mode:o}");
        }
    }
}
