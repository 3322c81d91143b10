//! The HTTP client of all calls, and whose an address is.

use std::net::IpAddr;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// A client with connections of its own. A proxy is taken from the environment, as in Argo Events,
/// but never to this machine.
pub fn http_client(endpoint: Option<&str>) -> SharedHttpClient {
    let direct = endpoint.is_some_and(is_on_this_machine);
    client_by(if direct { ProxyConfig::disabled } else { ProxyConfig::from_env })
}

fn client_by(proxy: fn() -> ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder();
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.set_proxy_config(Some(proxy()));
        connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
    })
}

/// Whether `endpoint` leads to this machine.
pub fn is_on_this_machine(endpoint: &str) -> bool {
    let host = host(endpoint);
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Whether `endpoint` is Amazon's own: a VPC endpoint is, an emulator is not.
pub fn is_amazons(endpoint: &str) -> bool {
    let host = host(endpoint);
    [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().any(|end| host.ends_with(end))
}

fn host(endpoint: &str) -> String {
    let uri = endpoint.parse::<http::Uri>().ok();
    uri.as_ref().and_then(http::Uri::host).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_never_asked_for_this_machine() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:9324", true),
            ("http://localhost:4566/x", true),
            ("http://[::1]:1", true),
            ("https://sqs.eu-central-1.amazonaws.com", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(is_on_this_machine(endpoint), expected, "{endpoint}");
        }
    }

    #[test]
    fn a_vpc_endpoint_is_amazon_s_and_an_emulator_is_not() {
        assert!(is_amazons("https://vpce-0a1b.sqs.eu-central-1.vpce.amazonaws.com"));
        assert!(!is_amazons("http://localhost:4566"));
        assert!(!is_amazons("http://amazonaws.com.example:1"));
    }
}
