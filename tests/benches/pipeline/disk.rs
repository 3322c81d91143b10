//! What the disk takes for a sync, which nothing that is durable can do without.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tripline_tests::load::{histogram, note};

const BLOCK: [u8; 4096] = [7; 4096];

/// How long it took to append a block and sync the file, in microseconds, over and over.
pub fn measure(directory: &Path, time: Duration) -> anyhow::Result<Histogram<u64>> {
    let folder = tempfile::tempdir_in(directory)?;
    let mut file = File::create(folder.path().join("blocks"))?;
    let mut latencies = histogram();
    let begin = Instant::now();
    while begin.elapsed() < time {
        let at = Instant::now();
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        note(&mut latencies, at.elapsed());
    }
    Ok(latencies)
}
