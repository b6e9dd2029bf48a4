//! Receipts: `{_id, fingerprint, time, first?, last?, answer?, pieces?}`, the sequences `first` to `last` being those of its
//! steps. An answer that would come near what a document may hold stands in
//! pieces beside it, `{_id: {request, piece}, bytes}`.

use super::{Decoded, Fields, Unreadable, date, stored};
use mongodb::bson::raw::cstr;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{RawBinaryRef, RawDocument, RawDocumentBuf, rawdoc};
use trade_core::command::{Fingerprint, RequestId};
use trade_core::store::{Receipt, Span};

/// The longest answer in one document, and the longest piece of another; a document has 16 MB.
pub(crate) const PIECE_BYTES_MAX: usize = 8 << 20;

/// Bytes as a document keeps them.
pub(crate) fn binary(bytes: &[u8]) -> RawBinaryRef<'_> {
    RawBinaryRef { subtype: BinarySubtype::Generic, bytes }
}

/// A receipt, without an answer that is too long for it, in a log that is longer by `shift` than it was decided on.
pub(crate) fn write(receipt: &Receipt, shift: u64) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("_id"), binary(&receipt.request.0));
    document.append(cstr!("fingerprint"), binary(&receipt.fingerprint.0));
    document.append(cstr!("time"), date(receipt.time));
    if let Some(Span { first, last }) = receipt.steps.map(|steps| steps.shifted(shift)) {
        document.append(cstr!("first"), stored(first));
        document.append(cstr!("last"), stored(last));
    }
    match receipt.answer.as_deref() {
        Some(answer) if answer.len() <= PIECE_BYTES_MAX => document.append(cstr!("answer"), binary(answer)),
        Some(answer) => {
            document.append(cstr!("pieces"), stored(answer.len().div_ceil(PIECE_BYTES_MAX) as u64));
        }
        None => {}
    }
    document
}

/// The pieces of an answer that is too long.
pub(crate) fn write_pieces(receipt: &Receipt) -> impl Iterator<Item = RawDocumentBuf> {
    let answer = receipt.answer.as_deref().filter(|answer| answer.len() > PIECE_BYTES_MAX);
    let pieces = answer.unwrap_or_default().chunks(PIECE_BYTES_MAX);
    (0..).zip(pieces).map(|(piece, bytes)| {
        let mut document = rawdoc! { "_id": piece_key(&receipt.request, piece) };
        document.append(cstr!("bytes"), binary(bytes));
        document
    })
}

/// The id of a piece.
pub(crate) fn piece_key(request: &RequestId, piece: u64) -> RawDocumentBuf {
    let mut key = RawDocumentBuf::new();
    key.append(cstr!("request"), binary(&request.0));
    key.append(cstr!("piece"), stored(piece));
    key
}

/// A receipt, and of how many pieces its answer is where it stands elsewhere.
pub(crate) fn read(document: &RawDocument) -> Decoded<(Receipt, u64)> {
    let receipt = Receipt {
        request: RequestId(id("_id", document.bytes("_id")?)?),
        fingerprint: Fingerprint(id("fingerprint", document.bytes("fingerprint")?)?),
        time: document.time("time")?,
        steps: steps(document)?,
        answer: document.maybe_bytes("answer")?.map(<[u8]>::to_vec),
    };
    let pieces = if document.maybe("pieces")?.is_some() { document.count("pieces")? } else { 0 };
    Ok((receipt, pieces))
}

fn steps(document: &RawDocument) -> Decoded<Option<Span>> {
    if document.maybe("first")?.is_none() {
        return Ok(None);
    }
    Ok(Some(Span { first: document.count("first")?, last: document.count("last")? }))
}

/// A piece: of which request, and its bytes.
pub(crate) fn read_piece(document: &RawDocument) -> Decoded<(RequestId, Vec<u8>)> {
    let request = id("request", document.document("_id")?.bytes("request")?)?;
    Ok((RequestId(request), document.bytes("bytes")?.to_vec()))
}

fn id(field: &str, bytes: &[u8]) -> Decoded<[u8; 16]> {
    bytes.try_into().map_err(|_| Unreadable::damaged(format!("{field} is not of 16 bytes")))
}
