//! Compressed answers (RFC 9110 §8.4, §12.5.3): JSON and other text of more than a kibibyte, for who asks.
//!
//! An answer is compressed as a whole before it is sent. So no client, however slowly it reads, holds an encoder of some
//! hundred kilobytes, and the size of what waits for it is known. Streams of events have no size, and are left as they
//! are. What is compressed next to a secret can tell it by its length (BREACH): no answer that is as long holds one.

use crate::untaken::exact_bytes;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use futures::stream;
use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::pin::pin;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tower::{Layer, Service, service_fn};
use tower_http::CompressionLevel;
use tower_http::compression::{CompressionBody, CompressionLayer};

/// Answers up to this size are not made much shorter.
const BYTES_MIN: usize = 1024;
/// Larger ones are compressed only so many at a time, and others are served in between.
const AT_ONCE_BYTES_MAX: usize = 64 * 1024;

/// What a request says about the coding of its answer.
#[derive(Debug)]
pub(crate) struct Asked(HeaderMap);

impl Asked {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut asked = HeaderMap::new();
        for name in [header::ACCEPT_ENCODING, header::IF_NONE_MATCH] {
            for line in headers.get_all(&name) {
                asked.append(&name, line.clone());
            }
        }
        Self(asked)
    }

    /// Whether the client has what a weak tag names: an answer that was compressed, and would be again.
    fn knows(&self, tag: &HeaderValue) -> bool {
        let mut lines = self.0.get_all(header::IF_NONE_MATCH).iter();
        self.0.contains_key(header::ACCEPT_ENCODING)
            && tag
                .to_str()
                .is_ok_and(|tag| lines.any(|line| line.to_str().is_ok_and(|line| line.contains(tag))))
    }
}

/// Compresses an answer if it is worth it and the client takes it. `lane` has room for those who compress a large one.
pub(crate) async fn compress(lane: &Semaphore, asked: Asked, mut response: Response) -> Response {
    if response.status() == StatusCode::NOT_MODIFIED {
        told_of_what_is_known(&asked, response.headers_mut());
        return response;
    }
    let Some(bytes) = exact_bytes(&response).filter(|bytes| *bytes > BYTES_MIN) else { return response };
    if !is_text(response.headers()) {
        return response;
    }
    let status = response.status();
    let mut request = Request::new(());
    *request.headers_mut() = asked.0;
    let answer = |_: Request<()>| ready(Ok::<_, Infallible>(std::mem::take(&mut response)));
    let layer = CompressionLayer::new().quality(CompressionLevel::Fastest);
    let Ok(coded) = layer.layer(service_fn(answer)).call(request).await;
    let (mut parts, body) = coded.into_parts();
    // Who takes neither gzip nor plain text would be told 406 after the request was applied.
    parts.status = status;
    if !parts.headers.contains_key(header::CONTENT_ENCODING) {
        return Response::from_parts(parts, Body::new(body));
    }
    if let Some(tag) = parts.headers.get(header::ETAG).and_then(weak) {
        parts.headers.insert(header::ETAG, tag);
    }
    let _turn = if bytes > AT_ONCE_BYTES_MAX { lane.acquire().await.ok() } else { None };
    Response::from_parts(parts, whole(body, bytes > AT_ONCE_BYTES_MAX).await)
}

/// What a body holds, read to its end.
async fn whole(body: CompressionBody<Body>, yields: bool) -> Body {
    let (mut body, mut bytes) = (pin!(body), Vec::new());
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        match frame {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    bytes.extend_from_slice(&data);
                }
            }
            // The connection ends with it, as it would where the body is sent piece by piece.
            Err(error) => return Body::from_stream(stream::once(ready(Err::<Bytes, _>(error)))),
        }
        if yields {
            yield_now().await;
        }
    }
    bytes.shrink_to_fit();
    bytes.into()
}

/// 304 has the headers that the answer in full would have, of which the client has one coding.
fn told_of_what_is_known(asked: &Asked, headers: &mut HeaderMap) {
    headers.append(header::VARY, header::ACCEPT_ENCODING.into());
    if let Some(tag) = headers.get(header::ETAG).and_then(weak).filter(|tag| asked.knows(tag)) {
        headers.insert(header::ETAG, tag);
    }
}

/// The weak form of a strong tag: two codings of one version differ in their bytes (RFC 9110 §8.8.1).
fn weak(tag: &HeaderValue) -> Option<HeaderValue> {
    let tag = tag.to_str().ok().filter(|tag| tag.starts_with('"'))?;
    HeaderValue::try_from(format!("W/{tag}")).ok()
}

fn is_text(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/") || essence.ends_with("/json") || essence.ends_with("+json")
}
