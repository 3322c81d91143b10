//! Who Tripline is to a server.

use std::{fmt, io};

use async_nats::ConnectOptions;

/// Who Tripline is to a server. What is secret is never shown.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub enum Auth {
    /// Nobody in particular.
    #[default]
    Nobody,
    /// A user with a password.
    User {
        /// The name.
        name: String,
        /// The password.
        password: String,
    },
    /// Whoever has this token.
    Token(String),
    /// The holder of an nkey: its seed, `SU…`.
    Nkey(String),
    /// The contents of a `.creds` file: a JWT and the seed of its nkey.
    Creds(String),
}

impl Auth {
    pub(crate) fn applied_to(&self, options: ConnectOptions) -> io::Result<ConnectOptions> {
        Ok(match self {
            Self::Nobody => options,
            Self::User { name, password } => {
                options.user_and_password(name.clone(), password.clone())
            }
            Self::Token(token) => options.token(token.clone()),
            Self::Nkey(seed) => options.nkey(seed.trim().to_owned()),
            Self::Creds(creds) => options.credentials(creds)?,
        })
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "Nobody",
            Self::User { .. } => "User(***)",
            Self::Token(_) => "Token(***)",
            Self::Nkey(_) => "Nkey(***)",
            Self::Creds(_) => "Creds(***)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        for auth in [
            Auth::Token("secret".into()),
            Auth::User { name: "secret".into(), password: "secret".into() },
            Auth::Nkey("secret".into()),
            Auth::Creds("secret".into()),
        ] {
            let shown = format!("{auth:?}");
            assert!(!shown.contains("secret"), "{shown}");
        }
    }
}
