use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::embedded::request::Reply;

const MIB: u64 = 1024 * 1024;

fn open(path: &Path) -> EmbeddedBus {
    EmbeddedBus::open(path, &OpenOptions::default()).unwrap()
}

fn refusal(path: &Path) -> String {
    EmbeddedBus::open(path, &OpenOptions::default()).err().unwrap().to_string()
}

fn records(count: usize, bytes: usize) -> Vec<Append> {
    let record = Bytes::from(vec![7; bytes]);
    vec![Append { dedup: None, record }; count]
}

fn with_id(id: impl Into<Bytes>) -> Vec<Append> {
    vec![Append { dedup: Some(id.into()), record: Bytes::from_static(b"x") }]
}

async fn next(bus: &EmbeddedBus, log: Log) -> Position {
    bus.extent(log).await.unwrap().next
}

#[test]
fn a_directory_in_use_is_refused_by_name_and_free_when_the_bus_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let bus = open(dir.path());
    let message = refusal(dir.path());
    for part in [dir.path().to_str().unwrap(), &format!("process {}", std::process::id())] {
        assert!(message.contains(part), "{message}");
    }
    drop(bus);
    drop(open(dir.path()));
}

#[test]
fn a_directory_in_use_is_waited_for_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let bus = open(dir.path());
    let waiting = |seconds| OpenOptions {
        lock_wait: Some(Duration::from_secs(seconds)),
        ..OpenOptions::default()
    };
    assert!(matches!(
        EmbeddedBus::open(dir.path(), &waiting(0)),
        Err(OpenError::InUse { pid: Some(_), .. })
    ));
    std::thread::scope(|scope| {
        let opened = scope.spawn(|| EmbeddedBus::open(dir.path(), &waiting(60)).map(drop));
        drop(bus);
        opened.join().unwrap().unwrap();
    });
}

#[test]
fn only_the_user_may_read_what_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/data");
    drop(open(&path));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["data.mdb", "format", "journal", "lock", "lock.mdb"]);
}

#[test]
fn what_is_no_store_of_this_format_is_refused() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage); 10] = [
        ("has format 3, this build knows 2", |path| fs::write(path.join("format"), "3\n").unwrap()),
        ("`format` holds no number", |path| fs::write(path.join("format"), "?").unwrap()),
        ("no file `format`", |path| fs::remove_file(path.join("format")).unwrap()),
        ("is no store", |path| fs::write(path.join("data.mdb"), [1; 100_000]).unwrap()),
        ("was cut off", |path| {
            let file = File::options().write(true).open(path.join("data.mdb")).unwrap();
            file.set_len(2 * 4096).unwrap();
        }),
        ("has format 7, this build knows 2", |path| set_version(path, 7)),
        ("`journal` is missing", |path| fs::remove_file(path.join("journal")).unwrap()),
        ("`journal` has 512 bytes of 16777216: it was cut off", |path| {
            File::options().write(true).open(path.join("journal")).unwrap().set_len(512).unwrap();
        }),
        ("is no batch of changes", |path| add_frame(path, b"what is this?")),
        ("does not go on where `data.mdb` ends", |path| {
            let mut payload = Vec::new();
            skipping_batch(path).encode_into(&mut payload);
            add_frame(path, &payload);
        }),
    ];
    for (expected, damage) in cases {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()));
        damage(dir.path());
        let message = refusal(dir.path());
        assert!(message.contains(expected), "{message}");
        assert!(message.contains(dir.path().to_str().unwrap()), "{message}");
    }
}

/// Puts a frame behind those of a journal.
fn add_frame(path: &Path, payload: &[u8]) {
    let Environment { env, tables, .. } = Environment::open(path, MIB).unwrap();
    let mark = tables.mark(&env.read_txn().unwrap()).unwrap().unwrap();
    let mut journal = Journal::new(journal::open(&path.join("journal")).unwrap(), mark);
    let mut frame = journal::Frame::default();
    frame.fill(|bytes| bytes.extend_from_slice(payload));
    journal.write(&mut frame, mark.offset).unwrap();
}

