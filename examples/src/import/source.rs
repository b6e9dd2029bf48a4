//! The database that is taken over. It is only ever read: by `find`, `count` and `aggregate` without `$out` or `$merge`.
//!
//! Documents come by cursors, sorted by the server, which may use its disk for it; a trade comes with its cargo, a cargo
//! with its trade. Only what is known of documents that share an id is kept in memory.

use super::finding::Collection;
use super::times;
use crate::Failure;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{ClientOptions, ServerAddress};
use mongodb::{Client, Cursor, Database};
use std::collections::HashMap;
use std::time::Duration;
use trade_network::store::without_password;

/// How long to look for a server where the address does not say.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// The codes of a cursor that the server has closed (`CursorNotFound`, `CursorKilled`), as it does after ten idle minutes.
const CURSOR_GONE: [i32; 2] = [43, 237];

/// An open source.
#[derive(Debug)]
pub(crate) struct Source {
    client: Client,
    database: Database,
    /// The address without its password.
    shown: String,
    hosts: Vec<ServerAddress>,
}

/// How many documents there are in each collection.
pub(crate) type Counts = [u64; Collection::ALL.len()];

/// The `_id` of the document that counts, for each id that several share.
pub(crate) type Keepers = HashMap<String, Bson>;

impl Source {
    /// Connects, and sees that it is an older network's.
    pub(crate) async fn connect(url: &str) -> Result<Self, Failure> {
        let shown = without_password(url);
        // What the driver says of an address may quote it, the password included.
        let unreadable =
            |_| Failure::Usage(format!("--from {shown}: is no mongodb:// address of named hosts"));
        let mut options = ClientOptions::parse(url).await.map_err(unreadable)?;
        let Some(name) = options.default_database.clone() else {
            return Err(Failure::Usage(format!("--from {shown}: must name the database: …/DATABASE")));
        };
        options.app_name.get_or_insert_with(|| "trade-network import-legacy".into());
        options.server_selection_timeout.get_or_insert(SELECTION_TIMEOUT);
        let hosts = options.hosts.clone();
        let client = Client::with_options(options)
            .map_err(|_| Failure::Usage(format!("--from {shown}: its options contradict each other")))?;
        let source = Self { database: client.database(&name), client, shown, hosts };
        source.check(&name).await?;
        Ok(source)
    }

    async fn check(&self, name: &str) -> Result<(), Failure> {
        let names = self.database.list_collection_names().await.map_err(|error| self.failed(&error))?;
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        if has("head") && has("log") && has("migrations") {
            return Err(Failure::Usage(format!("--from {}: is a store of this network's own", self.shown)));
        }
        if !Collection::ALL.iter().any(|collection| has(collection.name())) {
            let wanted = Collection::ALL.map(Collection::name).join(", ");
            return Err(Failure::Failed(format!("the database {name} has none of the collections {wanted}")));
        }
        Ok(())
    }

    /// Its address, without the password.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether a store's address names the same database of one of the same servers.
    pub(crate) async fn is_also(&self, store: &str) -> bool {
        if !store.starts_with("mongodb") {
            return false;
        }
        let Ok(options) = ClientOptions::parse(store).await else { return false };
        let place = |host: &ServerAddress| host.to_string().replace("localhost", "127.0.0.1").to_lowercase();
        let same_host =
            options.hosts.iter().any(|host| self.hosts.iter().any(|own| place(own) == place(host)));
        // Where its address names none, the store has a database of its own.
        let database = options.default_database.as_deref().unwrap_or("trade_network");
        same_host && database == self.database.name()
    }

    /// Closes the connections.
    pub(crate) async fn close(self) {
        drop(self.database);
        self.client.shutdown().await;
    }

    /// A failure to read, without what the address holds.
    pub(crate) fn failed(&self, error: &Error) -> Failure {
        let detail = match *error.kind {
            ErrorKind::Command(ref command) => format!("{}: {}", command.code_name, command.message),
            ErrorKind::ServerSelection { .. } => "no server answers there".into(),
            ErrorKind::Authentication { .. } => "it refuses the user or the password".into(),
            ref kind => kind.to_string(),
        };
        Failure::Failed(format!("{} cannot be read: {detail}", self.shown))
    }

    fn collection(&self, collection: Collection) -> mongodb::Collection<Document> {
        self.database.collection(collection.name())
    }

