//! Where events come from.

use std::fmt;

use crate::fault::Fault;

/// Where events come from. Each is an event source of its own, and a sensor of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Requests.
    Webhook,
    /// A subscription of Pub/Sub.
    PubSub,
    /// A queue of SQS.
    Sqs,
    /// A calendar, which ticks every second.
    Cron,
    /// A topic of Kafka, read by a consumer group.
    Kafka,
    /// A stream of JetStream, with a durable consumer.
    Nats,
    /// A subject of core NATS.
    CoreNats,
    /// A topic of SNS, through SQS.
    Sns,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Webhook,
        Self::PubSub,
        Self::Sqs,
        Self::Cron,
        Self::Kafka,
        Self::Nats,
        Self::CoreNats,
        Self::Sns,
    ];
    /// Those that are in every cell.
    pub const FIRST: [Self; 4] = [Self::Webhook, Self::PubSub, Self::Sqs, Self::Cron];

    /// The name of its event source and its sensor.
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "of-webhook",
            Self::PubSub => "of-pubsub",
            Self::Sqs => "of-sqs",
            Self::Cron => "of-cron",
            Self::Kafka => "of-kafka",
            Self::Nats => "of-nats",
            Self::CoreNats => "of-core",
            Self::Sns => "of-sns",
        }
    }

    /// How many of the events of a cell are its own, where there must be many: moto, which has
    /// SNS, is slow, and Pub/Sub's emulator takes a program's start for each batch.
    pub fn weight(self) -> u64 {
        match self {
            Self::Webhook | Self::Kafka | Self::Nats => 4,
            Self::PubSub => 3,
            Self::Sqs | Self::CoreNats => 2,
            Self::Sns => 1,
            Self::Cron => 0,
        }
    }

    /// Whether upstream may lose in this fault what it has acknowledged, before Tripline has it.
    /// Core NATS remembers nothing: who does not listen does not hear. moto, which has SNS
    /// here, holds messages in memory.
    pub fn forgets(self, fault: Fault) -> bool {
        match self {
            Self::CoreNats => {
                matches!(fault, Fault::BrokerKilled | Fault::NetworkCut | Fault::DaemonKilled)
            }
            Self::Sns => fault == Fault::BrokerKilled,
            _ => false,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Webhook => "webhook",
            Self::PubSub => "pubSub",
            Self::Sqs => "sqs",
            Self::Cron => "cron",
            Self::Kafka => "kafka",
            Self::Nats => "nats",
            Self::CoreNats => "core nats",
            Self::Sns => "sns",
        })
    }
}
