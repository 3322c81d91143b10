//! What a broker needs to speak TLS, and to know users by SCRAM.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;

use crate::certificates::Authority;
use crate::kafka::{KAFKA_PASSWORD, KAFKA_USER};
use crate::ports::free_address;

/// The listeners of a broker that speak TLS.
pub(crate) struct Secured {
    /// A client shows a certificate.
    pub(crate) certificate: SocketAddr,
    /// A client is [`KAFKA_USER`], by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    pub(crate) password: SocketAddr,
}

impl Secured {
    /// With a certificate of the authority's, which clients must have one of, too.
    pub(crate) fn new(authority: &Authority, folder: &Path) -> anyhow::Result<Self> {
        let server = authority.server()?;
        std::fs::write(folder.join("broker.pem"), server.key + &server.certificate)?;
        std::fs::write(folder.join("authority.pem"), authority.certificate())?;
        Ok(Self { certificate: free_address(), password: free_address() })
    }

    /// For `listeners`, and for `advertised.listeners`.
    pub(crate) fn listeners(&self) -> String {
        format!(",CERTIFICATE://{},PASSWORD://{}", self.certificate, self.password)
    }

    /// For `listener.security.protocol.map`.
    pub(crate) const PROTOCOLS: &str = ",CERTIFICATE:SSL,PASSWORD:SASL_SSL";

    /// The other properties.
    pub(crate) fn properties(folder: &Path) -> String {
        let folder = folder.display();
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        format!(
            "ssl.keystore.type=PEM\n\
             ssl.keystore.location={folder}/broker.pem\n\
             ssl.truststore.type=PEM\n\
             ssl.truststore.location={folder}/authority.pem\n\
             listener.name.certificate.ssl.client.auth=required\n\
             listener.name.password.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
             listener.name.password.plain.sasl.jaas.config=\
             org.apache.kafka.common.security.plain.PlainLoginModule required \
             user_{KAFKA_USER}=\"{KAFKA_PASSWORD}\";\n\
             listener.name.password.scram-sha-256.sasl.jaas.config={scram}\n\
             listener.name.password.scram-sha-512.sasl.jaas.config={scram}\n"
        )
    }
}

/// Formats the broker's data folder with its own tool: only that makes users for SCRAM.
pub(crate) fn format(libraries: &Path, properties: &Path, cluster: &str) -> anyhow::Result<()> {
    let mut command = Command::new("java");
    command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
    command.arg(libraries.join("*")).args(["kafka.tools.StorageTool", "format"]);
    command.args(["--cluster-id", cluster, "--config"]).arg(properties);
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let user = format!("{mechanism}=[name={KAFKA_USER},password={KAFKA_PASSWORD}]");
        command.arg("--add-scram").arg(user);
    }
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "Kafka's StorageTool: {said}");
    Ok(())
}
