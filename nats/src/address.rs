//! The servers of a URL.

use async_nats::ServerAddr;

/// The servers of `url`, which are separated by commas.
///
/// # Errors
/// One is no address of a server.
pub fn servers(url: &str) -> Result<Vec<ServerAddr>, String> {
    url.split(',').map(|text| server(text.trim())).collect()
}

fn server(text: &str) -> Result<ServerAddr, String> {
    let shown = without_password(text);
    let server: ServerAddr =
        text.parse().map_err(|error| format!("`{shown}` is no address of NATS: {error}"))?;
    match server.host() {
        "" => Err(format!("`{shown}` is no address of NATS: it names no host")),
        _ => Ok(server),
    }
}

/// The addresses, without user and password.
pub fn without_password(url: &str) -> String {
    let address = |address: &str| match (address.find("://"), address.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}{}", &address[..scheme + 3], &address[at + 1..])
        }
        (None, Some(at)) => address[at + 1..].to_owned(),
        _ => address.to_owned(),
    };
    url.split(',').map(|part| address(part.trim())).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
            ("nats://me:secret@host:4222", "nats://host:4222"),
            ("me:secret@host, tls://token@b", "host,tls://b"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn a_url_names_one_server_or_several() {
        let hosts = |url| {
            let servers = servers(url).map_err(drop);
            servers.map(|all| all.iter().map(|s| s.host().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(hosts("nats://a:4222, tls://b"), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(hosts("http://a"), Err(()));
        assert_eq!(hosts(""), Err(()));
    }
}
