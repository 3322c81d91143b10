//! Ports for tests.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below what the kernel gives to outgoing connections (32768 by default). Otherwise, while
/// a killed daemon is down, a client that tries to reach it may be given the very port that
/// it tries to reach, and is connected to itself.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

static TAKEN: AtomicU16 = AtomicU16::new(0);

/// A port that nobody listens on, and that this process gives to nobody else.
///
/// # Panics
/// When none of the ports is free.
pub fn free_port() -> u16 {
    // Test programs that run at the same time begin at different places.
    let begin = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let turn = TAKEN.fetch_add(1, Ordering::Relaxed).wrapping_mul(7);
        let port = FIRST + (u32::from(begin) + u32::from(turn)).rem_euclid(u32::from(COUNT)) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {FIRST} on is free");
}
