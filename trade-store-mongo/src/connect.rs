//! How a store is opened: the address, the server behind it, and whether it can do what a store needs.

use crate::classify::{NAME, classify};
use crate::link::{Link, OUTWAIT};
use crate::migrate;
use crate::options::MongoOptions;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{Acknowledgment, ClientOptions, WriteConcern};
use std::time::Duration;
use tokio::sync::Mutex;
use trade_core::store::{StoreError, StoreErrorKind};

const OPERATION: &str = "connect";
/// The database where the address names none.
const DATABASE: &str = "trade_network";
/// What a connection is known by at the server, where the address names nothing else; followed by the database.
const APP_NAME: &str = "trade-network";
/// The longest name the server takes.
const APP_NAME_BYTES_MAX: usize = 128;
/// What MongoDB 6.0 answers as `maxWireVersion`.
const WIRE_VERSION_MIN: i32 = 17;
const WRITERS: u32 = 4;
/// How often each server is asked for its role, where it does not tell by itself. The driver's 10 s are longer than an
/// operation waits: a server that refused one command as not the primary, and is, would be lost for all of them.
const HEARTBEAT: Duration = Duration::from_secs(2);

fn refused(detail: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, NAME, OPERATION, detail)
}

/// Opens a store.
pub(crate) async fn open(url: &str, options: &MongoOptions) -> Result<Link, StoreError> {
    open_by(client_options(url, options).await?, options).await
}

/// The same by what an address says.
pub(crate) async fn open_by(
    client_options: ClientOptions,
    options: &MongoOptions,
) -> Result<Link, StoreError> {
    let name = client_options.default_database.clone().unwrap_or_else(|| DATABASE.into());
    let is_direct = client_options.direct_connection == Some(true);
    let app_name = client_options.app_name.clone().unwrap_or_default();
    let readers = Client::with_options(of_readers(&client_options, options)).map_err(classify(OPERATION))?;
    let client = Client::with_options(of_writers(client_options)).map_err(classify(OPERATION))?;
    let answer_max = options.connect_timeout.saturating_add(OUTWAIT);
    // More than one round trip may be needed, each of which has its own bound.
    let hello = async { client.database("admin").run_command(doc! { "hello": 1 }).await };
    let hello = tokio::time::timeout(answer_max, hello).await.map_err(|_| silent())?;
    let hello = hello.map_err(classify(OPERATION))?;
    let is_sharded = check(&hello)?;
    if options.access.may_write() {
        check_primary(&hello, is_direct)?;
    }
    let majority = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    let durable = mongodb::options::DatabaseOptions::builder().write_concern(majority).build();
    let migrated = client.database_with_options(&name, durable);
    let migrating = migrate::run(&migrated, options.access);
    let most = options.operation_timeout.max(MIGRATION_TIMEOUT);
    tokio::time::timeout(most, migrating).await.map_err(|_| silent())??;
    // Where there is no room for all of them they are made later.
    let _ = tokio::time::timeout(options.connect_timeout, client.warm_connection_pool()).await;
    let database = client.database(&name);
    let link = Link {
        database,
        reading: readers.database(&name),
        app_name,
        is_sharded,
        options: options.clone(),
        seen: Default::default(),
        turn: Mutex::new(()),
    };
    link.see_now(OPERATION).await?;
    Ok(link)
}

/// An index over millions of documents takes its time.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(600);

fn silent() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, NAME, OPERATION, "the server did not answer in time")
}

/// What the address says, and what it leaves to the options. What a store's correctness depends on is not taken from it.
pub(crate) async fn client_options(url: &str, options: &MongoOptions) -> Result<ClientOptions, StoreError> {
    if !["mongodb://", "mongodb+srv://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(refused("the address does not begin with mongodb://"));
    }
    let parsed = ClientOptions::parse(url).await;
    let mut parsed = parsed.map_err(|error| {
        // What the driver says of an address may repeat a part of it, and so of a password.
        let detail = match url.contains('@') {
            true => "the address is not one of MongoDB, or has an option that is not known; a password (or a user name) \
                     must be percent-encoded, as %25 for %, %23 for #, %2F for /, %3F for ? and %40 for @"
                .into(),
            false => format!("the address is not one of MongoDB: {}", error.kind),
        };
        refused(detail)
    })?;
    parsed.selection_criteria = None;
    parsed.read_concern = None;
    parsed.write_concern = None;
    let database = parsed.default_database.as_deref().unwrap_or(DATABASE);
    if parsed.app_name.is_none() {
        let mut name = format!("{APP_NAME}/{database}");
        while name.len() > APP_NAME_BYTES_MAX {
            name.pop();
        }
        parsed.app_name = Some(name);
    }
    parsed.server_selection_timeout.get_or_insert(options.connect_timeout);
    parsed.connect_timeout.get_or_insert(options.connect_timeout);
    parsed.heartbeat_freq.get_or_insert(HEARTBEAT);
    Ok(parsed)
}

