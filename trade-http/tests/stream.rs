//! Server-Sent Events, over TCP: as the body of an answer, and as a stream that writes its own socket.

mod common;

mod written_by_axum {
    use crate::common::sse::serve;
    include!("common/stream_cases.rs");
}

mod written_directly {
    use crate::common::sse::serve_directly as serve;
    include!("common/stream_cases.rs");
}
