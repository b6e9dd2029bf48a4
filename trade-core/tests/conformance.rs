//! The memory store keeps the whole contract, that of keys included.

use trade_core::memory::MemoryStore;
use trade_core::testing::conformance::InProcess;

trade_core::conformance_suite!(memory, InProcess::new(MemoryStore::new));
trade_core::key_conformance_suite!(memory_keys, InProcess::new(MemoryStore::new));
