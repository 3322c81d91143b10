//! The one thread that changes LMDB while the store is open: it brings in what is durable in
//! the journal, many batches in one transaction.
//!
//! The transaction that brings a batch in also moves the mark past its frame. So whatever
//! happens, a frame is applied once: at a start LMDB says itself where to go on.

use std::sync::Arc;

use heed::{Env, WithoutTls};

use super::Store;
use super::backlog::Pending;
use super::changes::Batch;
use super::journal::Mark;
use super::tables::{Ledger, Tables};

/// What brings batches into LMDB.
pub(super) struct Applier {
    store: Arc<Store>,
    /// LMDB's.
    ledger: Ledger,
    troubled: bool,
}

impl Applier {
    pub(super) fn new(store: Arc<Store>, ledger: Ledger) -> Self {
        Self { store, ledger, troubled: false }
    }

    /// Applies what comes until nothing can come any more.
    pub(super) fn run(mut self) {
        while let Some(due) = self.store.backlog.due() {
            self.settle(&due);
        }
    }

    /// Applies the first of what waits, in one transaction.
    pub(super) fn settle(&mut self, due: &[Pending]) {
        let Some(last) = due.last() else { return };
        let batches = due.iter().map(|pending| &*pending.batch);
        let Store { env, tables, backlog, directory, .. } = &*self.store;
        let path = directory.path.display();
        match apply(env, tables, &self.ledger, batches, last.mark.as_ref()) {
            Ok(ledger) => {
                if std::mem::take(&mut self.troubled) {
                    tracing::info!(%path, "the store takes from its journal again");
                }
                self.ledger = ledger;
                backlog.settled(due.len(), ledger);
            }
            Err(error) => {
                if !std::mem::replace(&mut self.troubled, true) {
                    tracing::error!(
                        %path,
                        %error,
                        "the store cannot be written to: what comes is kept in its journal while that has room"
                    );
                }
                backlog.failed(error);
            }
        }
    }
}

impl Drop for Applier {
    /// Nobody must wait for one who is not there any more.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = std::io::Error::other("the store's applier has panicked");
            self.store.backlog.abandon(error.into());
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
