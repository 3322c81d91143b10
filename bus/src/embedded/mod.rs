//! The store of one machine, on LMDB.
