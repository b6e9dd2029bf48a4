//! What a store keeps of API keys, put there behind its back.

use crate::engine::Engine;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, doc};
use sqlx::{ConnectOptions, Connection, MySqlConnection, PgConnection};
use trade_core::access::KeyId;

/// Puts other bytes in the place of a key's record. Answers whether there is such a key.
pub async fn overwrite_key(engine: Engine, url: &str, id: &KeyId, record: &[u8]) -> bool {
    let sql = match engine {
        Engine::Postgres => "UPDATE tn_api_key SET record = $1 WHERE id = $2",
        _ => "UPDATE tn_api_key SET record = ? WHERE id = ?",
    };
    let changed = match engine {
        Engine::Sqlite => {
            let file = url.trim_start_matches("sqlite://");
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
            let mut file = options.connect().await.expect("a file");
            let change = sqlx::query(sql).bind(record).bind(id.as_str());
            change.execute(&mut file).await.expect("it is changed").rows_affected()
        }
        Engine::Postgres => {
            let mut server = PgConnection::connect(url).await.expect("the server is there");
            let change = sqlx::query(sql).bind(record).bind(id.as_str());
            change.execute(&mut server).await.expect("it is changed").rows_affected()
        }
        Engine::Mysql => {
            let mut server = MySqlConnection::connect(url).await.expect("the server is there");
            let change = sqlx::query(sql).bind(record).bind(id.as_str());
            change.execute(&mut server).await.expect("it is changed").rows_affected()
        }
        Engine::Mongo => {
            let client = mongodb::Client::with_uri_str(url).await.expect("the server is there");
            let database = client.default_database().expect("the URL names a database");
            let record = Binary { subtype: BinarySubtype::Generic, bytes: record.to_vec() };
            let (of, change) = (doc! { "_id": id.as_str() }, doc! { "$set": { "record": record } });
            let keys = database.collection::<Document>("api_keys");
            keys.update_one(of, change).await.expect("it is changed").matched_count
        }
    };
    changed == 1
}
