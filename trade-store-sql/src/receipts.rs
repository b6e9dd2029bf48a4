//! Answers that receipts keep, in pieces: a server takes, and gives, no row of more than some megabytes.
//!
//! The first piece stands in the receipt's own row, each further one in a row of the same table under an id that is made
//! of the request's, and goes with it when its time has passed. A piece of full length has one after it, which may be
//! empty. So nothing but its length tells that an answer goes on, and most have one row as before.

use sha2::{Digest, Sha256};
use std::collections::HashMap;
use trade_core::command::RequestId;
use trade_core::store::{Receipt, Span};

/// The length of a full piece. MariaDB takes messages of 16 MiB where nothing else is set, and bytes as twice as many
/// digits.
pub(crate) const PIECE_BYTES: usize = 1024 * 1024;

/// A row of a receipt.
#[derive(Debug)]
pub(crate) struct Piece<'r> {
    /// What it is found by.
    pub(crate) row: RequestId,
    pub(crate) receipt: &'r Receipt,
    /// In the receipt's own row alone: by them it is told from a further one.
    pub(crate) steps: Option<Span>,
    pub(crate) answer: Option<&'r [u8]>,
}

/// The rows of a receipt.
pub(crate) fn pieces(receipt: &Receipt) -> impl Iterator<Item = Piece<'_>> {
    let answer = receipt.answer.as_deref();
    let count = answer.map_or(1, |answer| answer.len() / PIECE_BYTES + 1);
    (0..count).map(move |place| {
        let answer = answer.map(|answer| {
            let rest = &answer[place * PIECE_BYTES..];
            &rest[..rest.len().min(PIECE_BYTES)]
        });
        let steps = receipt.steps.filter(|_| place == 0);
        Piece { row: row(&receipt.request, place), receipt, steps, answer }
    })
}

/// The id of the row with a piece.
pub(crate) fn row(request: &RequestId, place: usize) -> RequestId {
    if place == 0 {
        return *request;
    }
    let digest = Sha256::new()
        .chain_update(b"piece of an answer")
        .chain_update(request.0)
        .chain_update((place as u64).to_be_bytes())
        .finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    RequestId(id)
}

/// Whether there is more of an answer, of which so much is there.
pub(crate) fn goes_on(answer: &[u8]) -> bool {
    !answer.is_empty() && answer.len().is_multiple_of(PIECE_BYTES)
}

/// Adds to an answer the pieces from a place on that were found. Answers whether it is whole: `None` where one that was
/// asked for, `places` of them, is not there.
pub(crate) fn join(
    request: &RequestId,
    answer: &mut Vec<u8>,
    places: std::ops::Range<usize>,
    found: &HashMap<RequestId, Vec<u8>>,
) -> Option<bool> {
    for place in places {
        let piece = found.get(&row(request, place))?;
        answer.extend_from_slice(piece);
        if piece.len() < PIECE_BYTES {
            return Some(true);
        }
    }
    Some(false)
}
