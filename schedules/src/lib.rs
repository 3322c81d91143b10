//! Cron and calendar arithmetic: pure
