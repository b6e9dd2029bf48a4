//! Server-Sent Events, over TCP: as the body of an answer under any server, as a stream that writes its own socket, and
//! in HTTP/1.1 and HTTP/2, plain and in TLS.

mod common;

use common::sse::{Speaks, serve, serve_directly, serve_speaking};

/// The cases for a way to serve.
macro_rules! cases {
    ($name:ident, $serve:expr) => {
        mod $name {
            async fn serve(router: axum::Router) -> Place {
                let serve = $serve;
                Place::from(serve(router).await)
            }
            include!("common/stream_cases.rs");
        }
    };
}

cases!(written_by_axum, super::serve);
cases!(written_directly, super::serve_directly);
cases!(over_http1, |router| super::serve_speaking(super::Speaks::Http1, router));
cases!(over_http2, |router| super::serve_speaking(super::Speaks::Http2, router));
cases!(over_http1_in_tls, |router| super::serve_speaking(super::Speaks::Http1OverTls, router));
cases!(over_http2_in_tls, |router| super::serve_speaking(super::Speaks::Http2OverTls, router));

/// Where no socket is taken over, hyper writes the stream, and keeps the connection.
#[tokio::test]
async fn a_stream_that_is_first_on_a_plain_connection_takes_its_socket_over() {
    let network = common::Network::stocked().await;
    let address = serve_directly(network.router.clone()).await;
    let (mut stream, _) = common::sse::Stream::greeted(address, "/api/updates/real-time", None).await;
    assert_eq!(stream.head.contains("connection: close"), cfg!(feature = "takeover"), "{}", stream.head);
    network.post("/api/trades", common::trade("T-1")).await.expect(201);
    assert_eq!(stream.next().await.unwrap().sequence(), 3);
}