/// What a store would have after records that it does not have.
fn skipping_batch(path: &Path) -> changes::Batch {
    let Environment { mut ledger, .. } = Environment::open(path, MIB).unwrap();
    ledger.logs[0].next = 10;
    let change = changes::Change::Append { log: Log::Events, first: 9, records: records(1, 1) };
    changes::Batch { changes: vec![change], ledger, added: 1, removed: 0 }
}

/// Sets the version within the store, as a newer build would.
fn set_version(path: &Path, version: u32) {
    let Environment { env, tables, .. } = Environment::open(path, MIB).unwrap();
    let mut txn = env.write_txn().unwrap();
    tables.meta.put(&mut txn, b"format", &version.to_be_bytes()).unwrap();
    txn.commit().unwrap();
}

#[tokio::test]
async fn a_full_store_refuses_events_first_and_takes_them_again_when_trimmed() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { max_bytes: MIB, ..OpenOptions::default() };
    let bus = EmbeddedBus::open(dir.path(), &options).unwrap();
    for round in 0..5 {
        let mut taken = 0;
        let full = loop {
            match bus.append(Log::Events, records(10, 1000)).await {
                Ok(_) => taken += 10,
                Err(error) => break error,
            }
        };
        assert!(matches!(full, WriteError::Full(_)), "{full}");
        assert!((500..1000).contains(&taken), "round {round}: {taken} records of 1 KB in 1 MiB");
        // What follows from events is still taken.
        bus.append(Log::Outcomes, records(100, 1000)).await.unwrap();
        let value = Bytes::from(vec![1; 100_000]);
        let revision = bus.put("checkpoint", value, Revision::ABSENT).await.unwrap();
        bus.delete("checkpoint", revision).await.unwrap();
        assert!(bus.append(Log::Events, records(10, 1000)).await.is_err());
        for log in [Log::Events, Log::Outcomes] {
            bus.trim(log, next(&bus, log).await).await.unwrap();
        }
    }
}

#[tokio::test]
async fn how_full_a_store_is_is_known_before_it_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { max_bytes: 4 * MIB, ..OpenOptions::default() };
    let bus = EmbeddedBus::open(dir.path(), &options).unwrap();
    let mut before = bus.store.fill().unwrap();
    assert_eq!(before.limit, 4 * MIB);
    assert!(before.hundredths() < 5, "{before:?}");
    // What LMDB has just taken counts twice until that is known.
    let twice = 2 * MIB;
    while bus.append(Log::Events, records(10, 1000)).await.is_ok() {
        let fill = bus.store.fill().unwrap();
        assert!(fill.limit == before.limit && fill.used <= fill.limit + twice, "{fill:?}");
        assert!(fill.used + 50_000 + twice > before.used, "{fill:?} after {before:?}");
        before = fill;
    }
    assert!(before.hundredths() > 95, "{before:?}");
    bus.trim(Log::Events, next(&bus, Log::Events).await).await.unwrap();
    bus.backup(&dir.path().join("backup")).await.unwrap();
    assert!(bus.store.fill().unwrap().hundredths() < 10, "it has room again");
}

#[tokio::test]
async fn a_store_that_takes_nothing_any_more_can_be_trimmed() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { max_bytes: MIB, ..OpenOptions::default() };
    let bus = EmbeddedBus::open(dir.path(), &options).unwrap();
    let mut number = 0_u64;
    let mut batch = || {
        let append = |_| {
            number += 1;
            let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().repeat(8);
            Append { dedup: Some(id.into()), record: vec![7; 300].into() }
        };
        (0..500).map(append).collect::<Vec<_>>()
    };
    while bus.append(Log::Actions, batch()).await.is_ok() {}
    let full = bus.put("k", vec![1; 1_000_000].into(), Revision::ABSENT).await;
    assert!(matches!(full, Err(WriteError::Full(_))), "{full:?}");
    let end = next(&bus, Log::Actions).await;
    assert!(end.sequence > 5000, "{end}");
    bus.trim(Log::Actions, end).await.unwrap();
    bus.append(Log::Events, batch()).await.unwrap();
}