    /// Counts the documents.
    pub(crate) async fn counts(&self) -> Result<Counts, Failure> {
        let mut counts = Counts::default();
        for (count, collection) in counts.iter_mut().zip(Collection::ALL) {
            let counted = self.collection(collection).count_documents(doc! {}).await;
            *count = counted.map_err(|error| self.failed(&error))?;
        }
        Ok(counts)
    }

    /// The ids that several documents have. A unique index, which Mongoose asks for, leaves none.
    pub(crate) async fn keepers(&self, collection: Collection) -> Result<Keepers, Failure> {
        let key = format!("${}", collection.key());
        let pipeline = [
            doc! { "$match": { collection.key(): { "$type": "string" } } },
            doc! { "$group": { "_id": key, "count": { "$sum": 1 }, "keeper": { "$min": "$_id" } } },
            doc! { "$match": { "count": { "$gt": 1 } } },
        ];
        let mut keepers = Keepers::new();
        let found = self.collection(collection).aggregate(pipeline).allow_disk_use(true).await;
        let mut cursor = found.map_err(|error| self.failed(&error))?;
        while cursor.advance().await.map_err(|error| self.failed(&error))? {
            let group = cursor.deserialize_current().map_err(|error| self.failed(&error))?;
            if let (Ok(id), Some(keeper)) = (group.get_str("_id"), group.get("keeper")) {
                keepers.insert(id.to_owned(), keeper.clone());
            }
        }
        Ok(keepers)
    }

    /// All documents of a collection by their time, each with its partners of the other.
    pub(crate) async fn lane(&self, order: Order) -> Result<Lane<'_>, Failure> {
        let mut lane = Lane { source: self, order, cursor: None, position: None, head: None };
        lane.advance().await?;
        Ok(lane)
    }
}

/// What a lane holds, and by which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Trades with their cargo, by the time they were made.
    TradesMade,
    /// Trades with their cargo, by the time they were changed last.
    TradesChanged,
    /// Cargo with its trade, by the time it was made.
    Cargos,
    /// Inventories, by the time they were made.
    Inventories,
}

impl Order {
    fn collection(self) -> Collection {
        match self {
            Self::TradesMade | Self::TradesChanged => Collection::Trades,
            Self::Cargos => Collection::Cargos,
            Self::Inventories => Collection::Inventories,
        }
    }

    /// What the server is asked for: the documents behind a position, each as `{document, time, …, partners}`.
    fn pipeline(self, position: Option<&Position>) -> Vec<Document> {
        // The schema of a cargo and an inventory has no times, but the id that MongoDB gives has one.
        let has_time = doc! { "$eq": [{ "$type": "$_id" }, "objectId"] };
        let made = doc! { "$ifNull": ["$made", "$by_id"] };
        let changed = doc! { "$max": [made.clone(), "$changed"] };
        let mut stages = vec![
            doc! { "$project": {
                "_id": 0,
                "document": "$$ROOT",
                "made": times::read_by_server("$createdAt"),
                "changed": times::read_by_server("$updatedAt"),
                "by_id": { "$cond": [has_time, { "$toDate": "$_id" }, DateTime::from_millis(0)] },
                "partner": self.partner(),
            } },
            doc! { "$addFields": { "time": if self == Self::TradesChanged { changed } else { made } } },
        ];
        if let Some(Position { time, id }) = position {
            let (time, id) = (doc! { "$literal": *time }, doc! { "$literal": id.clone() });
            let after = doc! { "$gt": ["$document._id", id] };
            let same = doc! { "$and": [{ "$eq": ["$time", time.clone()] }, after] };
            stages.push(doc! { "$match": { "$expr": { "$or": [{ "$gt": ["$time", time] }, same] } } });
        }
        stages.push(doc! { "$sort": { "time": 1, "document._id": 1 } });
        let other = match self {
            Self::TradesMade | Self::TradesChanged => Collection::Cargos,
            Self::Cargos => Collection::Trades,
            Self::Inventories => return stages,
        };
        stages.push(doc! { "$lookup": {
            "from": other.name(),
            "localField": "partner",
            "foreignField": other.key(),
            "as": "partners",
        } });
        stages
    }

