//! Real servers on loopback for tests: each test has its own, started for it and ended with it.
