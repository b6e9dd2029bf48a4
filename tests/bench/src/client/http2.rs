//! Subscribers that share connections of HTTP/2, known before, on a thread of a runtime of their own.

use super::fleet::Expect;
use super::parser::Parser;
use super::progress::Progress;
use super::reader::Reader;
use crate::report::Failure;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::{Request, StatusCode, header};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What may be on its way in a stream and in a connection. No measurement shall wait for either.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// How many connections there are, and what each asks for how often.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) connections: usize,
    pub(crate) each: usize,
}

impl Streams {
    /// Reads all streams for as long as nothing is wrong, which would be answered.
    pub(super) async fn read(self, expect: Expect, progress: Arc<Progress>) -> Result<(), Failure> {
        let mut tasks = JoinSet::<Result<(), Failure>>::new();
        for _ in 0..self.connections {
            let socket = TcpStream::connect(self.address).await?;
            socket.set_nodelay(true)?;
            let mut settings = Builder::new();
            settings.initial_window_size(STREAM_WINDOW_BYTES);
            settings.initial_connection_window_size(CONNECTION_WINDOW_BYTES);
            let (mut client, connection) = settings.handshake(socket).await?;
            tasks.spawn(async { Ok(connection.await?) });
            for _ in 0..self.each {
                let answer;
                (client, answer) = ask(client, &self.path).await?;
                tasks.spawn(follow(answer, expect.clone(), progress.clone()));
            }
        }
        let ended = tasks.join_next().await.ok_or("there are no streams")?;
        ended??;
        Err("the server closed a connection".into())
    }
}

type Client = SendRequest<&'static [u8]>;

async fn ask(client: Client, path: &str) -> Result<(Client, ResponseFuture), Failure> {
    let mut client = client.ready().await?;
    let request = Request::get(format!("http://localhost{path}")).header(header::ACCEPT, "text/event-stream");
    let (answer, _) = client.send_request(request.body(())?, true)?;
    Ok((client, answer))
}

/// Reads a stream for as long as nothing is wrong, which would be answered.
async fn follow(answer: ResponseFuture, expect: Expect, progress: Arc<Progress>) -> Result<(), Failure> {
    let answer = answer.await?;
    let kind = answer.headers().get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    if answer.status() != StatusCode::OK || kind.is_none_or(|kind| !kind.starts_with(b"text/event-stream")) {
        return Err(format!("no stream is answered: {answer:?}").into());
    }
    progress.tell(1, 0);
    let mut body = answer.into_body();
    let mut reader = Reader::new(Parser::of_body(), &expect);
    while let Some(bytes) = body.data().await {
        let bytes = bytes?;
        body.flow_control().release_capacity(bytes.len())?;
        progress.tell(0, reader.take(&bytes, &expect)?);
    }
    Err("the server ended a stream".into())
}
