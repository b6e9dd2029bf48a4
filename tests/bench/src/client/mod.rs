//! Clients that cost little: plain HTTP/1.1 over loopback sockets, verified as far as the figures need it.

pub(crate) mod fleet;
mod http;
pub(crate) mod load;
mod parser;
pub(crate) mod publisher;

/// A request with a body of JSON.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// How many bytes an answer has with its head, once that is there and tells it.
pub(crate) fn answer_length(bytes: &[u8]) -> Option<usize> {
    let head_length = http::head_length(bytes)?;
    let (_, body_length) = http::head(&bytes[..head_length])?;
    Some(head_length + body_length?)
}
