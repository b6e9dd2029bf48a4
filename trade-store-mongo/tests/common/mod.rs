//! What the tests of this store share.
// Not every test uses all of it; a test that fails says so, and so do its helpers.
#![allow(dead_code, unused_imports, clippy::unwrap_used)]

mod database;
mod world;

pub(crate) use database::*;
use trade_store_mongo::{MongoOptions, MongoStore};
pub(crate) use world::*;

impl Database {
    pub(crate) async fn open(&self) -> MongoStore {
        self.open_with(&MongoOptions::default()).await
    }

    pub(crate) async fn open_with(&self, options: &MongoOptions) -> MongoStore {
        MongoStore::connect_with(&self.url(), options).await.unwrap()
    }
}