    /// The id of the document that goes with this one; where there is none, a text that is no id.
    fn partner(self) -> Bson {
        const NOBODY: &str = "\u{1}";
        let is_text = |field: &str| doc! { "$eq": [{ "$type": field }, "string"] };
        match self {
            Self::TradesMade | Self::TradesChanged => {
                let shipment = doc! { "$concat": ["shipment-", "$transactionId"] };
                doc! { "$cond": [is_text("$transactionId"), shipment, NOBODY] }.into()
            }
            Self::Cargos => {
                let begins = doc! { "$eq": [{ "$indexOfBytes": ["$shipmentId", "shipment-", 0, 9] }, 0] };
                let is_of_trade = doc! { "$cond": [is_text("$shipmentId"), begins, false] };
                doc! { "$cond": [is_of_trade, { "$substrBytes": ["$shipmentId", 9, -1] }, NOBODY] }.into()
            }
            Self::Inventories => NOBODY.into(),
        }
    }
}

/// A document, when it happened, and what goes with it.
#[derive(Debug, Clone)]
pub(crate) struct Joined {
    pub(crate) document: Document,
    pub(crate) partners: Vec<Document>,
    /// The one it is sorted by, in milliseconds since 1970 as all others.
    pub(crate) time: i64,
    /// What its `createdAt` and `updatedAt` say, if they say anything, and its `_id`; 0 if that does not.
    pub(crate) made: Option<i64>,
    pub(crate) changed: Option<i64>,
    pub(crate) by_id: i64,
}

#[derive(Debug, Clone)]
struct Position {
    time: DateTime,
    id: Bson,
}

/// Documents in order, one at a time.
#[derive(Debug)]
pub(crate) struct Lane<'a> {
    source: &'a Source,
    order: Order,
    cursor: Option<Cursor<Document>>,
    position: Option<Position>,
    head: Option<Joined>,
}

impl Lane<'_> {
    /// The next document, without taking it.
    pub(crate) fn peek(&self) -> Option<&Joined> {
        self.head.as_ref()
    }

    /// The next document.
    pub(crate) async fn take(&mut self) -> Result<Option<Joined>, Failure> {
        let taken = self.head.take();
        if taken.is_some() {
            self.advance().await?;
        }
        Ok(taken)
    }

    async fn advance(&mut self) -> Result<(), Failure> {
        let read = match self.read().await {
            // It was idle while other lanes had their turn. A new cursor goes on behind the last document.
            Err(error) if code(&error).is_some_and(|code| CURSOR_GONE.contains(&code)) => {
                self.cursor = None;
                self.read().await
            }
            read => read,
        };
        self.head = read.map_err(|error| self.source.failed(&error))?;
        Ok(())
    }

    async fn read(&mut self) -> Result<Option<Joined>, Error> {
        if self.cursor.is_none() {
            let collection = self.source.collection(self.order.collection());
            let pipeline = self.order.pipeline(self.position.as_ref());
            self.cursor = Some(collection.aggregate(pipeline).allow_disk_use(true).await?);
        }
        let Some(cursor) = &mut self.cursor else { return Ok(None) };
        if !cursor.advance().await? {
            return Ok(None);
        }
        let mut row = cursor.deserialize_current()?;
        let read = |field: &str| row.get_datetime(field).ok().copied();
        let time = read("time").unwrap_or(DateTime::from_millis(0));
        let millis = |field: &str| read(field).map(DateTime::timestamp_millis);
        let (made, changed, by_id) = (millis("made"), millis("changed"), millis("by_id").unwrap_or(0));
        let document = match row.remove("document") {
            Some(Bson::Document(document)) => document,
            _ => Document::new(),
        };
        let partners = match row.remove("partners") {
            Some(Bson::Array(partners)) => partners,
            _ => Vec::new(),
        };
        self.position = Some(Position { time, id: document.get("_id").cloned().unwrap_or(Bson::Null) });
        let is_document = |partner| match partner {
            Bson::Document(partner) => Some(partner),
            _ => None,
        };
        let partners = partners.into_iter().filter_map(is_document).collect();
        Ok(Some(Joined { document, partners, time: time.timestamp_millis(), made, changed, by_id }))
    }
}

