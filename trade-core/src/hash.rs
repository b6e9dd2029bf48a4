//! Hash maps whose keys are ids.
//!
//! Several look-ups a trade make the hash of an id a cost of its own, and the standard library's (SipHash) is several
//! times that of a comparison. This one is seeded anew in each process and each map, so that nobody can work out ids
//! that collide without seeing hashes, which never leave the process.

use foldhash::fast::RandomState;
use std::collections;

/// A map by id.
pub(crate) type HashMap<K, V> = collections::HashMap<K, V, RandomState>;
