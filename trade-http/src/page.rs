//! A page of a list as it is sent: it ends after so many rows, or after so many bytes.

use crate::app::App;
use crate::cursor::{Cursor, Paging};
use crate::problem::Problem;
use crate::reply::{self, Reply};
use crate::sent;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;
use std::thread::available_parallelism;
use tokio::sync::Semaphore;
use trade_core::access::ApiKey;
use trade_core::event::Event;
use trade_core::resource::{Cargo, Inventory, LedgerEntry, Trade};
use trade_core::store::Page;

/// The most bytes of the rows of a page. A single row is a page whatever it takes.
const BYTES_MAX: usize = 4 << 20;
/// How many rows are read at once: as many as a page has by default. Of the largest trades these are 25 MiB.
const ROWS_READ_MAX: usize = 50;

/// Lists are read only so many at a time, for they are long: whoever reads one thing goes by them.
pub(crate) fn lane() -> Semaphore {
    Semaphore::new(available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8)))
}

/// What a list holds.
pub(crate) trait Row: Serialize + JsonSchema {
    /// The member of a page that lists them.
    const ROWS: &'static str;
}

impl Row for Trade {
    const ROWS: &'static str = "trades";
}

impl Row for Cargo {
    const ROWS: &'static str = "cargo";
}

impl Row for Inventory {
    const ROWS: &'static str = "inventory";
}

impl Row for LedgerEntry {
    const ROWS: &'static str = "entries";
}

impl Row for Event {
    const ROWS: &'static str = "events";
}

impl Row for ApiKey {
    const ROWS: &'static str = "keys";
}

impl<T: Row> Row for Arc<T> {
    const ROWS: &'static str = T::ROWS;
}

/// How a page is described: its rows, and what follows them.
#[derive(Debug)]
pub(crate) struct PageOf<T, R = Next>(PhantomData<fn() -> (T, R)>);

impl<T: Row, R: JsonSchema> JsonSchema for PageOf<T, R> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}{}", T::schema_name(), R::schema_name()).into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let rows = json_schema!({ "type": "array", "items": schemas.subschema_for::<T>() });
        let mut schema = R::json_schema(schemas);
        if let Some(Value::Object(members)) = schema.get_mut("properties") {
            members.insert(T::ROWS.into(), rows.to_value());
        }
        if let Some(Value::Array(required)) = schema.get_mut("required") {
            required.insert(0, T::ROWS.into());
        }
        schema
    }
}

/// The rows of a page, written already.
#[derive(Debug)]
pub(crate) struct Rows {
    json: Vec<u8>,
    count: usize,
}

impl Rows {
    /// None yet.
    pub(crate) fn of<T: Row>() -> Self {
        Self { json: format!("{{\"{}\":[", T::ROWS).into_bytes(), count: 0 }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Answers how many of some rows there is room for, and adds them if that is all.
    pub(crate) fn add(&mut self, rows: &[impl Serialize]) -> Result<usize, Problem> {
        let (end, count) = (self.json.len(), self.count);
        for (fitting, row) in rows.iter().enumerate() {
            if self.count > 0 {
                self.json.push(b',');
            }
            sent::write(&mut self.json, row).map_err(reply::unwritable)?;
            if self.count > 0 && self.json.len() > BYTES_MAX {
                self.json.truncate(end);
                self.count = count;
                return Ok(fitting);
            }
            self.count += 1;
        }
        Ok(rows.len())
    }

    /// The answer, with what follows the rows: the members of an object.
    pub(crate) fn reply(mut self, rest: &impl Serialize) -> Reply {
        self.json.push(b']');
        let comma = self.json.len();
        sent::write(&mut self.json, rest).map_err(reply::unwritable)?;
        if let Some(brace) = self.json.get_mut(comma) {
            *brace = b',';
        }
        Ok(reply::json_text(self.json))
    }
}

/// One page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Page")]
pub(crate) struct Next {
    /// The `cursor` of the next page; null at the end.
    next_cursor: Option<String>,
}

impl Next {
    pub(crate) fn after(next_cursor: Option<String>) -> Self {
        Self { next_cursor }
    }
}

/// Reads a page piece by piece, and writes it. `read` reads up to so many rows after a position, and tells the position of
/// the last row it examined, if there may be more.
pub(crate) async fn list<T, P, F>(
    app: &App,
    (paging, limit): (&Paging<P>, usize),
    read: impl Fn(Option<P>, usize) -> F,
) -> Reply
where
    T: Row,
    P: Cursor + Copy,
    F: Future<Output = Result<Page<T, P>, Problem>>,
{
    let _turn = app.lists.acquire().await;
    let mut rows = Rows::of::<T>();
    let (mut end, mut as_of) = (None, None);
    let (mut wanted, mut is_full) = (ROWS_READ_MAX.min(limit), false);
    loop {
        let piece = read(end.or(paging.from), wanted).await?;
        let fitting = rows.add(&piece.rows)?;
        // The page knows no more than the piece that knows least.
        as_of = [as_of, piece.as_of].into_iter().flatten().min();
        if fitting == piece.rows.len() {
            end = piece.next;
            if end.is_none() || is_full || fitting < wanted || rows.count() == limit {
                break;
            }
            wanted = ROWS_READ_MAX.min(limit - rows.count());
        } else if fitting == 0 {
            break;
        } else {
            // Where the page ends within a piece is told by reading no more than that. It may be of other rows by now.
            (wanted, is_full) = (fitting, true);
        }
    }
    let next_cursor = end.map(|end| paging.next(&end));
    reply::as_of(rows.reply(&Next { next_cursor }), as_of)
}

/// A page with another kind of position.
pub(crate) fn from_position<T, P, C>(page: Page<T, P>, position: impl FnOnce(P) -> C) -> Page<T, C> {
    let Page { rows, next, as_of } = page;
    Page { rows, next: next.map(position), as_of }
}
