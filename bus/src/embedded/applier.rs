//! The one thread that changes LMDB while the store is open: it brings in what is durable in
//! the journal, many batches in one transaction.
//!
//! The transaction that brings a batch in also moves the mark past its frame. So whatever
//! happens, a frame is applied once: at a start LMDB says itself where to go on. So it does when
//! its environment had to be opened again, since what waits is what is in the journal behind it.

use std::sync::Arc;

use heed::{Env, WithoutTls};

use super::Store;
use super::backlog::Pending;
use super::changes::Batch;
use super::current::Opened;
use super::journal::Mark;
use super::tables::{Ledger, Tables};

/// What brings batches into LMDB.
pub(super) struct Applier {
    store: Arc<Store>,
    /// LMDB's.
    ledger: Ledger,
    troubled: bool,
    /// Only another start finds out what LMDB has.
    is_lost: bool,
}

impl Applier {
    pub(super) fn new(store: Arc<Store>, ledger: Ledger) -> Self {
        Self { store, ledger, troubled: false, is_lost: false }
    }

    /// Applies what comes until nothing can come any more.
    pub(super) fn run(mut self) {
        while let Some(due) = self.store.backlog.due() {
            self.settle(&due);
        }
    }

    /// Applies the first of what waits, in one transaction.
    pub(super) fn settle(&mut self, due: &[Pending]) {
        let Some(last) = due.last().filter(|_| !self.is_lost) else { return };
        let held = self.store.current.hold();
        let applied = held.opened().and_then(|Opened { env, tables }| {
            let batches = due.iter().map(|pending| &*pending.batch);
            apply(env, tables, &self.ledger, batches, last.mark.as_ref())
        });
        drop(held);
        match applied {
            Ok(ledger) => self.settled(due.len(), ledger),
            Err(error) => {
                self.notice(&error);
                if self.store.current.is_given_up() {
                    self.find_out(due, last, error);
                } else {
                    self.store.backlog.failed(Arc::new(error));
                }
            }
        }
    }

    /// The environment has to be opened again, and says then what of this it has.
    fn find_out(&mut self, due: &[Pending], last: &Pending, error: heed::Error) {
        let error = self.store.backlog.in_doubt(error);
        let path = self.store.directory.path.display();
        let ledger = match self.store.current.reopen() {
            Ok(ledger) => ledger,
            // It is tried again. What is not in the journal cannot wait for that: who wrote it
            // would never be answered.
            Err(reason) if last.in_journal => {
                tracing::debug!(%path, %reason, "the store cannot be opened again");
                return self.store.backlog.failed(error);
            }
            Err(reason) => return self.lose(error, &reason.to_string()),
        };
        tracing::info!(%path, "the store was opened again after LMDB had given it up");
        let has = due.iter().position(|pending| pending.batch.ledger == ledger);
        match has {
            // The commit that failed is in force.
            Some(index) => self.settled(index + 1, ledger),
            None if ledger == self.ledger => self.store.backlog.failed(error),
            None => self.lose(error, "it is not as it was left"),
        }
    }

    /// Does nothing any more: it would be a guess.
    fn lose(&mut self, error: Arc<heed::Error>, reason: &str) {
        let path = self.store.directory.path.display();
        tracing::error!(%path, reason, "the store is closed until the next start");
        self.is_lost = true;
        self.store.current.close();
        self.store.backlog.abandon(error);
    }

    fn settled(&mut self, count: usize, ledger: Ledger) {
        if std::mem::take(&mut self.troubled) {
            let path = self.store.directory.path.display();
            tracing::info!(%path, "the store takes from its journal again");
        }
        self.ledger = ledger;
        self.store.backlog.settled(count, ledger);
    }

    fn notice(&mut self, error: &heed::Error) {
        if !std::mem::replace(&mut self.troubled, true) {
            let path = self.store.directory.path.display();
            tracing::error!(
                %path,
                %error,
                "the store cannot be written to: what comes is kept in its journal while that has room"
            );
        }
    }
}

impl Drop for Applier {
    /// Nobody must wait for one who is not there any more.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = std::io::Error::other("the store's applier has panicked");
            self.store.backlog.abandon(Arc::new(error.into()));
        }
    }
}

/// Brings batches into LMDB, whose ledger is `before`, in one transaction; durable when it
/// returns. Returns the ledger that it has now. On an error nothing of it is stored.
pub(super) fn apply<'a>(
    env: &Env<WithoutTls>,
    tables: &Tables,
    before: &Ledger,
    batches: impl IntoIterator<Item = &'a Batch>,
    mark: Option<&Mark>,
) -> heed::Result<Ledger> {
    let mut txn = env.write_txn()?;
    let mut ledger = *before;
    for batch in batches {
        batch.apply(tables, &mut txn)?;
        ledger = batch.ledger;
    }
    tables.put_ledger(&mut txn, before, &ledger)?;
    if let Some(mark) = mark {
        tables.put_mark(&mut txn, mark)?;
    }
    txn.commit()?;
    Ok(ledger)
}
