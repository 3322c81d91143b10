//! What a process takes, as Linux tells it.

use std::time::Duration;

use anyhow::Context;

/// The unit of times in `/proc/PID/stat`, for every architecture that Linux has today:
/// `USER_HZ` is 100.
const TICKS_PER_SECOND: u64 = 100;

/// The processor time that all threads of a process have used, in user and kernel mode.
///
/// # Errors
/// The process is gone.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid}"))?;
    // The second field is the program's name in parentheses, and may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has no name")?;
    let mut times = fields.split_whitespace().skip(11);
    let mut ticks = 0;
    for _ in 0..2 {
        ticks += times.next().context("/proc/PID/stat is short")?.parse::<u64>()?;
    }
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// The anonymous memory that a process holds, in bytes: what it has allocated, without
/// files that are mapped.
///
/// # Errors
/// The process is gone.
pub fn anonymous_bytes(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no RssAnon")?;
    Ok(kib.parse::<u64>()? * 1024)
}

/// How many files, sockets and the like a process has open.
///
/// # Errors
/// The process is gone.
pub fn open_files(pid: u32) -> anyhow::Result<usize> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd"));
    Ok(entries.with_context(|| format!("process {pid}"))?.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_and_allocates_is_seen_to() {
        let pid = std::process::id();
        let (cpu_before, bytes_before) = (cpu(pid).unwrap(), anonymous_bytes(pid).unwrap());
        let block = vec![1u8; 64 << 20];
        while cpu(pid).unwrap() < cpu_before + Duration::from_millis(50) {
            std::hint::black_box(block.iter().map(|byte| u64::from(*byte)).sum::<u64>());
        }
        assert!(anonymous_bytes(pid).unwrap() >= bytes_before + (48 << 20));
    }
}
