//! Receipts: those that name steps, and the further pieces of answers that are too long for a row.

use crate::dialect::Template;
use crate::driver::{Driver, Param};
use crate::lane::Lane;
use crate::receipts::{goes_on, join, row};
use crate::rows;
use std::collections::HashMap;
use trade_core::command::RequestId;
use trade_core::store::{Receipt, StoreError};

/// Receipts that name steps, behind a request, without their answers.
pub(crate) static LIST_SQL: Template = Template::new(
    "SELECT {row:receipt_alone} FROM tn_receipt r WHERE r.request > {bytes:?1} AND r.first IS NOT NULL \
     ORDER BY r.request LIMIT ?2",
);

/// As [`trade_core::store::Store::receipts`].
pub(crate) async fn list<E: Driver>(
    lane: &Lane<E>,
    after: Option<RequestId>,
    limit: usize,
) -> Result<Vec<Receipt>, StoreError> {
    const OPERATION: &str = "list receipts";
    let after = after.as_ref().map(hexadecimal).unwrap_or_default();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let parameters = [Param::Text(Some(&after)), limit.into()];
    let found = lane.read(OPERATION, LIST_SQL.of(E::DIALECT), &parameters).await?;
    let receipts = found.iter().map(rows::receipt).collect::<Result<_, _>>();
    receipts.map_err(rows::failed::<E>(OPERATION))
}

const OPERATION: &str = "load";
/// Pieces that are read at once.
const PIECES_MAX: usize = 8;

/// A place in the list of rows that were asked for, and the piece in it.
pub(crate) static PIECES_SQL: Template =
    Template::new("SELECT k.key, r.answer FROM {texts:1} {then:tn_receipt|r|r.request = {bytes:k.value}}");

/// Makes answers whole of which only the first piece is there. A receipt whose pieces are gone was kept long enough, and
/// is left out.
pub(crate) async fn complete<E: Driver>(
    lane: &Lane<E>,
    receipts: Vec<Receipt>,
) -> Result<Vec<Receipt>, StoreError> {
    let mut whole = Vec::with_capacity(receipts.len());
    for mut receipt in receipts {
        if complete_one(lane, &mut receipt).await? {
            whole.push(receipt);
        }
    }
    Ok(whole)
}

async fn complete_one<E: Driver>(lane: &Lane<E>, receipt: &mut Receipt) -> Result<bool, StoreError> {
    let Some(answer) = receipt.answer.as_mut().filter(|answer| goes_on(answer)) else { return Ok(true) };
    for first in (1..).step_by(PIECES_MAX) {
        let places = first..first + PIECES_MAX;
        let asked: Vec<RequestId> = places.clone().map(|place| row(&receipt.request, place)).collect();
        let found = pieces(lane, &asked).await?;
        match join(&receipt.request, answer, places, &found) {
            Some(false) => {}
            ended => return Ok(ended.is_some()),
        }
    }
    Ok(false)
}

async fn pieces<E: Driver>(
    lane: &Lane<E>,
    asked: &[RequestId],
) -> Result<HashMap<RequestId, Vec<u8>>, StoreError> {
    let ids: Vec<String> = asked.iter().map(hexadecimal).collect();
    let ids = [Param::Texts(ids.iter().map(String::as_str).collect())];
    let found = lane.read(OPERATION, PIECES_SQL.of(E::DIALECT), &ids).await?;
    let damaged = rows::failed::<E>(OPERATION);
    let mut pieces = HashMap::new();
    for row in &found {
        let place = rows::number(row, 0).map_err(damaged)? - E::DIALECT.first_place;
        let id = usize::try_from(place).ok().and_then(|place| asked.get(place));
        if let Some(id) = id {
            pieces.insert(*id, rows::bytes(row, 1).map_err(damaged)?.to_vec());
        }
    }
    Ok(pieces)
}

/// As ids of requests go into a statement.
pub(super) fn hexadecimal(request: &RequestId) -> String {
    format!("{:032x}", u128::from_be_bytes(request.0))
}
