//! Ports for tests.

use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

/// Below what the kernel gives to outgoing connections (32768 by default). Otherwise, while
/// a killed server is down, a client that tries to reach it may be given the very port that
/// it tries to reach, and is connected to itself.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

static TAKEN: AtomicU16 = AtomicU16::new(0);

/// Locks on the ports of this process, held until it ends.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port that nobody listens on, and that no test program gives to anybody else while this
/// one runs.
///
/// # Panics
/// When none of the ports is free, or the folder of the locks cannot be used.
pub fn free_port() -> u16 {
    let folder = std::env::temp_dir().join("tripline-test-ports");
    std::fs::create_dir_all(&folder).expect("the system's folder for temporary files can be used");
    // Test programs that run at the same time begin at different places.
    let begin = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let turn = TAKEN.fetch_add(1, Ordering::Relaxed).wrapping_mul(7);
        let port = FIRST + (u32::from(begin) + u32::from(turn)).rem_euclid(u32::from(COUNT)) as u16;
        let lock = File::create(folder.join(port.to_string())).expect("a lock can be made");
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => panic!("a lock cannot be taken: {error}"),
        }
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            HELD.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
            return port;
        }
    }
    panic!("no port from {FIRST} on is free");
}

/// [`free_port`] on 127.0.0.1.
///
/// # Panics
/// As [`free_port`].
pub fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}