#[tokio::test]
async fn what_was_begun_is_written_before_the_bus_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let bus = open(dir.path());
    for id in 0..100 {
        let append = bus.append(Log::Events, with_id(format!("{id}")));
        let mut append = Box::pin(tokio::task::unconstrained(append));
        // Polled once: the request is with the writer, and nobody waits for the answer.
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(append.as_mut().poll(cx)));
        drop(polled.await);
    }
    drop(bus);
    assert_eq!(next(&open(dir.path()), Log::Events).await.sequence, 101);
}

/// A writer and an applier without their threads, so that a test decides what comes into one
/// group, and when LMDB gets it.
struct Bench {
    _dir: tempfile::TempDir,
    store: Arc<Store>,
    writer: Writer,
    applier: Applier,
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::lock(dir.path(), &OpenOptions::default()).unwrap();
    directory.check_format().unwrap();
    let environment = Environment::open(dir.path(), 64 * MIB).unwrap();
    let (journal, ledger) = recover(&directory, &environment, MIB).unwrap();
    let mark = journal.as_ref().map(Journal::mark);
    let store = Arc::new(Store::new(directory, environment, MIB, ledger, mark));
    let ends = Arc::new(ledger.logs.map(|log| watch::Sender::new(log.next)));
    let writer = Writer::new(Arc::clone(&store), ends, journal, 1000).unwrap();
    let applier = Applier::new(Arc::clone(&store), ledger);
    Bench { _dir: dir, store, writer, applier }
}

impl Bench {
    /// Returns how many syncs it took.
    fn write(&mut self, tasks: Vec<Task>) -> u64 {
        let before = self.store.backlog.progress().pushed;
        let queue = Arc::new(Semaphore::new(tasks.len()));
        let place = || Arc::clone(&queue).try_acquire_owned().unwrap();
        let group = tasks.into_iter().map(|task| Request { task, _permit: place() }).collect();
        let mut unfinished = self.writer.write(group);
        while !unfinished.is_empty() {
            unfinished = self.writer.write(unfinished);
        }
        self.store.backlog.progress().pushed - before
    }

    /// Changes LMDB past the store.
    fn change(&self, change: impl FnOnce(&Tables, &mut heed::RwTxn) -> heed::Result<()>) {
        let held = self.store.current.hold();
        let Opened { env, tables } = held.opened().unwrap();
        let mut txn = env.write_txn().unwrap();
        change(tables, &mut txn).unwrap();
        txn.commit().unwrap();
    }

    /// Brings LMDB up to date.
    fn settle(&mut self) {
        while self.store.backlog.progress().added > 0 {
            self.applier.settle(&self.store.backlog.first());
        }
    }
}

type Answer<T> = tokio::sync::oneshot::Receiver<Result<T, WriteError>>;

fn append(log: Log, batch: Vec<Append>) -> (Task, Answer<Vec<Appended>>) {
    let (reply, answer) = Reply::new();
    (Task::Append { log, bytes: batch_bytes(&batch).unwrap(), batch, reply }, answer)
}

fn put(key: &str, expected: Revision) -> (Task, Answer<Revision>) {
    let (reply, answer) = Reply::new();
    (Task::Put { key: key.into(), value: Bytes::from_static(b"v"), expected, reply }, answer)
}

fn trim(log: Log, below: Position) -> (Task, Answer<()>) {
    let (reply, answer) = Reply::new();
    (Task::Trim { log, below, reply }, answer)
}

