//! The memory store keeps the whole contract.

use trade_core::memory::MemoryStore;
use trade_core::testing::conformance::InProcess;

trade_core::conformance_suite!(memory, InProcess::new(MemoryStore::new));
