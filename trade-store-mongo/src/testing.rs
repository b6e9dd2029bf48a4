//! What the tests inside the crate share with those beside it.

#[path = "../tests/common/database.rs"]
#[allow(dead_code)]
pub(crate) mod database;
#[path = "../tests/common/world.rs"]
#[allow(dead_code)]
pub(crate) mod world;
