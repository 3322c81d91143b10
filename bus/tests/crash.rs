//! What the embedded bus has acknowledged survives the death of its process.
//!
//! The test starts itself again as a child, which appends and puts from several tasks and
//! writes a line for each answer. It is killed in the middle of that.

#![expect(clippy::unwrap_used, reason = "a test panics when it fails")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use tripline_bus::embedded::{EmbeddedBus, OpenOptions};
use tripline_bus::{Append, Bus, Log, Revision};

const DIRECTORY: &str = "TRIPLINE_CRASH_TEST_DIRECTORY";
const JOURNAL_BYTES: &str = "TRIPLINE_CRASH_TEST_JOURNAL_BYTES";
const TASKS: u64 = 8;
const BATCH: u64 = 5;
const ROUNDS: usize = 10;

fn open(path: &Path, journal_bytes: u64) -> EmbeddedBus {
    EmbeddedBus::open(path, &OpenOptions { journal_bytes, ..OpenOptions::default() }).unwrap()
}

/// A record says who wrote it, in which of its batches, and where in it.
fn record(run: &str, task: u64, number: u64, part: u64) -> Append {
    let text = Bytes::from(format!("{run} {task} {number} {part}"));
    let record = [text.as_ref(), &vec![b'.'; 500 * part as usize]].concat();
    Append { dedup: Some(text), record: record.into() }
}

async fn write_on(bus: Arc<EmbeddedBus>, run: String, task: u64) {
    let mut revision = Revision::ABSENT;
    let key = format!("{run}/{task}");
    for number in 0.. {
        let batch = (0..BATCH).map(|part| record(&run, task, number, part)).collect();
        let appended = bus.append(Log::Events, batch).await.unwrap();
        let sequence = appended[0].position.sequence;
        revision = bus.put(&key, number.to_string().into(), revision).await.unwrap();
        // One write for each line, so that the parent sees all of it or nothing.
        let line = format!("answered {sequence} {run} {task} {number}\n");
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }
}

/// Does nothing in an ordinary run.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let journal_bytes = std::env::var(JOURNAL_BYTES).unwrap().parse().unwrap();
        let bus = Arc::new(open(Path::new(&directory), journal_bytes));
        let run = bus.extent(Log::Events).await.unwrap().next.sequence.to_string();
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..TASKS {
            tasks.spawn(write_on(Arc::clone(&bus), run.clone(), task));
        }
        tasks.join_all().await;
    });
}

/// What a child answered until it was killed: after so many lines.
fn answers_until_killed(directory: &Path, journal_bytes: u64, lines: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(JOURNAL_BYTES, journal_bytes.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut answers = Vec::new();
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        if line.ends_with('\n')
            && let Some((_, answer)) = line.split_once("answered ")
        {
            answers.push(answer.trim_end().to_owned());
        }
        if answers.len() == lines {
            child.kill().unwrap();
        }
        line.clear();
    }
    child.wait().unwrap();
    assert!(answers.len() >= lines, "the child ended by itself after {} answers", answers.len());
    answers
}

#[tokio::test]
async fn what_was_answered_is_there_after_the_process_was_killed() {
    kill_and_look(16 << 20).await;
}

/// Its frames are written over again and again.
#[tokio::test]
async fn what_was_answered_is_there_with_a_small_journal_too() {
    kill_and_look(64 << 10).await;
}

/// No disk has room for such a journal: the store does without.
#[tokio::test]
async fn what_was_answered_is_there_without_a_journal_too() {
    kill_and_look(1 << 55).await;
}

async fn kill_and_look(journal_bytes: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut answers = Vec::new();
    for round in 0..ROUNDS {
        answers.extend(answers_until_killed(dir.path(), journal_bytes, 3 + 17 * round));
        let bus = open(dir.path(), journal_bytes);
        let extent = bus.extent(Log::Events).await.unwrap();
        let mut records = Vec::new();
        let mut from = extent.first;
        while from != extent.next {
            let page = bus.read(Log::Events, from, 1000).await.unwrap();
            for stored in page {
                assert_eq!(stored.position, from, "no gap");
                from = from.next();
                records.push(stored.record);
            }
        }
        for answer in &answers {
            let fields: Vec<_> = answer.split(' ').collect();
            let [sequence, task, number] = [0, 2, 3].map(|at| fields[at].parse::<u64>().unwrap());
            for part in 0..BATCH {
                let stored = &records[(sequence + part - 1) as usize];
                assert_eq!(stored, &record(fields[1], task, number, part).record, "{answer}");
            }
            let entry = bus.get(&format!("{}/{task}", fields[1])).await.unwrap().unwrap();
            let value: u64 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
            assert!(value >= number, "{answer}: the key has {value}");
        }
        // Whether it was answered or not: a batch is there as a whole or not at all.
        assert_eq!(records.len() as u64 % BATCH, 0);
        for batch in records.chunks(BATCH as usize) {
            let text = String::from_utf8(batch[0].to_vec()).unwrap();
            let batch_of = text.trim_end_matches('0').to_owned();
            for (part, stored) in batch.iter().enumerate() {
                assert!(stored.starts_with(format!("{batch_of}{part}").as_bytes()), "{text}");
            }
        }
    }
}
