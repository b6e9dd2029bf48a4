//! A reader of Server-Sent Events (WHATWG HTML, §9.2).

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One event of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    pub id: Option<u64>,
    pub event: Option<String>,
    pub data: String,
}

impl Frame {
    /// Adds a line; true if that ends it.
    pub(crate) fn has_ended_with(&mut self, line: &str) -> bool {
        match line.split_once(": ") {
            Some(("id", id)) => self.id = Some(id.parse().expect("ids are sequences")),
            Some(("event", event)) => self.event = Some(event.to_owned()),
            Some(("data", data)) => self.data = data.to_owned(),
            // What else there is: comments, `retry`, and the lengths of the chunks the body comes in.
            _ => return line.is_empty() && !self.data.is_empty(),
        }
        false
    }
}

/// An open stream, on a connection of its own.
#[derive(Debug)]
pub struct Stream {
    lines: BufReader<TcpStream>,
}

impl Stream {
    /// Opens a stream, from behind `last_event_id` where it is given, and reads the head of the answer.
    pub async fn open(url: &str, path: &str, last_event_id: Option<u64>) -> Self {
        Self::try_open(url, path, last_event_id).await.unwrap_or_else(|status| panic!("{status}"))
    }

    /// The same; an answer that is no stream is told by its first line.
    pub async fn try_open(url: &str, path: &str, last_event_id: Option<u64>) -> Result<Self, String> {
        let address = url.strip_prefix("http://").expect("an http URL");
        let mut socket = TcpStream::connect(address).await.expect("the server takes connections");
        let resume = last_event_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n{resume}\r\n");
        socket.write_all(request.as_bytes()).await.expect("the request can be sent");
        let mut stream = Self { lines: BufReader::new(socket) };
        let status = stream.line().await.expect("an answer");
        if !status.starts_with("HTTP/1.1 200") {
            return Err(status);
        }
        while !stream.line().await.expect("a head").is_empty() {}
        Ok(stream)
    }

    /// The next event, comments passed over; none when the stream ends.
    pub async fn next(&mut self) -> Option<Frame> {
        let mut frame = Frame::default();
        loop {
            let line = self.line().await?;
            if frame.has_ended_with(&line) {
                return Some(frame);
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).await.unwrap_or(0);
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }
}
