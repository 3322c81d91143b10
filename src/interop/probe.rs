//! Whether a bus of Argo Events can be read and fed: what `tripline doctor` asks.

use tripline_bus::jetstream::argo::{Argo, Options, STREAM, Start};

use crate::daemon::secrets::SecretStore;
use crate::load::interop::InteropBus;

/// Says what is the matter, and changes nothing. `Ok`: in a few words, what is there.
///
/// # Errors
/// What is wrong, and what to do.
pub async fn probe(bus: InteropBus, options: Result<Options, String>) -> Result<String, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let argo = Argo::connect(&options?).await.map_err(|error| text(&error))?;
    let stream = argo.stream().await.map_err(|error| text(&error))?;
    let start = Start::Sequence(stream.last + 1);
    let reader = argo.read(&bus.object.namespace, start).await.map_err(|error| {
        format!("{error}: the user must be allowed to publish to `$JS.API.>` and `default.>`, and to subscribe to `_INBOX.>`")
    })?;
    reader.close().await;
    Ok(format!(
        "stream `{STREAM}` at {} is there and can be read: {} messages, {} to {}",
        argo.url(),
        stream.messages,
        stream.first,
        stream.last
    ))
}

/// How it is connected to.
///
/// # Errors
/// A secret is missing.
pub fn options(bus: &InteropBus, secrets: &SecretStore) -> Result<Options, String> {
    super::bridge::options(bus, secrets)
}