#[test]
fn a_group_is_one_commit_and_a_refusal_in_it_spoils_no_other() {
    let mut bench = bench();
    let (first, mut first_answer) = append(Log::Events, with_id("a"));
    let (conflict, mut conflict_answer) = put("k", Revision(9));
    let (again, mut again_answer) = append(Log::Events, with_id("a"));
    let (wins, mut wins_answer) = put("k", Revision::ABSENT);
    let (loses, mut loses_answer) = put("k", Revision::ABSENT);
    assert_eq!(bench.write(vec![first, conflict, again, wins, loses]), 1, "one frame");
    assert!(!first_answer.try_recv().unwrap().unwrap()[0].duplicate);
    assert!(again_answer.try_recv().unwrap().unwrap()[0].duplicate);
    assert!(wins_answer.try_recv().unwrap().is_ok());
    for lost in [conflict_answer.try_recv(), loses_answer.try_recv()] {
        assert!(matches!(lost, Ok(Err(WriteError::Conflict { .. }))), "{lost:?}");
    }
    // Nothing but duplicates needs no commit at all.
    let (again, mut again_answer) = append(Log::Events, with_id("a"));
    assert_eq!(bench.write(vec![again]), 0);
    assert!(again_answer.try_recv().unwrap().unwrap()[0].duplicate);
}

#[test]
fn a_request_that_breaks_its_transaction_is_refused_alone() {
    let mut bench = bench();
    let (filled, mut answer) = append(Log::Events, records(10, 10));
    bench.write(vec![filled]);
    let end = answer.try_recv().unwrap().unwrap()[9].position;
    bench.settle();
    // A gap, which is found when the log is trimmed. The tail lets go what LMDB has with the next write.
    let (next, _) = put("next", Revision::ABSENT);
    bench.write(vec![next]);
    bench.change(|tables, txn| tables.logs[0].delete(txn, &5_u64.to_be_bytes()).map(drop));
    let (before, mut before_answer) = append(Log::Events, with_id("a"));
    let (breaks, mut breaks_answer) = trim(Log::Events, end);
    let (after, mut after_answer) = put("k", Revision::ABSENT);
    bench.write(vec![before, breaks, after]);
    assert_eq!(before_answer.try_recv().unwrap().unwrap()[0].position, end.next());
    let broken = breaks_answer.try_recv().unwrap();
    assert!(
        matches!(&broken, Err(WriteError::Unavailable(why)) if why.contains("gap")),
        "{broken:?}"
    );
    assert!(after_answer.try_recv().unwrap().is_ok());
    let read = bench.store.records(Log::Events, end.origin(), 100);
    assert!(matches!(read, Err(ReadError::Damaged(_))), "{read:?}");
}

#[test]
fn a_long_trim_lets_others_in_between() {
    let mut bench = bench();
    let (filled, mut answer) = append(Log::Events, records(5000, 1));
    bench.write(vec![filled]);
    let end = answer.try_recv().unwrap().unwrap()[4999].position;
    let (trimming, mut trimmed) = trim(Log::Events, end);
    assert!(bench.write(vec![trimming]) > 3, "others come in between");
    trimmed.try_recv().unwrap().unwrap();
    assert_eq!(bench.store.extent(Log::Events).first, end);
}

#[tokio::test]
async fn a_backup_goes_on_where_it_was_taken() {
    let dir = tempfile::tempdir().unwrap();
    let [data, other, file] = ["data", "other", "backup"].map(|name| dir.path().join(name));
    let bus = open(&data);
    bus.append(Log::Events, with_id("a")).await.unwrap();
    bus.append(Log::Actions, records(2000, 1000)).await.unwrap();
    bus.put("k", Bytes::from_static(b"v"), Revision::ABSENT).await.unwrap();
    let extents = [Log::Events, Log::Actions].map(|log| bus.store.extent(log));
    // Taken while others write.
    let (backup, _) = tokio::join!(bus.backup(&file), bus.append(Log::Outcomes, records(9, 9)));
    assert_eq!(backup.unwrap(), fs::metadata(&file).unwrap().len());
    let again = bus.backup(&file).await;
    assert!(matches!(again, Err(BackupError::Exists(_))), "{again:?}");
    bus.append(Log::Events, with_id("later")).await.unwrap();
    drop(bus);

    let options = OpenOptions::default();
    restore(&file, &other, &options, false).unwrap();
    let bus = open(&other);
    assert_eq!([Log::Events, Log::Actions].map(|log| bus.store.extent(log)), extents);
    assert!(bus.append(Log::Events, with_id("a")).await.unwrap()[0].duplicate);
    assert!(!bus.append(Log::Events, with_id("later")).await.unwrap()[0].duplicate);
    assert_eq!(bus.get("k").await.unwrap().unwrap().value, "v");
    let in_use = restore(&file, &other, &options, true);
    assert!(matches!(in_use, Err(BackupError::Open(OpenError::InUse { .. }))), "{in_use:?}");
    drop(bus);
    let kept = restore(&file, &other, &options, false);
    assert!(matches!(kept, Err(BackupError::NotEmpty(_))), "{kept:?}");
    restore(&file, &other, &options, true).unwrap();
    assert_eq!(open(&other).store.extent(Log::Events), extents[0]);
}

