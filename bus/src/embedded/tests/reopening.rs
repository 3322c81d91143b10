//! LMDB that cannot write the page by which a commit comes into force: the environment is opened
//! again, and nothing is lost or done twice.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{OFlags, fcntl_getfl};

use super::*;

/// Has every write of the page by which a commit comes into force answered as by a full disk,
/// until the environment is opened again. LMDB has a descriptor of its own for that page.
#[expect(unsafe_code, reason = "the descriptor is LMDB's, which does not lend it")]
fn fill_disk_for_metas(path: &Path) {
    let data = fs::canonicalize(path.join("data.mdb")).unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut found = 0;
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let entry = entry.unwrap();
        // Another test may have closed it just now.
        if fs::read_link(entry.path()).ok().as_ref() != Some(&data) {
            continue;
        }
        let number = entry.file_name().to_str().unwrap().parse().unwrap();
        // SAFETY: the environment is open, and so is its descriptor; it is not closed here.
        let mut descriptor = std::mem::ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
        if fcntl_getfl(&*descriptor).unwrap() & OFlags::RWMODE == OFlags::WRONLY {
            rustix::io::dup2(&full, &mut descriptor).unwrap();
            assert_eq!(descriptor.as_raw_fd(), number);
            found += 1;
        }
    }
    assert_eq!(found, 1, "the one descriptor of LMDB that is not read from");
}

impl Bench {
    fn path(&self) -> &Path {
        &self.store.directory.path
    }

    /// Appends an event; the answer.
    fn event(&mut self, bytes: usize) -> Result<u64, WriteError> {
        let (task, mut answer) = append(Log::Events, records(1, bytes));
        self.write(vec![task]);
        answer.try_recv().unwrap().map(|appended| appended[0].position.sequence)
    }

    /// Appends an event that is too large for the journal: its writer waits for LMDB.
    fn large_event(&mut self) -> Result<u64, WriteError> {
        let (task, mut answer) = append(Log::Events, records(1, 700_000));
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let request = Request { task, _permit: permit };
        let (store, writer) = (&self.store, &mut self.writer);
        std::thread::scope(|scope| {
            let written = scope.spawn(|| writer.write(vec![request]));
            let deadline = Instant::now() + Duration::from_secs(60);
            while store.backlog.first().is_empty() {
                assert!(Instant::now() < deadline, "nothing was pushed");
                std::thread::yield_now();
            }
            self.applier.settle(&store.backlog.first());
            assert!(written.join().unwrap().is_empty());
        });
        answer.try_recv().unwrap().map(|appended| appended[0].position.sequence)
    }

    /// LMDB's ledger.
    fn ledger(&self) -> Ledger {
        let held = self.store.current.hold();
        let Opened { env, tables } = held.opened().unwrap();
        tables.ledger(&env.read_txn().unwrap()).unwrap()
    }

    /// How many events can be read.
    fn events(&self) -> Result<usize, ReadError> {
        let origin = self.store.extent(Log::Events).first;
        self.store.records(Log::Events, origin, 100).map(|records| records.len())
    }
}

#[test]
fn lmdb_that_gives_up_its_environment_gets_another_one_and_what_waits() {
    let mut bench = bench();
    for number in 1..=3 {
        assert_eq!(bench.event(10).unwrap(), number);
    }
    bench.settle();
    for round in 0..3 {
        assert_eq!(bench.event(10).unwrap(), 4 + round);
        fill_disk_for_metas(bench.path());
        bench.applier.settle(&bench.store.backlog.first());
        let trouble = bench.store.backlog.trouble().unwrap();
        assert!(trouble.contains("No space left"), "{trouble}");
        // What it has is read, and what it does not have yet.
        assert_eq!(bench.events().unwrap(), 4 + round as usize);
        bench.settle();
        assert_eq!(bench.store.backlog.trouble(), None);
    }
    assert_eq!(bench.event(10).unwrap(), 7);
    assert_eq!(bench.events().unwrap(), 7);
}

