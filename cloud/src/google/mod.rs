//! Google: credentials, calls by gRPC, and what errors mean.

mod federated;
mod grpc;
mod identity;
mod names;
mod trouble;

pub use grpc::Channel;
pub use identity::Identity;
pub use names::{Name, pubsub_address};
pub use trouble::{Trouble, chain};

/// Whether `address` is Google's own: that of a region is, an emulator is not.
pub fn is_google(address: &str) -> bool {
    let host = address.parse::<http::Uri>().ok();
    host.as_ref().and_then(http::Uri::host).is_some_and(|host| host.ends_with(".googleapis.com"))
}

#[cfg(test)]
mod tests {
    use super::is_google;

    #[test]
    fn a_regional_address_is_the_real_service_and_an_emulator_is_not() {
        assert!(is_google("https://europe-west1-pubsub.googleapis.com"));
        assert!(!is_google("http://127.0.0.1:8085"));
        assert!(!is_google("https://pubsub.example.com"));
        assert!(!is_google("https://evilgoogleapis.com"));
    }
}