fn code(error: &Error) -> Option<i32> {
    match *error.kind {
        ErrorKind::Command(ref command) => Some(command.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::oid::ObjectId;
    use trade_core::testing::conformance::server_url;

    /// Closes the one cursor on the trades of a database, and nothing of anybody else's.
    async fn close_cursor(client: &Client, name: &str) {
        let idle = [
            doc! { "$currentOp": { "idleCursors": true } },
            doc! { "$match": { "type": "idleCursor", "ns": format!("{name}.trades") } },
        ];
        let mut found = client.database("admin").aggregate(idle).await.unwrap();
        assert!(found.advance().await.unwrap(), "the lane has an open cursor");
        let operation = found.deserialize_current().unwrap();
        let id = operation.get_document("cursor").unwrap().get_i64("cursorId").unwrap();
        let command = doc! { "killCursors": "trades", "cursors": [id] };
        let reply = client.database(name).run_command(command).await.unwrap();
        assert_eq!(reply.get_array("cursorsKilled").unwrap().len(), 1, "{reply}");
    }

    #[tokio::test]
    #[ignore = "TRADE_TEST_MONGODB_URL"]
    async fn a_lane_whose_cursor_the_server_has_closed_goes_on_behind_its_last_document() {
        const DOCUMENTS: i64 = 400;
        let name = format!("tn_lane_{}", ObjectId::new().to_hex());
        let client = Client::with_uri_str(server_url("TRADE_TEST_MONGODB_URL")).await.unwrap();
        let database = client.database(&name);
        // Several of each time, and ids of two types.
        let document = |number: i64| {
            let time = DateTime::from_millis(1_700_000_000_000 + number / 7);
            let id: Bson = if number % 2 == 0 { number.into() } else { format!("{number:04}").into() };
            doc! { "_id": id, "transactionId": number.to_string(), "createdAt": time }
        };
        let documents = (0..DOCUMENTS).map(document);
        database.collection::<Document>("trades").insert_many(documents).await.unwrap();
        let source = Source {
            database: database.clone(),
            client: client.clone(),
            shown: String::new(),
            hosts: vec![],
        };
        let mut numbers = Vec::new();
        let mut lane = source.lane(Order::TradesMade).await.map_err(|_| "a lane").unwrap();
        while let Some(joined) = lane.take().await.map_err(|_| "a document").unwrap() {
            numbers.push(joined.document.get_str("transactionId").unwrap().parse::<i64>().unwrap());
            // The first batch of a cursor holds 101 documents.
            if numbers.len() == 50 {
                close_cursor(&client, &name).await;
            }
        }
        database.drop().await.unwrap();
        let sorted_in_time = numbers.is_sorted_by_key(|number| number / 7);
        numbers.sort_unstable();
        assert!(sorted_in_time);
        assert_eq!(numbers, (0..DOCUMENTS).collect::<Vec<_>>());
    }

    #[tokio::test]
    #[ignore = "TRADE_TEST_MONGODB_URL"]
    async fn the_server_reads_the_times_that_an_eta_is_read_in_and_no_others() {
        let name = format!("tn_times_{}", ObjectId::new().to_hex());
        let client = Client::with_uri_str(server_url("TRADE_TEST_MONGODB_URL")).await.unwrap();
        let database = client.database(&name);
        let mut values: Vec<Bson> = [
            "2023-11-14T22:13:20Z",
            "2023-11-14t22:13:20.5z",
            "2023-11-14 22:13:20.1239+02:00",
            "2023-11-14T22:13:20.123456789-00:30",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999Z",
            "2024-02-29T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-11-14T24:00:00Z",
            "2023-11-14T22:60:00Z",
            "2023-11-14T22:13:205Z",
            "2023-11-14T22:13:20",
            "2023-11-14T22:13:20.Z",
            "2023-11-14T22:13Z",
            "2023-11-14",
            "2023-11-14T22:13:20Z\n",
            " 2023-11-14T22:13:20Z",
            "14 November 2023",
            "1700000000000",
            "",
        ]
        .map(Bson::from)
        .into();
        values.extend([DateTime::from_millis(5).into(), 5.into(), 5.0.into(), true.into(), Bson::Null]);
        let document = |(id, value): (i32, &Bson)| doc! { "_id": id, "createdAt": value.clone(), "updatedAt": value.clone() };
        let documents = (0..).zip(&values).map(document);
        database.collection::<Document>("inventories").insert_many(documents).await.unwrap();
        let source = Source { database: database.clone(), client, shown: String::new(), hosts: vec![] };
        let mut read = Vec::new();
        let mut lane = source.lane(Order::Inventories).await.map_err(|_| "a lane").unwrap();
        while let Some(joined) = lane.take().await.map_err(|_| "a document").unwrap() {
            read.push(joined);
        }
        database.drop().await.unwrap();
        assert_eq!(read.len(), values.len());
        for Joined { document, time, made, changed, .. } in read {
            let value = document.get("createdAt").unwrap();
            let expected = times::read(value).map(trade_core::values::Timestamp::millis);
            assert_eq!((made, changed, time), (expected, expected, expected.unwrap_or(0)), "{value}");
        }
    }
}