#[tokio::test]
async fn what_is_no_backup_is_refused_and_leaves_the_store_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let [data, good, bad] = ["data", "good", "bad"].map(|name| dir.path().join(name));
    let bus = open(&data);
    bus.append(Log::Events, records(100, 1000)).await.unwrap();
    bus.backup(&good).await.unwrap();
    drop(bus);
    let good = fs::read(&good).unwrap();
    let newer = {
        let newer = dir.path().join("newer");
        fs::create_dir(&newer).unwrap();
        fs::write(newer.join("data.mdb"), &good).unwrap();
        set_version(&newer, 3);
        fs::read(newer.join("data.mdb")).unwrap()
    };
    for (expected, content) in [
        ("is empty", vec![]),
        ("is no store", vec![7; 100_000]),
        ("was cut off", good[..good.len() / 2].to_vec()),
        ("has format 3, this build knows 2", newer),
    ] {
        fs::write(&bad, content).unwrap();
        let error = restore(&bad, &data, &OpenOptions::default(), true).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(bad.to_str().unwrap()), "{error}");
        assert_eq!(next(&open(&data), Log::Events).await.sequence, 101);
    }
    let missing = restore(&dir.path().join("x"), &data, &OpenOptions::default(), true);
    assert!(missing.unwrap_err().to_string().contains("No such file"));
}

#[tokio::test]
async fn the_dedup_ids_of_the_newest_records_are_known_also_after_a_restart() {
    const WINDOW: u64 = 100;
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { dedup_records: WINDOW as usize, ..OpenOptions::default() };
    let mut bus = EmbeddedBus::open(dir.path(), &options).unwrap();
    let id = |number: u64| with_id(number.to_be_bytes().to_vec());
    let mut newest = 0;
    for round in 0..10 {
        for _ in 0..37 {
            newest += 1;
            assert!(!bus.append(Log::Events, id(newest)).await.unwrap()[0].duplicate);
        }
        if round % 3 == 2 {
            drop(bus);
            bus = EmbeddedBus::open(dir.path(), &options).unwrap();
        }
        for known in newest.saturating_sub(WINDOW - 1).max(1)..=newest {
            let again = bus.append(Log::Events, id(known)).await.unwrap()[0];
            assert_eq!((again.duplicate, again.position.sequence), (true, known));
        }
    }
    // What is older than twice the window is a new record.
    assert!(!bus.append(Log::Events, id(1)).await.unwrap()[0].duplicate);
}

