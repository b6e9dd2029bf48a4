//! The network as one principal may use it.

use super::{Answer, ServiceError, TradeService};
use crate::bus::Subscription;
use crate::command::{Request, TypedCommand};
use crate::event::{Event, EventFilter};
use crate::policy::{Asker, Principal};
use crate::resource::{Cargo, Inventory, LedgerEntry, Sequence, Trade};
use crate::store::{
    CargoQuery, InventoryPage, InventoryQuery, LedgerPosition, LedgerQuery, Page, StationQuery, StoreError,
    StoreReader, TradeQuery,
};
use crate::values::{Scope, ShipmentId, StationId, TransactionId};
use std::sync::Arc;

/// Events that lie at most so far apart are read from the log together.
const GAP_MAX: u64 = 32;
const RECORDS_MAX: usize = 32;
/// Records and bytes of the log that are looked through at a time.
const LOOK_RECORDS_MAX: usize = 512;
const READ_BYTES_MAX: usize = 256 * 1024;

/// The network as one principal may use it: the policy of the service
/// ([`ServiceOptions::policy`](super::ServiceOptions::policy)) is asked about each command, and what is outside its scope is
/// as if it did not exist. Cheap to clone.
///
/// Nothing that it hands out can commit, hold the head of the log, or see more.
#[derive(Debug, Clone)]
pub struct Session {
    service: TradeService,
    asker: Arc<Asker>,
}

/// Which events of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// Those that pass.
    pub filter: EventFilter,
    /// Only those after this sequence: the `last` of the page before.
    pub after: Sequence,
    /// The most events.
    pub limit: usize,
    /// The most events that are examined.
    pub examined_max: u64,
}

/// Some events of the log that a session may see.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventPage {
    /// The events, ascending.
    pub events: Vec<Event>,
    /// The last sequence that was examined; the one to begin after, where nothing follows.
    pub last: Sequence,
    /// Whether nothing follows.
    pub is_end: bool,
}

impl Session {
    pub(super) fn new(service: TradeService, principal: Principal) -> Self {
        let policy = service.inner.options.policy.clone();
        Self { service, asker: Arc::new(Asker::new(principal, policy)) }
    }

    /// Who it is.
    pub fn principal(&self) -> &Principal {
        self.asker.principal()
    }

    /// What it may know of.
    pub fn scope(&self) -> &Scope {
        self.asker.scope()
    }

    /// Applies a command, as [`TradeService::submit`] does, where the policy allows it. The events name the principal,
    /// whatever actor the request names.
    ///
    /// The key of a request that is to be applied once must be the principal's own: whoever sends a request of the same key
    /// and content is given its answer.
    ///
    /// # Errors
    /// As [`TradeService::submit`]; [`Rejection::Forbidden`](crate::rejection::Rejection::Forbidden) or
    /// [`Rejection::RefusedByPolicy`](crate::rejection::Rejection::RefusedByPolicy) where it does not.
    pub async fn submit<C: TypedCommand>(
        &self,
        request: Request<C>,
    ) -> Result<Answer<C::Outcome>, ServiceError> {
        let request = request.by(self.principal().actor().clone());
        self.service.submit_for(request, Some(self.asker.clone())).await
    }

