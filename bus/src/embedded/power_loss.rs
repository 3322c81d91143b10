//! What was acknowledged survives the loss of power: a simulation.
//!
//! The writer and the applier run as they are, in one thread. The journal is on a disk that
//! knows what was synced. When the power is lost, of everything else each sector is there or is
//! not, at random. LMDB writes its file itself; what is left of that is made from what the file
//! holds before and after a commit, by the order in which LMDB does things: pages that
//! nothing refers to, a sync, and one page that refers to them. Then the store is started from
//! what is left, checked, and goes on to the next loss.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::sync::{Mutex, MutexGuard};

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::journal::JournalFile;
use super::recovery::replay;
use super::request::Reply;
use super::*;

/// Small, so that it is written over many times.
const CAPACITY: u64 = 64 * 1024;
/// Little more than what is kept back for trimming: all of it is allocated at each start.
const MAP_BYTES: u64 = 18 << 20;
const SECTOR_BYTES: usize = 512;
const PAGE_BYTES: usize = 4096;
/// LMDB's first two pages are those that refer to all others.
const META_PAGES: usize = 2;
/// How often the power is lost in one run.
const LIVES: usize = 4;
const SEEDS: u64 = 60;

/// A disk whose power can be lost.
#[derive(Clone)]
struct Disk(Arc<Mutex<Platter>>);

struct Platter {
    /// What reads see.
    seen: Vec<u8>,
    /// What is there when the power is lost now, but for `unsynced`.
    kept: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
    /// How many operations there is power for.
    power: usize,
    /// It says that it has synced, and has not.
    lies: bool,
    random: SmallRng,
}

impl Disk {
    fn new(content: Vec<u8>, power: usize, lies: bool, random: SmallRng) -> Self {
        let (seen, kept) = (content.clone(), content);
        let platter = Platter { seen, kept, unsynced: Vec::new(), power, lies, random };
        Self(Arc::new(Mutex::new(platter)))
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap()
    }

    /// What is left of it.
    fn lose_power(&self) -> Vec<u8> {
        let mut platter = self.platter();
        platter.power = 0;
        platter.settle_at_random();
        platter.kept.clone()
    }
}

impl Platter {
    /// What was not synced is there in part, in any order.
    fn settle_at_random(&mut self) {
        let mut sectors = Vec::new();
        for (at, bytes) in self.unsynced.drain(..) {
            let at = (at..).step_by(SECTOR_BYTES);
            sectors.extend(at.zip(bytes.chunks(SECTOR_BYTES).map(<[u8]>::to_vec)));
        }
        sectors.shuffle(&mut self.random);
        let share = [0.0, 0.1, 0.5, 0.9, 1.0][self.random.random_range(0..5)];
        for (at, sector) in sectors {
            if self.random.random_bool(share) {
                self.kept[at..at + sector.len()].copy_from_slice(&sector);
            }
        }
    }

    /// Whether an operation is done; if not, the power is lost, or it failed.
    fn operate(&mut self) -> io::Result<()> {
        self.power = self.power.saturating_sub(1);
        if self.power == 0 || self.random.random_bool(0.03) {
            return Err(io::Error::other("the disk does not answer"));
        }
        Ok(())
    }
}

impl JournalFile for Disk {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let offset = offset as usize;
        bytes.copy_from_slice(&self.platter().seen[offset..offset + bytes.len()]);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut platter, offset) = (self.platter(), offset as usize);
        // What failed may have been written too.
        platter.seen[offset..offset + bytes.len()].copy_from_slice(bytes);
        platter.unsynced.push((offset, bytes.to_vec()));
        platter.operate()
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.platter();
        if let Err(error) = platter.operate() {
            // What a sync could not write, no later one tries to.
            platter.settle_at_random();
            return Err(error);
        }
        if !platter.lies {
            for (at, bytes) in std::mem::take(&mut platter.unsynced) {
                platter.kept[at..at + bytes.len()].copy_from_slice(&bytes);
            }
        }
        Ok(())
    }
}

/// Something asked for.
#[derive(Clone, Debug)]
enum Ask {
    Append(Log, Vec<Append>),
    Put(String, Bytes),
    Delete(String),
    Trim(Log, u64),
}

