//! What goes wrong, and on which event bus.

use std::fmt;

use crate::source::Source;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` of the daemon, twice.
    DaemonKilled,
    /// `kill -9` of the bus's server, or of one of the three.
    BusKilled,
    /// `kill -9` of Kafka, of NATS where it is upstream, and of SNS.
    BrokerKilled,
    /// SIGSTOP of the daemon, and of the bus's server, each for a while.
    Frozen,
    /// No connection to upstreams, bus and targets, nor from producers.
    NetworkCut,
    /// Everything that comes over the network comes late.
    NetworkSlow,
    /// The disk takes nothing more.
    DiskFull,
    /// The daemon's clock is set forward, and back.
    ClockSet,
    /// Targets do what they are asked to, and answer after the daemon has stopped waiting.
    TargetLate,
    /// Targets fail half of the time.
    TargetFlaky,
    /// `kill -9` of the leader of the EVENTS stream.
    LeaderLost,
    /// Each server in its turn goes into lame duck mode, ends, and is started again.
    RollingRestart,
}

/// Where the logs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusKind {
    /// In the data directory.
    Embedded,
    /// On one nats-server.
    OneNode,
    /// On three.
    ThreeNodes,
}

/// One fault on one bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What goes wrong.
    pub fault: Fault,
    /// Where the logs are.
    pub bus: BusKind,
    /// Where events come from.
    pub sources: &'static [Source],
}

impl Fault {
    /// All of them. Those after which SQS keeps a message from the daemon for two minutes come
    /// first, so that others run meanwhile.
    const ALL: [Self; 12] = [
        Self::DaemonKilled,
        Self::BrokerKilled,
        Self::NetworkCut,
        Self::LeaderLost,
        Self::RollingRestart,
        Self::TargetLate,
        Self::ClockSet,
        Self::Frozen,
        Self::DiskFull,
        Self::BusKilled,
        Self::TargetFlaky,
        Self::NetworkSlow,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::DaemonKilled => "daemon killed",
            Self::BusKilled => "bus killed",
            Self::BrokerKilled => "broker killed",
            Self::Frozen => "frozen",
            Self::NetworkCut => "network cut",
            Self::NetworkSlow => "network slow",
            Self::DiskFull => "disk full",
            Self::ClockSet => "clock set",
            Self::TargetLate => "target late",
            Self::TargetFlaky => "target flaky",
            Self::LeaderLost => "leader lost",
            Self::RollingRestart => "rolling restart",
        }
    }

    /// From where events come in its cells, if not from everywhere: from brokers where it is
    /// about them, or about whoever asks them.
    fn sources(self) -> &'static [Source] {
        match self {
            Self::DaemonKilled | Self::BrokerKilled | Self::NetworkCut | Self::NetworkSlow => {
                &Source::ALL
            }
            _ => &Source::FIRST,
        }
    }

    /// Whether there is such a thing on that bus.
    fn is_on(self, bus: BusKind) -> bool {
        match self {
            Self::BusKilled | Self::RollingRestart => bus != BusKind::Embedded,
            Self::LeaderLost => bus == BusKind::ThreeNodes,
            _ => true,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for BusKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Embedded => "embedded",
            Self::OneNode => "one node",
            Self::ThreeNodes => "three nodes",
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}, {}", self.fault, self.bus))
    }
}

/// Every fault on every bus that it can be on; with `everywhere`, events come from all sources
/// in all of them.
pub fn cells(everywhere: bool) -> Vec<Cell> {
    let buses = [BusKind::Embedded, BusKind::OneNode, BusKind::ThreeNodes];
    Fault::ALL
        .into_iter()
        .flat_map(|fault| {
            let sources = if everywhere { &Source::ALL } else { fault.sources() };
            buses.map(|bus| Cell { fault, bus, sources })
        })
        .filter(|cell| cell.fault.is_on(cell.bus))
        .collect()
}