    /// One trade.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub async fn trade(&self, id: &TransactionId) -> Result<Option<Arc<Trade>>, StoreError> {
        let trade = self.reader().trade(id).await?;
        Ok(trade.filter(|trade| self.scope().touches([&trade.seller, &trade.buyer])))
    }

    /// A page of trades, newest first. Of a scope in the filter those stations count that are in the session's as well.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub async fn trades(&self, query: &TradeQuery) -> Result<Page<Arc<Trade>, Sequence>, StoreError> {
        let filter = query.filter.shown_to(self.scope());
        self.reader().trades(&TradeQuery { filter, ..query.clone() }).await
    }

    /// One shipment.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub async fn cargo(&self, id: &ShipmentId) -> Result<Option<Arc<Cargo>>, StoreError> {
        let cargo = self.reader().cargo(id).await?;
        Ok(cargo.filter(|cargo| self.scope().touches([&cargo.origin, &cargo.destination])))
    }

    /// A page of shipments, newest first; of a scope in the filter as of [`Self::trades`].
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub async fn cargo_list(&self, query: &CargoQuery) -> Result<Page<Arc<Cargo>, Sequence>, StoreError> {
        let filter = query.filter.shown_to(self.scope());
        self.reader().cargo_list(&CargoQuery { filter, ..query.clone() }).await
    }

    /// The events about a shipment after a sequence, oldest first; none where there is no such shipment.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub async fn cargo_history(
        &self,
        id: &ShipmentId,
        after: Sequence,
        limit: usize,
    ) -> Result<Option<Page<Event, Sequence>>, StoreError> {
        let reader = self.reader();
        if *self.scope() != Scope::All && self.cargo(id).await?.is_none() {
            return Ok(None);
        }
        let mut sequences = reader.cargo_history(id, after, limit.saturating_add(1)).await?;
        if sequences.is_empty() && reader.cargo(id).await?.is_none() {
            return Ok(None);
        }
        let is_last = sequences.len() <= limit;
        sequences.truncate(limit);
        let rows = self.events_at(&sequences).await?;
        if rows.len() != sequences.len() {
            let detail = format!("the history of {id} names events that are not in the log");
            return Err(self.service.corrupt("read a shipment's history", detail));
        }
        let next = sequences.last().copied().filter(|_| !is_last);
        Ok(Some(Page { rows, next, as_of: None }))
    }

    /// The events at these sequences, which ascend.
    async fn events_at(&self, sequences: &[Sequence]) -> Result<Vec<Event>, StoreError> {
        let mut events = Vec::with_capacity(sequences.len());
        while let Some(&[first, ref rest @ ..]) = sequences.get(events.len()..) {
            let near = rest.first().is_some_and(|next| next - first <= GAP_MAX);
            let records_max = if near { RECORDS_MAX } else { 1 };
            let records = self.reader().read(first - 1, records_max, READ_BYTES_MAX).await?;
            let found_before = events.len();
            for record in records {
                let span = record.first()..=record.last;
                let wanted = &sequences[events.len()..];
                let wanted = &wanted[..wanted.partition_point(|sequence| *sequence <= record.last)];
                if !wanted.is_empty() && wanted.iter().all(|sequence| span.contains(sequence)) {
                    let all = record.step.events(record.first());
                    events.extend(all.into_iter().filter(|event| wanted.contains(&event.sequence)));
                }
            }
            if events.len() == found_before {
                break;
            }
        }
        Ok(events)
    }

    /// A station with some of its items.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub async fn inventory(
        &self,
        id: &StationId,
        query: &InventoryQuery,
    ) -> Result<Option<InventoryPage>, StoreError> {
        if self.scope().contains(id) { self.reader().inventory(id, query).await } else { Ok(None) }
    }

    /// A page of stations, newest first; of a scope in the query as of [`Self::trades`].
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub async fn inventory_list(
        &self,
        query: &StationQuery,
    ) -> Result<Page<Inventory, Sequence>, StoreError> {
        let scope = query.scope.within(self.scope());
        self.reader().inventory_list(&StationQuery { scope, ..query.clone() }).await
    }

    /// A page of a station's stock ledger, newest first; none where there is no such station.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub async fn ledger(
        &self,
        station: &StationId,
        query: &LedgerQuery,
    ) -> Result<Option<Page<LedgerEntry, LedgerPosition>>, StoreError> {
        if !self.scope().contains(station) {
            return Ok(None);
        }
        let page = self.reader().ledger(station, query).await?;
        let one = InventoryQuery::first(1);
        if page.rows.is_empty() && self.reader().inventory(station, &one).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(page))
    }

    /// Some events of the log, oldest first: one read of it, so that a page may be short and more may follow.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub async fn events(&self, query: &EventQuery) -> Result<EventPage, StoreError> {
        let EventQuery { after, limit, examined_max, .. } = *query;
        let filter = self.shown(query.filter.clone());
        let records = self.reader().read(after, LOOK_RECORDS_MAX, READ_BYTES_MAX).await?;
        let end = after.saturating_add(examined_max);
        let mut page = EventPage { events: Vec::new(), last: after, is_end: records.is_empty() };
        let all = records.iter().flat_map(|record| record.step.events(record.first()));
        for event in all.skip_while(|event| event.sequence <= after) {
            if event.sequence > end || page.events.len() == limit {
                break;
            }
            page.last = event.sequence;
            if filter.matches(&event) {
                page.events.push(event);
            }
        }
        Ok(page)
    }

    /// The newest sequence of the log.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub async fn newest(&self) -> Result<Sequence, StoreError> {
        Ok(self.reader().head().await?.sequence)
    }

    /// Subscribes to the events after a sequence, or from now on: as
    /// [`EventBus::subscribe`](crate::bus::EventBus::subscribe), of what the session may see.
    pub fn subscribe(&self, after: Option<Sequence>, filter: EventFilter) -> Subscription {
        self.service.inner.bus.subscribe(after, self.shown(filter))
    }

    fn shown(&self, filter: EventFilter) -> EventFilter {
        EventFilter { scope: filter.scope.within(self.scope()), ..filter }
    }

    fn reader(&self) -> &dyn StoreReader {
        self.service.store()
    }
}