/// A record that is kept, and its id.
type Kept = (Option<Bytes>, Bytes);

/// What there should be.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    /// Every record that was ever there, with its id, and how many of them were trimmed.
    logs: [(Vec<Kept>, u64); 3],
    keys: BTreeMap<String, Bytes>,
}

impl Model {
    fn apply(&mut self, ask: &Ask) {
        match ask {
            Ask::Append(log, batch) => {
                let records = batch.iter().map(|a| (a.dedup.clone(), a.record.clone()));
                self.logs[log.index()].0.extend(records);
            }
            Ask::Put(key, value) => drop(self.keys.insert(key.clone(), value.clone())),
            Ask::Delete(key) => drop(self.keys.remove(key)),
            Ask::Trim(log, below) => {
                let (records, trimmed) = &mut self.logs[log.index()];
                *trimmed = (*trimmed).max((below - 1).min(records.len() as u64));
            }
        }
    }

    /// What to print of it.
    fn outline(&self) -> String {
        let numbers = |records: &[Kept]| {
            let number = |(_, record): &Kept| {
                String::from_utf8_lossy(record).split('/').next().map(str::to_owned)
            };
            records.iter().filter_map(number).collect::<Vec<_>>().join(" ")
        };
        let logs = self
            .logs
            .iter()
            .map(|(records, trimmed)| format!("after {trimmed} trimmed: {}; ", numbers(records)));
        format!("{}{:?}", logs.collect::<String>(), self.keys)
    }

    /// The same without what was trimmed.
    fn visible(&self) -> Self {
        let mut visible = self.clone();
        for (records, trimmed) in &mut visible.logs {
            records.drain(..*trimmed as usize);
        }
        visible
    }
}

/// A store from its start until the power is lost.
struct Life {
    store: Arc<Store>,
    writer: Writer<Disk>,
    applier: Applier,
    disk: Disk,
}

impl Life {
    fn start(dir: &Path, disk: Disk) -> Result<Self, String> {
        let directory = Directory::lock(dir, &OpenOptions::default()).unwrap();
        let environment = Environment::open(dir, MAP_BYTES).map_err(|error| error.to_string())?;
        let Environment { env, tables, ledger } = &environment;
        let mark = tables.mark(&env.read_txn().unwrap()).unwrap().unwrap();
        let mut journal = Journal::new(disk.clone(), mark);
        let ledger = replay(&directory, env, tables, *ledger, &mut journal)
            .map_err(|error| error.to_string())?;
        let mark = Some(journal.mark());
        let store = Arc::new(Store::new(directory, environment, MAP_BYTES, ledger, mark));
        let ends = Arc::new(ledger.logs.map(|log| watch::Sender::new(log.next)));
        let writer = Writer::new(Arc::clone(&store), ends, Some(journal), 1000).unwrap();
        let applier = Applier::new(Arc::clone(&store), ledger);
        Ok(Self { store, writer, applier, disk })
    }

    /// What there is.
    fn found(&self) -> Result<Model, String> {
        let mut found = Model::default();
        for log in Log::ALL {
            let extent = self.store.extent(log);
            let (records, trimmed) = &mut found.logs[log.index()];
            *trimmed = extent.first.sequence - 1;
            let mut from = extent.first;
            while from != extent.next {
                let page = self.store.appends(log, from, 7).map_err(|error| error.to_string())?;
                from.sequence += page.len() as u64;
                records.extend(page.into_iter().map(|append| (append.dedup, append.record)));
            }
        }
        for key in self.store.keys("", None, usize::MAX).map_err(|error| error.to_string())? {
            let entry = self.store.entry(&key).map_err(|error| error.to_string())?;
            found.keys.insert(key, entry.ok_or("a key that is not there is listed")?.value);
        }
        Ok(found)
    }

    /// Writes a group; which of it was acknowledged.
    fn write(&mut self, asked: &[Ask]) -> Vec<bool> {
        let mut answers: Vec<Answer> = Vec::new();
        let mut group = Vec::new();
        for ask in asked {
            group.push(Request { task: self.task(ask, &mut answers), _permit: permit() });
        }
        while !group.is_empty() {
            group = self.writer.write(group);
        }
        answers.iter_mut().map(|answer| answer()).collect()
    }