/// Connections that are made first, and kept: one that commits, one that loads what commands touch, one that looks where
/// the log ends, one that listens.
fn of_writers(mut options: ClientOptions) -> ClientOptions {
    options.max_pool_size = Some(WRITERS);
    options.min_pool_size = Some(WRITERS);
    options.max_idle_time = None;
    options
}

/// Connections that are made as needed, and closed when nobody uses them. Where a server refuses one, the driver gives up
/// all that its client has there: so these have a client of their own.
fn of_readers(of_address: &ClientOptions, options: &MongoOptions) -> ClientOptions {
    let mut readers = of_address.clone();
    readers.max_pool_size.get_or_insert(options.connections_max.max(1));
    readers.max_idle_time.get_or_insert(options.idle_timeout);
    readers
}

/// Refuses a server that cannot do what a store needs, and answers whether it is one of a sharded cluster.
fn check(hello: &Document) -> Result<bool, StoreError> {
    let is_sharded = hello.get_str("msg").is_ok_and(|message| message == "isdbgrid");
    if !is_sharded && hello.get_str("setName").is_err() {
        return Err(refused(
            "the server stands alone and has no transactions: start it with --replSet, and call rs.initiate() once",
        ));
    }
    if hello.get_i32("maxWireVersion").unwrap_or(0) < WIRE_VERSION_MIN {
        return Err(refused("the server is too old: use MongoDB 6.0 or newer"));
    }
    Ok(is_sharded)
}

/// Refuses a server that takes no writes. The driver asks the primary, unless the address says to ask this one server.
fn check_primary(hello: &Document, is_direct: bool) -> Result<(), StoreError> {
    match hello.get_bool("isWritablePrimary") {
        Ok(true) => Ok(()),
        _ if is_direct => Err(refused(
            "the server is a secondary, which takes no writes: leave directConnection out of the address",
        )),
        _ => {
            let detail = "the server is no longer the primary";
            Err(StoreError::new(StoreErrorKind::Unavailable, NAME, OPERATION, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_stands_alone_or_is_too_old_is_refused_with_the_remedy() {
        let alone = check(&doc! { "maxWireVersion": 17 }).unwrap_err();
        assert_eq!(alone.kind, StoreErrorKind::Unsupported);
        assert!(alone.detail.contains("--replSet"), "{alone}");
        let old = check(&doc! { "setName": "rs0", "maxWireVersion": 13 }).unwrap_err();
        assert!(old.detail.contains("6.0"), "{old}");
        assert!(!check(&doc! { "setName": "rs0", "maxWireVersion": 17 }).unwrap());
        assert!(check(&doc! { "msg": "isdbgrid", "maxWireVersion": 21 }).unwrap());
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_read_tells_no_password() {
        let options = MongoOptions::default();
        for url in [
            "mongodb://ada:s3cret@h:port/x",
            "mongodb://ada:p/s3cret@h/x",
            "mongodb://ada:s3cret@h/x?replicaSt=rs0",
            "mongodb://ada:p#s3cret@h/x",
            "mongodb://ada:12?s3cret@h/x",
            "mysql://ada:s3cret@h/x",
        ] {
            let error = client_options(url, &options).await.unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Unsupported, "{error}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn what_correctness_depends_on_is_not_taken_from_the_address() {
        let url = "mongodb://h/x?w=1&readConcernLevel=local&readPreference=secondary&maxPoolSize=3";
        let options = client_options(url, &MongoOptions::default()).await.unwrap();
        assert!(options.write_concern.is_none() && options.read_concern.is_none());
        assert!(options.selection_criteria.is_none());
        let readers = of_readers(&options, &MongoOptions::default());
        assert_eq!((readers.max_pool_size, readers.min_pool_size), (Some(3), None));
        let writers = of_writers(options.clone());
        assert_eq!((writers.max_pool_size, writers.min_pool_size), (Some(WRITERS), Some(WRITERS)));
        assert_eq!(options.app_name.as_deref(), Some("trade-network/x"));
    }
}
