//! What is asked of MongoDB beside the work itself.

use crate::report::Failure;
use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};
use std::time::{Duration, Instant};

/// The replica set that is started here.
pub(super) const REPLICA_SET: &str = "rs0";
const PRIMARY_MAX: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Makes a server that was just started the one member of its replica set, and waits until it takes writes.
pub(super) async fn initiate(port: u16) -> Result<(), Failure> {
    let host = format!("127.0.0.1:{port}");
    let client = Client::with_uri_str(format!("mongodb://{host}/?directConnection=true")).await?;
    let admin = client.database("admin");
    let members = vec![doc! { "_id": 0, "host": host }];
    admin.run_command(doc! { "replSetInitiate": { "_id": REPLICA_SET, "members": members } }).await?;
    let begin = Instant::now();
    while !admin.run_command(doc! { "hello": 1 }).await?.get_bool("isWritablePrimary").unwrap_or_default() {
        if begin.elapsed() > PRIMARY_MAX {
            return Err(format!("MongoDB is no primary after {PRIMARY_MAX:?}").into());
        }
        tokio::time::sleep(PAUSE).await;
    }
    client.shutdown().await;
    Ok(())
}

/// Runs a command on the database of an address.
pub(super) async fn run(url: &str, command: Document) -> Result<Document, Failure> {
    let client = Client::with_uri_str(url).await?;
    let database: Option<Database> = client.default_database();
    let answer = database.ok_or("the address names no database")?.run_command(command).await?;
    client.shutdown().await;
    Ok(answer)
}
