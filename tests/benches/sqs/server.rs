//! The server that has the queues.

use tripline_testbed::{ElasticMq, Moto};

use crate::Which;

/// A running server.
pub enum Server {
    ElasticMq(ElasticMq),
    Moto(Moto),
}

impl Server {
    /// Starts it.
    pub fn start(which: Which) -> anyhow::Result<Self> {
        Ok(match which {
            Which::Elasticmq => Self::ElasticMq(ElasticMq::start()?),
            Which::Moto => Self::Moto(Moto::start()?),
        })
    }

    /// Its endpoint.
    pub fn endpoint(&self) -> String {
        match self {
            Self::ElasticMq(server) => server.endpoint(),
            Self::Moto(server) => server.endpoint(),
        }
    }
}
