//! Calls by gRPC. They are made here, since Google's own clients make the ones for
//! administration by REST, and emulators have gRPC alone. Each is tried once; whoever calls
//! tries again.

use std::time::Duration;

use google_cloud_auth::credentials::{CacheableResource, Credentials};
use http::uri::PathAndQuery;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::transport::{ClientTlsConfig, Endpoint};
use tonic_prost::ProstCodec;

use super::trouble::{Trouble, chain};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A connection to a service, with credentials. It connects when it is first used.
#[derive(Clone)]
pub struct Channel {
    channel: tonic::transport::Channel,
    credentials: Credentials,
    patience: Duration,
}

impl Channel {
    /// One that speaks to `address`. A call may take `patience`.
    ///
    /// # Errors
    /// The address is none, or this machine has no certificates of authorities.
    pub fn new(
        address: &str,
        credentials: Credentials,
        patience: Duration,
    ) -> Result<Self, String> {
        let unusable = |error| format!("{address} cannot be spoken to: {error}");
        let endpoint = Endpoint::from_shared(address.to_owned()).map_err(unusable)?;
        let endpoint = if address.starts_with("https://") {
            let tls = ClientTlsConfig::new().with_enabled_roots();
            endpoint.tls_config(tls).map_err(unusable)?
        } else {
            endpoint
        };
        let channel = endpoint.connect_timeout(CONNECT).connect_lazy();
        Ok(Self { channel, credentials, patience })
    }

    /// Makes a call. `about` is the field of the request by which the service finds its way.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn call<Q, A>(
        &self,
        path: &'static str,
        about: (&str, &str),
        request: Q,
    ) -> Result<A, Trouble>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let answer = async {
            let mut request = tonic::Request::new(request);
            *request.metadata_mut() = self.authorization().await?;
            let route = format!("{}={}", about.0, about.1.replace('/', "%2F"));
            if let Ok(route) = route.parse() {
                request.metadata_mut().insert("x-goog-request-params", route);
            }
            let mut grpc = Grpc::new(self.channel.clone());
            grpc.ready().await.map_err(|error| Trouble::Unreachable(error.to_string()))?;
            let codec = ProstCodec::<Q, A>::default();
            let answer = grpc.unary(request, PathAndQuery::from_static(path), codec).await?;
            Ok(answer.into_inner())
        };
        timeout(self.patience, answer).await.unwrap_or(Err(Trouble::TimedOut))
    }

    async fn authorization(&self) -> Result<MetadataMap, Trouble> {
        let headers = self.credentials.headers(http::Extensions::new()).await;
        match headers.map_err(|error| Trouble::NoToken(chain(&error)))? {
            CacheableResource::New { data, .. } => Ok(MetadataMap::from_headers(data)),
            CacheableResource::NotModified => Ok(MetadataMap::new()),
        }
    }
}
