//! Trades between stations, the cargo they ship and the stock they hold: domain types, rules, and an event feed, behind
//! repository traits.
//!
//! A [`Command`](command::Command) goes in through [`TradeService`](service::TradeService); the pure
//! [`rules`] decide what it does to what a [`Store`](store::Store) holds; the resulting [`Step`](step::Step) — trade,
//! shipment, stock movements and events — is committed as one atomic unit; and whoever subscribed to the
//! [`EventBus`](bus::EventBus) sees its events, in the one order of the log.
//!
//! The crate knows no database, no HTTP, no environment variable and no clock of its own. The
//! [`memory`] store keeps the whole contract but durability. Stores that last are in `trade-store-sql` (SQLite,
//! PostgreSQL, MySQL, MariaDB) and `trade-store-mongo`; `trade-http` serves a network over HTTP.
//!
//! ```toml
//! [dependencies]
//! trade-core = "0.1"
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
//!
//! [dev-dependencies]                # for the last section of this page
//! trade-core = { version = "0.1", features = ["testing"] }
//! proptest = "1"
//! ```
//!
//! # The words
//!
//! | word | is |
//! |---|---|
//! | station | a place that holds stock, [`Station`](resource::Station) |
//! | stock | the units of an item at a station, [`StockLevel`](resource::StockLevel): on hand, reserved, incoming. What is on hand and not reserved is available |
//! | trade | a sale of items from a seller to a buyer, both of them stations, [`Trade`](resource::Trade) |
//! | shipment, cargo | what is on its way between two stations, [`Cargo`](resource::Cargo): that of a trade, or a transfer without a trade |
//! | step | all that one command changed |
//! | event | one change of one trade, shipment or station, with the whole of it as it is afterwards, [`Event`](event::Event) |
//! | sequence | the number of an event, from 1, without gaps |
//! | log | every step ever committed, in order; its end is its head |
//! | commit | the writing of some steps to the store, all of them or none |
//! | receipt | the answer to a request, kept for when the request is sent again |
//!
//! # Commands and their answers
//!
//! A service runs over a store, on a Tokio runtime. [`submit`](service::TradeService::submit) takes a
//! [`Request`](command::Request) with one of the [commands](command). When it returns, the step is durable and its
//! events are published. Each command has an outcome of its own form: an
//! [`InitiateTrade`](command::InitiateTrade) is answered by a [`TradeOutcome`](command::TradeOutcome).
//!
//! ```
//! use std::sync::Arc;
//! use trade_core::command::{CreateStation, InitiateTrade, Request, UpdateCargo};
//! use trade_core::memory::MemoryStore;
//! use trade_core::rejection::Rejection;
//! use trade_core::resource::{CargoStatus, Line, Lines, Settlement, TradeStatus};
//! use trade_core::service::{ServiceError, TradeService};
//! use trade_core::values::{ItemId, Money, Quantity, ShipmentId, StationId, TransactionId};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = TradeService::start(Arc::new(MemoryStore::new())).await?;
//!
//! // Two stations. One opens with 100 units of fuel.
//! let (ceres, vesta) = (StationId::new("ceres")?, StationId::new("vesta")?);
//! let fuel = ItemId::new("fuel")?;
//! let items = vec![(fuel.clone(), Quantity::new(100)?)];
//! service.submit(Request::new(CreateStation { items, ..CreateStation::new(ceres.clone()) })).await?;
//! service.submit(Request::new(CreateStation::new(vesta.clone()))).await?;
//!
//! // ceres sells to vesta. The stock passes when the cargo is delivered.
//! let sale = |id: &str, units| -> Result<_, Box<dyn std::error::Error>> {
//!     let unit_price = Some(Money::parse("2.50", "GBP")?);
//!     let lines = Lines::new(vec![Line { item_id: fuel.clone(), quantity: Quantity::new(units)?, unit_price }])?;
//!     let (buyer, seller) = (vesta.clone(), ceres.clone());
//!     let trade = InitiateTrade::new(TransactionId::new(id)?, buyer, seller, lines);
//!     Ok(InitiateTrade { settlement: Settlement::OnDelivery, ..trade })
//! };
//! let answer = service.submit(Request::new(sale("T-1", 30)?)).await?;
//! assert!(answer.outcome.created);
//! assert_eq!(answer.outcome.trade.status, TradeStatus::Initiated);
//! assert_eq!(answer.outcome.cargo.status, CargoStatus::Pending);
//!
//! // The cargo leaves and arrives. With that the trade is completed.
//! let shipment = ShipmentId::of_trade(&TransactionId::new("T-1")?);
//! let moved = |to| UpdateCargo { status: Some(to), ..UpdateCargo::new(shipment.clone()) };
//! service.submit(Request::new(moved(CargoStatus::InTransit))).await?;
//! let answer = service.submit(Request::new(moved(CargoStatus::Delivered))).await?;
//! let trade = answer.outcome.trade.ok_or("it changed with its cargo")?;
//! assert_eq!(trade.status, TradeStatus::Completed);
//!
//! // A refusal says why, and changes nothing.
//! match service.submit(Request::new(sale("T-2", 1_000)?)).await {
//!     Err(ServiceError::Rejected(Rejection::InsufficientStock(shortages))) => {
//!         let shortage = &shortages.listed()[0];
//!         assert_eq!((shortage.requested, shortage.available), (1_000, Some(70)));
//!     }
//!     other => panic!("{other:?}"),
//! }
//! service.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! What the [settlement](resource::Settlement) of a trade does to the stock, and what may follow on each status of its
//! cargo:
//!
//! | cargo | settled at once | settled on delivery | may become |
//! |---|---|---|---|
//! | pending | the units are the buyer's | reserved at the seller, incoming at the buyer | in transit, cancelled |
//! | in transit | the same | gone from the seller, incoming at the buyer | delivered, returned, lost |
//! | delivered | the same | the buyer's | – |
//! | cancelled, returned | the seller's again | the seller's again | – |
//! | lost | gone | gone | – |
//!
//! A [`ServiceError`](service::ServiceError) says what to do:
//!
//! | error | changed | what to do |
//! |---|---|---|
//! | `Rejected` | nothing | look at the [`Rejection`](rejection::Rejection): it has the ids and numbers, and [`code`](rejection::Rejection::code) is a word for each kind |
//! | `InProgress` | nothing | the same request is running: wait, and send it again |
//! | `Overloaded`, `ClockOff`, `Store` | nothing | send it again later; [`ready`](service::TradeService::ready) tells when |
//! | `Unknown` | perhaps | send the same request again, under [the same key](#requests-that-are-applied-once) |
//! | `Stopped` | nothing | the service was shut down |
//!
//! A trade, a transfer and a station have ids that the caller chooses. The same trade or transfer again is answered as it
//! is stored, with `created` false; the same id with other content is refused.
//!
//! # Reading
//!
//! [`TradeService::store`](service::TradeService::store) is the store, to read from. Single resources are read by id.
//! Lists have a filter, come newest first, and are read page by page: `next` of a page is the `before` of the one after
//! it, and none at the end. A page may be short and still have a `next`.
//!
//! ```
//! # use std::sync::Arc;
//! # use trade_core::command::{CreateStation, InitiateTrade, Request};
//! # use trade_core::memory::MemoryStore;
//! # use trade_core::resource::{Line, Lines};
//! # use trade_core::service::TradeService;
//! # use trade_core::values::Quantity;
//! use trade_core::resource::TradeStatus;
//! use trade_core::store::{InventoryQuery, LedgerQuery, TradeFilter, TradeQuery};
//! use trade_core::values::StationId;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let service = TradeService::start(Arc::new(MemoryStore::new())).await?;
//! # let items = vec![("fuel".try_into()?, Quantity::new(100)?)];
//! # service.submit(Request::new(CreateStation { items, ..CreateStation::new("ceres".try_into()?) })).await?;
//! # service.submit(Request::new(CreateStation::new("vesta".try_into()?))).await?;
//! # for id in ["T-1", "T-2", "T-3"] {
//! #     let line = Line::new("fuel".try_into()?, Quantity::new(10)?);
//! #     let lines = Lines::new(vec![line])?;
//! #     let trade = InitiateTrade::new(id.try_into()?, "vesta".try_into()?, "ceres".try_into()?, lines);
//! #     service.submit(Request::new(trade)).await?;
//! # }
//! let store = service.store();
//! assert!(store.trade(&"T-9".try_into()?).await?.is_none());
//!
//! // The trades in which ceres sells, and whose cargo has not arrived yet, two at a time.
//! let ceres = StationId::new("ceres")?;
//! let filter = TradeFilter {
//!     seller: Some(ceres.clone()),
//!     status: Some(TradeStatus::Initiated),
//!     ..TradeFilter::default()
//! };
//! let mut query = TradeQuery::first(filter, 2);
//! let mut ids = Vec::new();
//! loop {
//!     let page = store.trades(&query).await?;
//!     ids.extend(page.rows.iter().map(|trade| trade.transaction_id.to_string()));
//!     query.before = page.next;
//!     if query.before.is_none() {
//!         break;
//!     }
//! }
//! assert_eq!(ids, ["T-3", "T-2", "T-1"]);
//!
//! // A station with its first 100 items, and the last movements of its stock.
//! let first = InventoryQuery::first(100);
//! let station = store.inventory(&ceres, &first).await?.ok_or("there is no such station")?;
//! assert_eq!(station.inventory.items[0].level.available(), 70);
//! let ledger = store.ledger(&ceres, &LedgerQuery::first(10)).await?;
//! assert_eq!(ledger.rows[0].quantity.units(), 10);
//! # service.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Following
//!
//! [`EventBus::subscribe`](bus::EventBus::subscribe) reads the log after a sequence and then goes on live. With `None` it
//! begins now. An [`EventFilter`](event::EventFilter) narrows it to topics, kinds or stations. A subscription holds a
//! bounded number of events, however far it is behind.
//!
//! The application keeps the position, which is the sequence of the last event that it has dealt with. After a restart
//! it subscribes from there. It does its work first and keeps the position then. So each event is dealt with at least
//! once: where the process ends in between, that event comes again. Where work and position are kept in one transaction
//! of one database, each event is dealt with once; the page of `trade-store-sql` shows this with one SQLite file.
//!
//! ```
//! # use std::sync::Arc;
//! # use trade_core::command::{CreateStation, Request};
//! # use trade_core::memory::MemoryStore;
//! use std::error::Error;
//! use std::{fs, io, path::Path};
//! use trade_core::event::{EventData, EventFilter, Topic};
//! use trade_core::service::TradeService;
//!
//! /// Deals with each event about stock, and keeps its position after that.
//! async fn follow(service: &TradeService, file: &Path) -> Result<Vec<String>, Box<dyn Error>> {
//!     let position = match fs::read_to_string(file) {
//!         Ok(text) => text.parse()?,
//!         Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
//!         Err(error) => return Err(error.into()),
//!     };
//!     let filter = EventFilter { topics: vec![Topic::Inventory], ..EventFilter::default() };
//!     let mut events = service.bus().subscribe(Some(position), filter);
//!     if let Some(resync) = events.begin().await? {
//!         // A backup was restored, and the log ends before the position.
//!         return Err(format!("load everything anew, and go on from {}", resync.newest).into());
//!     }
//!     let mut seen = Vec::new();
//!     // `next` waits for the next event. `next_stored` ends where the log ends now.
//!     while let Some(event) = events.next_stored().await? {
//!         let event = event.event();
//!         if let EventData::Inventory(update) = &event.data {
//!             seen.push(format!("{} {}", event.sequence, update.inventory.station_id));
//!         }
//!         fs::write(file, event.sequence.to_string())?;
//!     }
//!     Ok(seen)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn Error>> {
//! # let service = TradeService::start(Arc::new(MemoryStore::new())).await?;
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("position");
//! # service.submit(Request::new(CreateStation::new("ceres".try_into()?))).await?;
//! assert_eq!(follow(&service, &file).await?, ["1 ceres"]);
//! // The process ends, and is started again.
//! # service.submit(Request::new(CreateStation::new("vesta".try_into()?))).await?;
//! assert_eq!(follow(&service, &file).await?, ["2 vesta"]);
//! # service.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! A follower that never ends calls `next`: after an error it waits a little and calls it again, and `None` says that the
//! service was shut down. It is waited for after [`shutdown`](service::TradeService::shutdown), and before the store is closed.
//!
//! A [`Subscription`](bus::Subscription) is also a `Stream`, for the combinators of the `futures` crate. It ends after
//! [`shutdown`](service::TradeService::shutdown). An error does not end it: polled again, it tries again from the same
//! position.
//!
//! ```
//! # use std::sync::Arc;
//! # use trade_core::command::{CreateStation, Request};
//! # use trade_core::memory::MemoryStore;
//! # use trade_core::service::TradeService;
//! use futures::{StreamExt, TryStreamExt};
//! use trade_core::event::EventFilter;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let service = TradeService::start(Arc::new(MemoryStore::new())).await?;
//! # for id in ["ceres", "vesta", "luna"] {
//! #     service.submit(Request::new(CreateStation::new(id.try_into()?))).await?;
//! # }
//! let events = service.bus().subscribe(Some(0), EventFilter::default());
//! let subjects: Vec<_> = events.take(2).map_ok(|event| event.event().subject()).try_collect().await?;
//! assert_eq!(subjects, ["inventory/ceres", "inventory/vesta"]);
//! # service.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Requests that are applied once
//!
//! Some commands must not be applied twice, such as an adjustment of stock. Their request is given an
//! [`Idempotency`](command::Idempotency): a name of 16 bytes that no other request has, and a fingerprint of 16 bytes that
//! stands for its content. The sender makes the name once, keeps it with its work, and sends the request again under the
//! same name until it is answered. Every repetition is given the first answer. Receipts are kept for 48 hours where
//! [`ServiceOptions::receipts_kept`](service::ServiceOptions::receipts_kept) says nothing else.
//!
//! ```
//! # use std::sync::Arc;
//! # use trade_core::memory::MemoryStore;
//! # use trade_core::service::TradeService;
//! use trade_core::command::{AdjustInventory, Adjustment, CreateStation, Request};
//! use trade_core::command::{Fingerprint, Idempotency, RequestId};
//! use trade_core::rejection::Rejection;
//! use trade_core::service::ServiceError;
//! use trade_core::values::Delta;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let service = TradeService::start(Arc::new(MemoryStore::new())).await?;
//! # service.submit(Request::new(CreateStation::new("ceres".try_into()?))).await?;
//! let name = RequestId(service.new_id().into_bytes());
//! let received = |units: i64| -> Result<_, Box<dyn std::error::Error>> {
//!     let line = Adjustment {
//!         item_id: "fuel".try_into()?,
//!         delta: Delta::new(units)?,
//!         reason: "received".try_into()?,
//!     };
//!     // A hash of the content, where that is longer.
//!     let mut fingerprint = [0; 16];
//!     fingerprint[..8].copy_from_slice(&units.to_le_bytes());
//!     let once = Idempotency { request: name, fingerprint: Fingerprint(fingerprint) };
//!     Ok(Request::new(AdjustInventory::new("ceres".try_into()?, vec![line])).once(once))
//! };
//! let first = service.submit(received(20)?).await?;
//! let again = service.submit(received(20)?).await?;
//! assert!(!first.replayed && again.replayed);
//! assert_eq!(again.outcome, first.outcome);
//! assert_eq!(again.outcome.items[0].level.on_hand, 20);
//!
//! // The same name for other content is refused.
//! let other = service.submit(received(21)?).await;
//! assert!(matches!(other, Err(ServiceError::Rejected(Rejection::RequestReused))));
//! # service.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Who asks, and what they may
//!
//! A [`TradeService`](service::TradeService) is the handle of the network's owner, who may do everything. For everybody
//! else the application makes a [`Session`](service::Session) of a [`Principal`](policy::Principal), which it knows by its
//! own login: a name, roles and stations. A [`Policy`](policy::Policy) says what these mean. It is asked about each command
//! of a session, and says which stations the session may know of. What is out of that scope is as if it did not exist, in
//! lists, single reads and events. Without a policy everybody may do and see everything
//! ([`AllowAll`](policy::AllowAll)).
//!
//! ```
//! use std::sync::Arc;
//! use trade_core::command::{CreateStation, Request};
//! use trade_core::event::{Actor, EventFilter};
//! use trade_core::memory::MemoryStore;
//! use trade_core::policy::{Action, Denial, Policy, Principal, State};
//! use trade_core::rejection::Rejection;
//! use trade_core::service::{ServiceError, ServiceOptions, TradeService};
//! use trade_core::store::{InventoryQuery, StationQuery};
//! use trade_core::values::{Scope, StationId};
//!
//! /// Everybody sells and sends from their own stations, changes what touches these, and sees what is theirs. Only an
//! /// admin opens stations.
//! #[derive(Debug)]
//! struct Own;
//!
//! impl Policy for Own {
//!     fn check(&self, who: &Principal, action: &Action<'_>, _: &State<'_>) -> Result<(), Denial> {
//!         let is_allowed = match action {
//!             Action::CreateStation(_) => who.has_role("admin"),
//!             Action::InitiateTrade(trade) => who.stations().contains(&trade.seller),
//!             Action::CreateTransfer(transfer) => who.stations().contains(&transfer.origin),
//!             other => who.stations().touches(other.stations()),
//!         };
//!         if is_allowed { Ok(()) } else { Err(Denial::Forbidden) }
//!     }
//!
//!     fn scope(&self, who: &Principal) -> Scope {
//!         who.stations().clone()
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = ServiceOptions { policy: Arc::new(Own), ..ServiceOptions::default() };
//! let service = TradeService::start_with_options(Arc::new(MemoryStore::new()), options).await?;
//! for id in ["ceres", "vesta"] {
//!     service.submit(Request::new(CreateStation::new(id.try_into()?))).await?;
//! }
//!
//! let hers = Scope::of([StationId::new("ceres")?])?;
//! let ada = Principal::new(Actor::User("ada".into())).with_roles(["clerk"]).with_stations(hers);
//! let session = service.session(ada);
//! let refused = session.submit(Request::new(CreateStation::new("luna".try_into()?))).await;
//! assert!(matches!(refused, Err(ServiceError::Rejected(Rejection::Forbidden))));
//!
//! // It reads as the service's store does, and sees ceres alone.
//! let stations = session.inventory_list(&StationQuery::all(None, 10, 0)).await?;
//! assert_eq!(stations.rows.len(), 1);
//! let all = InventoryQuery::first(10);
//! assert!(session.inventory(&"ceres".try_into()?, &all).await?.is_some());
//! assert!(session.inventory(&"vesta".try_into()?, &all).await?.is_none());
//! let mut events = session.subscribe(Some(0), EventFilter::default());
//! let event = events.next().await?.ok_or("the service is not shut down yet")?;
//! assert_eq!(event.event().subject(), "inventory/ceres");
//! assert!(events.next_stored().await?.is_none());
//! # service.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! A policy may also look at the stock as it is, and refuse with a reason in words of its own
//! ([`Denial::Because`](policy::Denial::Because)): the page of [`policy`] has an example. Several policies make one by
//! [`Every`](policy::Every).
//!
//! # A store of one's own
//!
//! A store implements [`Store`](store::Store). The text of its traits in [`store`] is the contract. One around another
//! store, which changes or counts some of its calls, implements [`StoreWrapper`](store::StoreWrapper) and writes only the
//! methods that it changes; there is an example with it.
//!
//! The conformance suite judges a store: one line makes one test of every case.
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # mod tests {
//! use trade_core::memory::MemoryStore;
//! use trade_core::testing::conformance::InProcess;
//!
//! // A store that lives in one process is made by a function.
//! trade_core::conformance_suite!(my_store, InProcess::new(MemoryStore::new));
//! # }
//! # fn main() {}
//! ```
//!
//! The page of [`testing`](testing/index.html) says how stores are judged that several processes open, or that need a
//! server. `examples/examples/custom_store.rs` of the repository is a whole store over a journal file.
//! [`verify`](verify::verify) audits what any store holds, and [`copy`] takes a network from one store to another.
//!
//! # Property tests
//!
//! The rules and a policy are pure, so they are tested without a store. The feature `testing` has proptest strategies for
//! every value and command. Those of commands are over a small world of stations `S-0`, `S-1` … and few items, so that
//! they meet: what one sells, another has to miss. Items are `item-0`, `item-1` …: a policy about others is not tested by
//! these. A [`Draft`](rules::Draft) decides one command after the other, and
//! holds what comes of it.
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # mod tests {
//! use proptest::prelude::*;
//! use trade_core::event::Actor;
//! use trade_core::rules::{self, Context, Draft};
//! use trade_core::testing::{fixtures, strategies};
//! use trade_core::view::View;
//!
//! # /*
//! #[test]
//! # */
//! # pub
//! fn nobody_reserves_what_is_not_on_hand() {
//!     proptest!(|(commands in strategies::commands(0..40))| {
//!         let mut draft = Draft::new(View::empty());
//!         let context = Context::new(fixtures::start_time(), Actor::Anonymous);
//!         for command in commands {
//!             if rules::check(&command).is_err() {
//!                 continue;
//!             }
//!             let before = draft.events().len();
//!             if draft.decide(&command, &context).is_err() {
//!                 prop_assert_eq!(draft.events().len(), before, "a refusal changes nothing");
//!             }
//!         }
//!         for station in draft.view.stations() {
//!             for (_, level) in draft.view.items(&station.station_id) {
//!                 prop_assert!(level.reserved <= level.on_hand);
//!             }
//!         }
//!     });
//! }
//! # }
//! # fn main() {
//! #     #[cfg(feature = "testing")]
//! #     tests::nobody_reserves_what_is_not_on_hand();
//! # }
//! ```
//!
//! A policy is asked where the [`Context`](rules::Context) has an [`Asker`](policy::Asker). The last test runs a whole
//! network under it, with several processes, crashes, faults and clocks, from one seed; there the policy is asked again
//! about all that landed and all that was refused. `Own` is the policy from above.
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # mod tests {
//! # use trade_core::policy::{Action, Denial, Policy, State};
//! # #[derive(Debug)]
//! # struct Own;
//! # impl Policy for Own {
//! #     fn check(&self, who: &Principal, action: &Action<'_>, _: &State<'_>) -> Result<(), Denial> {
//! #         let is_allowed = match action {
//! #             Action::CreateStation(_) => who.has_role("admin"),
//! #             Action::InitiateTrade(trade) => who.stations().contains(&trade.seller),
//! #             Action::CreateTransfer(transfer) => who.stations().contains(&transfer.origin),
//! #             other => who.stations().touches(other.stations()),
//! #         };
//! #         if is_allowed { Ok(()) } else { Err(Denial::Forbidden) }
//! #     }
//! #     fn scope(&self, who: &Principal) -> Scope {
//! #         who.stations().clone()
//! #     }
//! # }
//! use proptest::prelude::*;
//! use std::sync::Arc;
//! use trade_core::event::{Actor, EventData, EventType};
//! use trade_core::policy::{Asker, Principal};
//! use trade_core::rules::{self, Context, Draft};
//! use trade_core::testing::fixtures::{start_time, station};
//! use trade_core::testing::simulation::{Simulation, Surroundings};
//! use trade_core::testing::strategies::World;
//! use trade_core::values::Scope;
//! use trade_core::view::View;
//!
//! fn ada() -> Principal {
//!     let hers = Scope::of([station("S-0"), station("S-1")]).expect("two stations");
//!     Principal::new(Actor::User("ada".into())).with_stations(hers)
//! }
//!
//! # /*
//! #[test]
//! # */
//! # pub
//! fn nobody_sells_from_stations_of_others() {
//!     proptest!(|(commands in World::SMALL.commands(0..40))| {
//!         let owner = Context::new(start_time(), Actor::Anonymous);
//!         let context = Context::of(start_time(), Arc::new(Asker::new(ada(), Arc::new(Own))));
//!         // The first commands open the stations. The owner of the network does that.
//!         let (opening, asked) = commands.split_at(World::SMALL.stations as usize);
//!         let mut draft = Draft::new(View::empty());
//!         for command in opening {
//!             draft.decide(command, &owner).expect("they are new");
//!         }
//!         for command in asked.iter().filter(|command| rules::check(command).is_ok()) {
//!             let _ = draft.decide(command, &context);
//!         }
//!         for event in draft.events() {
//!             if let (EventType::TradeInitiated, EventData::Trade(trade)) = (event.event_type, &event.data) {
//!                 prop_assert!(ada().stations().contains(&trade.seller));
//!             }
//!         }
//!     });
//! }
//!
//! # /*
//! #[test]
//! # */
//! # pub
//! fn the_policy_holds_whatever_befalls_the_network() {
//!     let owner = Principal::new(Actor::Anonymous).with_roles(["admin"]).with_stations(Scope::All);
//!     let surroundings = Surroundings::default().under(Arc::new(Own), vec![ada(), owner]);
//!     for seed in 0..4 {
//!         Simulation::of_seed(seed).assert_holds_in(&surroundings);
//!     }
//! }
//! # }
//! # fn main() {
//! #     #[cfg(feature = "testing")]
//! #     tests::nobody_sells_from_stations_of_others();
//! #     #[cfg(feature = "testing")]
//! #     tests::the_policy_holds_whatever_befalls_the_network();
//! # }
//! ```
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | (none) | types, rules, service, event bus, repository traits, memory store, audit |
//! | `schema` | the module [`schema`](schema/index.html): JSON Schemas of the resources and events |
//! | `testing` | the module [`testing`](testing/index.html): strategies, a reference model, the conformance suite, stores that fail or are wrong on demand, the simulation |
//!
//! With `testing` come proptest and Tokio's runtime of several threads. It is meant for `[dev-dependencies]`.

#![warn(missing_docs)]

pub mod access;
pub mod bus;
pub mod cause;
pub mod clock;
pub mod command;
pub mod copy;
pub mod event;
mod hash;
pub mod memory;
mod outage;
pub mod policy;
pub mod record;
pub mod rejection;
pub mod resource;
pub mod rules;
#[cfg(feature = "schema")]
pub mod schema;
pub mod service;
pub mod step;
pub mod store;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod values;
pub mod verify;
pub mod view;