    fn task(&self, ask: &Ask, answers: &mut Vec<Answer>) -> Task {
        fn answer<T: 'static>(answers: &mut Vec<Answer>) -> Reply<T> {
            let (reply, mut answer) = Reply::new();
            answers.push(Box::new(move || matches!(answer.try_recv(), Ok(Ok(_)))));
            reply
        }
        let revision = |key: &str| {
            let entry = self.store.entry(key).unwrap();
            entry.map_or(Revision::ABSENT, |entry| entry.revision)
        };
        match ask {
            Ask::Append(log, batch) => {
                let (bytes, reply) = (batch_bytes(batch).unwrap(), answer(answers));
                Task::Append { log: *log, batch: batch.clone(), bytes, reply }
            }
            Ask::Put(key, value) => {
                let (expected, reply) = (revision(key), answer(answers));
                Task::Put { key: key.clone(), value: value.clone(), expected, reply }
            }
            Ask::Delete(key) => {
                let (expected, reply) = (revision(key), answer(answers));
                Task::Delete { key: key.clone(), expected, reply }
            }
            Ask::Trim(log, below) => {
                let next = self.store.extent(*log).next;
                let below = Position { sequence: *below, ..next };
                Task::Trim { log: *log, below, reply: answer(answers) }
            }
        }
    }

    fn settle(&mut self) {
        self.applier.settle(&self.store.backlog.first());
    }

    fn has_room(&self) -> bool {
        let progress = self.store.backlog.progress();
        self.writer.has_room_for(CAPACITY / 3, progress.offset)
    }

    /// LMDB's file as it is.
    fn pages(&self) -> Vec<u8> {
        let held = self.store.current.hold();
        let pages = held.opened().unwrap().env.info().last_page_number + 1;
        let file = fs::File::open(self.store.directory.path.join("data.mdb")).unwrap();
        let mut content = Vec::new();
        file.take((pages * PAGE_BYTES) as u64).read_to_end(&mut content).unwrap();
        content
    }
}

/// Whether a request was acknowledged.
type Answer = Box<dyn FnMut() -> bool>;

fn permit() -> tokio::sync::OwnedSemaphorePermit {
    Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap()
}

/// What is left of LMDB's file when the power is lost in a commit that makes `before` to `after`.
fn torn(random: &mut SmallRng, before: &[u8], after: &[u8]) -> Vec<u8> {
    let mut left = before.to_vec();
    left.resize(after.len().max(before.len()), 0);
    let is_synced = random.random_bool(0.3);
    let metas = META_PAGES * PAGE_BYTES;
    for at in (metas..after.len()).step_by(SECTOR_BYTES) {
        if is_synced || random.random_bool(0.5) {
            left[at..at + SECTOR_BYTES].copy_from_slice(&after[at..at + SECTOR_BYTES]);
        }
    }
    if is_synced && random.random_bool(0.5) {
        left[..metas].copy_from_slice(&after[..metas]);
    }
    left
}

/// On memory where there is some: the simulation syncs what it has to.
fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A group of requests that touch different keys and logs that are trimmed by none of them.
fn group(random: &mut SmallRng, sent: &mut u64) -> Vec<Ask> {
    let mut asked = Vec::new();
    for number in 0..random.random_range(1..4) {
        let log = Log::ALL[random.random_range(0..3)];
        asked.push(match random.random_range(0..12) {
            0..8 => {
                let records = random.random_range(1..5);
                let append = |_| {
                    *sent += 1;
                    let bytes = [1, 100, 1500][random.random_range(0..3)];
                    let record = format!("{sent}/{}", "x".repeat(bytes)).into();
                    let dedup = random.random_bool(0.7).then(|| format!("id-{sent}").into());
                    Append { dedup, record }
                };
                Ask::Append(log, (0..records).map(append).collect())
            }
            8..10 => {
                *sent += 1;
                Ask::Put(format!("{number}-{}", random.random_range(0..3)), sent.to_string().into())
            }
            10 => Ask::Delete(format!("{number}-{}", random.random_range(0..3))),
            _ => Ask::Trim(log, random.random_range(1..sent.max(&mut 2).to_owned())),
        });
    }
    asked
}