#[test]
fn a_dedup_id_of_a_draft_that_was_given_up_is_not_known() {
    let mut bench = bench();
    // The first request drafts `a`, the second one breaks the draft.
    let (filled, mut answer) = append(Log::Outcomes, records(10, 10));
    bench.write(vec![filled]);
    let end = answer.try_recv().unwrap().unwrap()[9].position;
    bench.settle();
    bench.change(|tables, txn| tables.logs[2].delete(txn, &5_u64.to_be_bytes()).map(drop));
    let (first, mut first_answer) = append(Log::Events, with_id("a"));
    let (next, _) = append(Log::Outcomes, records(1, 1));
    bench.write(vec![next]);
    let (breaks, mut broken) = trim(Log::Outcomes, end);
    let (mut first, breaks) = (vec![first], breaks);
    // Drafted in one group, in which `a` would be the first; then each is tried alone, in the
    // order of the group.
    first.insert(0, append(Log::Events, with_id("b")).0);
    first.push(breaks);
    bench.write(first);
    assert!(broken.try_recv().unwrap().is_err());
    assert_eq!(first_answer.try_recv().unwrap().unwrap()[0].position.sequence, 2);
    for (id, expected) in [("b", (1, true)), ("a", (2, true)), ("c", (3, false))] {
        let (task, mut answer) = append(Log::Events, with_id(id));
        bench.write(vec![task]);
        let appended = answer.try_recv().unwrap().unwrap()[0];
        assert_eq!((appended.position.sequence, appended.duplicate), expected, "{id}");
    }
}

#[tokio::test]
async fn a_trimmed_store_keeps_no_dedup_ids() {
    let dir = tempfile::tempdir().unwrap();
    let bus = open(dir.path());
    bus.append(Log::Events, with_id("a")).await.unwrap();
    bus.trim(Log::Events, next(&bus, Log::Events).await).await.unwrap();
    assert!(!bus.append(Log::Events, with_id("a")).await.unwrap()[0].duplicate);
    bus.trim(Log::Events, next(&bus, Log::Events).await).await.unwrap();
    drop(bus);
    let bus = open(dir.path());
    let held = bus.store.current.hold();
    let Opened { env, tables } = held.opened().unwrap();
    assert_eq!(tables.ids[0].len(&env.read_txn().unwrap()).unwrap(), 0);
}

/// `tests/fixtures/format-1.mdb` was written by a build that knew format 1: records 1 to 20 of
/// EVENTS, of which 5 were trimmed, 5 of ACTIONS, 3 of OUTCOMES, every second one with an id.
#[tokio::test]
async fn a_store_of_format_1_is_opened_and_gets_a_journal() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1.mdb");
    let version_of = |path: &Path| {
        let Environment { env, tables, .. } = Environment::open(path, MIB).unwrap();
        let txn = env.read_txn().unwrap();
        (Tables::version(&env, &txn).unwrap(), tables.mark(&txn).unwrap().is_some())
    };
    let dir = tempfile::tempdir().unwrap();
    let [old, restored] = ["old", "restored"].map(|name| dir.path().join(name));
    fs::create_dir(&old).unwrap();
    fs::write(old.join("format"), "1\n").unwrap();
    fs::copy(&fixture, old.join("data.mdb")).unwrap();
    assert_eq!(version_of(&old), (Some(1), false));
    restore(&fixture, &restored, &OpenOptions::default(), false).unwrap();
    for path in [old, restored] {
        for next in 21..23 {
            let bus = open(&path);
            let extents = Log::ALL.map(|log| bus.store.extent(log));
            let found = extents.map(|extent| (extent.first.sequence, extent.next.sequence));
            assert_eq!(found, [(6, next), (1, 6), (1, 4)]);
            let events = bus.read(Log::Events, extents[0].first, 15).await.unwrap();
            for (stored, number) in events.iter().zip(6..) {
                assert_eq!(stored.record, format!("record {number}"));
                assert_eq!(stored.position, Position::new(1_830_992_612, number));
            }
            assert_eq!(events.len(), 15);
            assert!(bus.append(Log::Events, with_id("id-20")).await.unwrap()[0].duplicate);
            assert!(
                !bus.append(Log::Events, with_id(format!("{next}"))).await.unwrap()[0].duplicate
            );
            assert_eq!(bus.get("state/head").await.unwrap().unwrap().value, "two");
            assert_eq!(bus.get("gone").await.unwrap(), None);
            drop(bus);
            assert_eq!(version_of(&path), (Some(2), true));
            assert_eq!(fs::read_to_string(path.join("format")).unwrap(), "2\n");
        }
    }
}