#[test]
fn what_goes_past_the_journal_is_answered_as_it_is() {
    let mut bench = bench();
    assert_eq!(bench.event(10).unwrap(), 1);
    bench.settle();
    fill_disk_for_metas(bench.path());
    let refused = bench.large_event();
    assert!(matches!(&refused, Err(WriteError::Full(_))), "{refused:?}");
    // The next one is taken, at the place that the first one did not get.
    assert_eq!(bench.large_event().unwrap(), 2);
    assert_eq!(bench.events().unwrap(), 2);
}

/// The page was written though LMDB was told that it was not.
#[test]
fn a_commit_that_is_in_force_is_not_made_twice() {
    let mut bench = bench();
    for number in 1..=3 {
        assert_eq!(bench.event(10).unwrap(), number);
    }
    let due = bench.store.backlog.first();
    let held = bench.store.current.hold();
    let Opened { env, tables } = held.opened().unwrap();
    let before = tables.ledger(&env.read_txn().unwrap()).unwrap();
    let batches = due[..2].iter().map(|pending| &*pending.batch);
    applier::apply(env, tables, &before, batches, due[1].mark.as_ref()).unwrap();
    fill_disk_for_metas(bench.path());
    let mut txn = env.write_txn().unwrap();
    tables.keys.put(&mut txn, b"lost", b"").unwrap();
    txn.commit().unwrap_err();
    drop(held);
    bench.applier.settle(&due);
    assert_eq!(bench.store.backlog.progress().settled, 2);
    bench.settle();
    assert_eq!(bench.events().unwrap(), 3);
    assert_eq!(bench.event(10).unwrap(), 4);
}

#[test]
fn a_store_that_is_another_one_now_is_closed_and_nothing_is_made_of_it() {
    let mut bench = bench();
    assert_eq!(bench.event(10).unwrap(), 1);
    bench.settle();
    assert_eq!(bench.event(10).unwrap(), 2);
    let before = bench.ledger();
    let other = Ledger { last_revision: before.last_revision + 100, ..before };
    bench.change(|tables, txn| tables.put_ledger(txn, &before, &other));
    fill_disk_for_metas(bench.path());
    bench.applier.settle(&bench.store.backlog.first());
    for _ in 0..2 {
        let read = bench.events();
        assert!(matches!(&read, Err(ReadError::Unavailable(_))), "{read:?}");
        assert!(matches!(bench.event(10), Err(WriteError::Unavailable(_))));
        assert!(bench.store.backlog.trouble().is_some());
        assert!(bench.store.current.hold().opened().is_err());
        bench.applier.settle(&bench.store.backlog.first());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_read_and_written_comes_back_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let bus = Arc::new(open(dir.path()));
    let done = Arc::new(AtomicBool::new(false));
    let origin = bus.extent(Log::Events).await.unwrap().first;
    bus.append(Log::Events, records(100, 100)).await.unwrap();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (bus, done) = (Arc::clone(&bus), Arc::clone(&done));
            std::thread::spawn(move || {
                let (mut read, mut away) = (0_u64, 0_u64);
                while !done.load(Ordering::Relaxed) {
                    match bus.store.records(Log::Events, origin, 50) {
                        Ok(records) => assert_eq!(records.len(), 50),
                        Err(ReadError::Unavailable(_)) => away += 1,
                        Err(error) => panic!("{error}"),
                    }
                    read += 1;
                }
                (read, away)
            })
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut expected = 100;
    for _ in 0..5 {
        fill_disk_for_metas(dir.path());
        // As much as is due at once; whoever is refused comes again, as a producer does.
        for _ in 0..20 {
            while let Err(error) = bus.append(Log::Events, records(10, 10_000)).await {
                assert!(Instant::now() < deadline, "{error}");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            expected += 10;
        }
        while bus.store.backlog.progress().added > 0 {
            assert!(Instant::now() < deadline, "{:?}", bus.troubles());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(bus.troubles(), Vec::<String>::new());
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.join().unwrap().0 > 0);
    }
    drop(Arc::into_inner(bus).unwrap());
    let bus = open(dir.path());
    assert_eq!(next(&bus, Log::Events).await.sequence, expected + 1);
    let last = Position { sequence: expected, ..origin };
    assert_eq!(bus.read(Log::Events, last, 1).await.unwrap().len(), 1);
}