/// A run: some lives, each ended by a loss of power. What does not hold is said.
fn run(seed: u64, lies: bool) -> Result<usize, String> {
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut dir, mut content) = (directory(), vec![0; CAPACITY as usize]);
    let Environment { env, tables, .. } = Environment::open(dir.path(), MAP_BYTES).unwrap();
    let mut txn = env.write_txn().unwrap();
    let mark = Mark { journal: seed, capacity: CAPACITY, number: 0, offset: 0 };
    tables.put_mark(&mut txn, &mark).unwrap();
    txn.commit().unwrap();
    drop(env);
    let (mut sent, mut acknowledged) = (0, 0);
    let mut expected = Expected::default();
    for life in 0..LIVES {
        let power = random.random_range(1..400);
        let disk = Disk::new(content, power, lies, SmallRng::from_rng(&mut random));
        let mut alive =
            Life::start(dir.path(), disk).map_err(|why| format!("life {life}: {why}"))?;
        expected.check(&alive.found()?).map_err(|why| format!("life {life}: {why}"))?;
        let (mut pages, mut left) = (alive.pages(), None);
        while alive.disk.platter().power > 0 && left.is_none() {
            if !alive.has_room() || random.random_bool(0.1) {
                let before = pages;
                alive.settle();
                pages = alive.pages();
                left = random.random_bool(0.05).then(|| torn(&mut random, &before, &pages));
            } else {
                let asked = group(&mut random, &mut sent);
                let answered = alive.write(&asked);
                acknowledged += answered.iter().filter(|answered| **answered).count();
                expected.answered(&asked, &answered);
            }
        }
        if expected.possible.is_empty() && alive.found()? != expected.certain.visible() {
            return Err(format!("life {life}: readers do not see what was acknowledged"));
        }
        content = alive.disk.lose_power();
        drop(alive);
        dir = directory();
        fs::write(dir.path().join("data.mdb"), left.unwrap_or(pages)).unwrap();
    }
    Ok(acknowledged)
}

/// What may be found after a loss.
#[derive(Default)]
struct Expected {
    /// What was acknowledged.
    certain: Model,
    /// That with what was asked for last and refused: it may be durable.
    possible: Vec<Model>,
}

impl Expected {
    fn answered(&mut self, asked: &[Ask], answered: &[bool]) {
        if answered.contains(&false) {
            // The group as a whole, before its requests were tried one by one.
            let mut whole = self.certain.clone();
            asked.iter().for_each(|ask| whole.apply(ask));
            self.possible.push(whole);
        }
        for (ask, answered) in asked.iter().zip(answered) {
            let mut next = self.certain.clone();
            next.apply(ask);
            if *answered {
                if next != self.certain {
                    // What was refused before is gone for good: nothing may come in between.
                    self.possible.clear();
                }
                self.certain = next;
            } else {
                self.possible.push(next);
            }
        }
    }

    fn check(&mut self, found: &Model) -> Result<(), String> {
        let mut models = self.possible.drain(..);
        if self.certain.visible() != *found {
            let Some(model) = models.find(|model| model.visible() == *found) else {
                let certain = self.certain.visible();
                let (found, certain) = (found.outline(), certain.outline());
                return Err(format!("there is {found}; acknowledged is {certain}"));
            };
            self.certain = model;
        }
        Ok(())
    }
}

#[test]
fn what_was_acknowledged_survives_the_loss_of_power() {
    let mut acknowledged = 0;
    for seed in 0..SEEDS {
        match run(seed, false) {
            Ok(count) => acknowledged += count,
            Err(why) => panic!("seed {seed}: {why:.2000}"),
        }
    }
    assert!(acknowledged > 50 * SEEDS as usize, "too little to be a test: {acknowledged}");
}

#[test]
fn an_acknowledgement_before_the_sync_is_caught() {
    let seeds = SEEDS / 4;
    let caught = (0..seeds).filter(|seed| run(*seed, true).is_err()).count();
    assert!(caught > seeds as usize / 2, "{caught} of {seeds}");
}