#[tokio::test]
async fn a_store_without_room_for_a_journal_does_without_and_gets_one_later() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { journal_bytes: 1 << 55, ..OpenOptions::default() };
    let journal = dir.path().join("journal");
    for id in ["a", "b"] {
        let bus = EmbeddedBus::open(dir.path(), &options).unwrap();
        bus.append(Log::Events, with_id(id)).await.unwrap();
        assert!(bus.append(Log::Events, with_id("a")).await.unwrap()[0].duplicate);
        assert!(!journal.exists());
    }
    drop(open(dir.path()));
    let bus = open(dir.path());
    assert_eq!(next(&bus, Log::Events).await.sequence, 3);
    assert_eq!(fs::metadata(journal).unwrap().len(), 16 * MIB);
}

#[test]
fn what_lmdb_does_not_take_is_kept_in_the_journal_while_that_has_room() {
    let mut bench = bench();
    // A record where the next one belongs: LMDB refuses to append another one.
    let stray = 1_u64.to_be_bytes();
    bench.change(|tables, txn| tables.logs[0].put(txn, &stray, b"stray"));
    let mut taken = 0;
    let refused = loop {
        let (task, mut answer) = append(Log::Events, records(1, 100_000));
        bench.write(vec![task]);
        match answer.try_recv().unwrap() {
            Ok(appended) => assert_eq!(appended[0].position.sequence, taken + 1),
            Err(refused) => break refused,
        }
        taken += 1;
        bench.applier.settle(&bench.store.backlog.first());
    };
    assert!(matches!(refused, WriteError::Unavailable(_)), "{refused}");
    assert!(taken >= 9, "{taken} records of 100 KB in 1 MiB");
    let trouble = bench.store.backlog.trouble().unwrap();
    assert!(refused.to_string().contains(&trouble), "{refused}: {trouble}");
    // It is all there, and LMDB gets it as soon as it takes it.
    let origin = bench.store.extent(Log::Events).first;
    let count = |bench: &Bench| bench.store.records(Log::Events, origin, 100).unwrap().len() as u64;
    assert_eq!(count(&bench), taken);
    bench.change(|tables, txn| tables.logs[0].delete(txn, &stray).map(drop));
    bench.settle();
    assert_eq!(bench.store.backlog.trouble(), None);
    let (task, mut answer) = append(Log::Events, records(1, 100_000));
    bench.write(vec![task]);
    assert_eq!(answer.try_recv().unwrap().unwrap()[0].position.sequence, taken + 1);
    assert_eq!(count(&bench), taken + 1);
}

#[tokio::test]
async fn a_backup_has_what_was_acknowledged_before_it_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let [data, other, file] = ["data", "other", "backup"].map(|name| dir.path().join(name));
    let bus = open(&data);
    for number in 1..=20_u64 {
        bus.append(Log::Events, records(1, 10)).await.unwrap();
        bus.backup(&file).await.unwrap();
        restore(&file, &other, &OpenOptions::default(), true).unwrap();
        assert_eq!(next(&open(&other), Log::Events).await.sequence, number + 1);
        fs::remove_file(&file).unwrap();
    }
    // The journal of the store that was there before is none of the one that is there now.
    restore_over_a_journal_that_is_not_empty(&file, &data, bus).await;
}

async fn restore_over_a_journal_that_is_not_empty(file: &Path, data: &Path, bus: EmbeddedBus) {
    bus.backup(file).await.unwrap();
    bus.append(Log::Events, with_id("not in the backup")).await.unwrap();
    drop(bus);
    restore(file, data, &OpenOptions::default(), true).unwrap();
    let bus = open(data);
    assert_eq!(next(&bus, Log::Events).await.sequence, 21);
    assert!(!bus.append(Log::Events, with_id("not in the backup")).await.unwrap()[0].duplicate);
}

mod reopening;
