//! The reader of streams: a client that overlooks a loss would make every figure worthless.

use super::Parser;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn event(sequence: u64) -> String {
    let data = format!(r#"{{"specversion":"1.0","id":"{sequence}","data":{{"stationId":"9","id":"8"}}}}"#);
    format!("id: {sequence}\nevent: tradeInitiated\ndata: {data}\n\n")
}

/// What is read of a stream that comes in pieces of so many bytes.
fn read(stream: &str, piece: usize) -> Result<Vec<u64>, String> {
    let (mut parser, mut sequences) = (Parser::new(), Vec::new());
    for bytes in stream.as_bytes().chunks(piece) {
        parser.feed(bytes, &mut |sequence| {
            sequences.push(sequence);
            Ok(())
        })?;
    }
    assert!(parser.is_open());
    Ok(sequences)
}

#[test]
fn events_are_read_whole_however_they_are_cut() {
    let greeting = "retry: 2000\nid: 6\ndata: Connection established\n\n: a comment\n\n";
    // Two events in one chunk, and one in two.
    let third = event(9);
    let (front, back) = third.split_at(20);
    let body =
        [chunk(greeting), chunk(&(event(7) + &event(8))), chunk(front), chunk(back), chunk(&event(10))];
    let stream = HEAD.to_owned() + &body.concat();
    for piece in 1..=stream.len() {
        assert_eq!(read(&stream, piece), Ok(vec![7, 8, 9, 10]), "in pieces of {piece}");
    }
}

#[test]
fn a_body_without_chunks_is_read_as_well() {
    let stream = HEAD.replace("transfer-encoding: chunked\r\n", "") + &event(1) + &event(2);
    for piece in 1..=stream.len() {
        assert_eq!(read(&stream, piece), Ok(vec![1, 2]), "in pieces of {piece}");
    }
}

#[test]
fn a_stream_that_is_refused_ends_or_says_so_is_told() {
    let refused = HEAD.replace("200 OK", "503 Service Unavailable");
    let no_stream = HEAD.replace("text/event-stream", "text/html");
    let ended = HEAD.to_owned() + &chunk(&event(1)) + "0\r\n\r\n";
    let bye = HEAD.to_owned() + &chunk("event: bye\ndata: {\"reason\":\"shutdown\"}\n\n");
    let no_id = HEAD.to_owned() + &chunk("data: {\"specversion\":\"1.0\"}\n\n");
    let no_length = HEAD.to_owned() + "event\r\n";
    for stream in [refused, no_stream, ended, bye, no_id, no_length] {
        assert!(read(&stream, stream.len()).is_err(), "{stream}");
    }
}
