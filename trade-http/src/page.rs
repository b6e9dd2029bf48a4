//! A page of a list as it is sent: it ends after so many rows, or after so many bytes.

use crate::app::App;
use crate::cursor::{Cursor, Paging};
use crate::problem::Problem;
use crate::reply::{self, Reply};
use crate::sent;
use serde::Serialize;
use std::thread::available_parallelism;
use tokio::sync::Semaphore;
use trade_core::store::Page;

/// The most bytes of the rows of a page. A single row is a page whatever it takes.
const BYTES_MAX: usize = 4 << 20;
/// How many rows are read at once: as many as a page has by default. Of the largest trades these are 25 MiB.
const ROWS_READ_MAX: usize = 50;

/// Lists are read only so many at a time, for they are long: whoever reads one thing goes by them.
pub(crate) fn lane() -> Semaphore {
    Semaphore::new(available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8)))
}

/// The rows of a page, written already.
#[derive(Debug)]
pub(crate) struct Rows {
    json: Vec<u8>,
    count: usize,
}

impl Rows {
    /// None yet, under this name.
    pub(crate) fn of(name: &str) -> Self {
        Self { json: format!("{{\"{name}\":[").into_bytes(), count: 0 }
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Next {
    next_cursor: Option<String>,
}

/// Reads a page piece by piece, and writes it. `read` reads up to so many rows after a position, and tells the position of
/// the last row it examined, if there may be more.
pub(crate) async fn list<T, P, F>(
    app: &App,
    name: &str,
    (paging, limit): (&Paging<P>, usize),
    read: impl Fn(Option<P>, usize) -> F,
) -> Reply
where
    T: Serialize,
    P: Cursor + Copy,
    F: Future<Output = Result<Page<T, P>, Problem>>,
{
    let _turn = app.lists.acquire().await;
    let mut rows = Rows::of(name);
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
