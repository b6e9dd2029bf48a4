use super::*;
use std::io::ErrorKind;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy, and the listener behind it.
struct Wire {
    proxy: Proxy,
    listener: TcpListener,
}

impl Wire {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let upstream = listener.local_addr().expect("its address");
        let proxy = Proxy::start((upstream.ip().to_string(), upstream.port())).await;
        Self { proxy, listener }
    }

    /// Both ends of a new connection.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(("127.0.0.1", self.proxy.port())).await.expect("the proxy listens");
        let accepted = timeout(PATIENCE, self.listener.accept()).await.expect("the proxy connects");
        (client, accepted.expect("a connection").0)
    }

    fn arm(&self, direction: Direction, after: After, fault: Fault) {
        self.proxy.arm(Strike { meant: Meant::Sends("begin"), direction, after, fault });
    }
}

/// Sends words one by one, each as a packet of its own: the next when the last has arrived.
async fn pass(from: &mut TcpStream, to: &mut TcpStream, words: &[&str]) {
    for word in words {
        from.write_all(word.as_bytes()).await.expect("it is sent");
        assert_eq!(receive(to, word.len()).await, *word);
    }
}

async fn receive(at: &mut TcpStream, count: usize) -> String {
    let mut bytes = vec![0; count];
    timeout(PATIENCE, at.read_exact(&mut bytes)).await.expect("it arrives").expect("it can be read");
    String::from_utf8(bytes).expect("words are text")
}

/// How a connection ends at one side, and what arrives before.
async fn end(at: &mut TcpStream) -> (Result<(), ErrorKind>, String) {
    let (mut seen, mut part) = (Vec::new(), [0; 64]);
    let ended = loop {
        match timeout(PATIENCE, at.read(&mut part)).await.expect("it ends") {
            Ok(0) => break Ok(()),
            Ok(count) => seen.extend_from_slice(&part[..count]),
            Err(error) => break Err(error.kind()),
        }
    };
    (ended, String::from_utf8(seen).expect("words are text"))
}

/// Whether nothing arrives for a while.
async fn is_silent(at: &mut TcpStream) -> bool {
    timeout(Duration::from_millis(100), at.read(&mut [0; 8])).await.is_err()
}

#[tokio::test]
async fn undisturbed_bytes_and_ends_come_through_in_both_directions() {
    let wire = Wire::new().await;
    let (mut client, mut server) = wire.connect().await;
    pass(&mut client, &mut server, &["begin", "go on"]).await;
    pass(&mut server, &mut client, &["yes"]).await;
    client.shutdown().await.expect("one direction ends");
    assert_eq!(end(&mut server).await, (Ok(()), String::new()));
    pass(&mut server, &mut client, &["still here"]).await;
    drop(server);
    assert_eq!(end(&mut client).await, (Ok(()), String::new()));
    drop(client);
    wire.proxy.idle().await;
    assert_eq!((wire.proxy.connections(), wire.proxy.strikes()), (1, 0));
}

#[tokio::test]
async fn a_reset_is_seen_by_both_sides_and_the_packet_is_lost() {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let wire = Wire::new().await;
        let (mut client, mut server) = wire.connect().await;
        wire.arm(direction, After::Packets(1), Fault::Reset);
        pass(&mut client, &mut server, &["BEGIN"]).await;
        let (from, to) = match direction {
            Direction::ToServer => (&mut client, &mut server),
            Direction::ToClient => (&mut server, &mut client),
        };
        if direction == Direction::ToClient {
            pass(from, to, &["first"]).await;
        }
        from.write_all(b"lost").await.expect("it is sent");
        for side in [to, from] {
            assert_eq!(end(side).await, (Err(ErrorKind::ConnectionReset), String::new()), "{direction:?}");
        }
        assert_eq!(wire.proxy.strikes(), 1);
    }
}

#[tokio::test]
async fn a_close_is_an_end_for_both_sides() {
    let wire = Wire::new().await;
    let (mut client, mut server) = wire.connect().await;
    wire.arm(Direction::ToServer, After::Packets(0), Fault::Close);
    client.write_all(b"begin").await.expect("it is sent");
    assert_eq!(end(&mut server).await, (Ok(()), String::new()));
    assert_eq!(end(&mut client).await, (Ok(()), String::new()));
}

#[tokio::test]
async fn a_half_close_ends_one_direction_and_leaves_the_other() {
    let wire = Wire::new().await;
    let (mut client, mut server) = wire.connect().await;
    wire.arm(Direction::ToServer, After::Packets(1), Fault::HalfClose);
    pass(&mut client, &mut server, &["begin"]).await;
    client.write_all(b"commit").await.expect("it is sent");
    assert_eq!(end(&mut server).await, (Ok(()), String::new()));
    pass(&mut server, &mut client, &["one", "two"]).await;
    let (mut client, mut server) = wire.connect().await;
    wire.arm(Direction::ToClient, After::Packets(0), Fault::HalfClose);
    pass(&mut client, &mut server, &["begin"]).await;
    server.write_all(b"done").await.expect("it is sent");
    assert_eq!(end(&mut client).await, (Ok(()), String::new()));
    pass(&mut client, &mut server, &["more"]).await;
}

#[tokio::test]
async fn a_strike_may_cut_through_a_packet() {
    let wire = Wire::new().await;
    let (mut client, mut server) = wire.connect().await;
    wire.arm(Direction::ToServer, After::Bytes(8), Fault::Close);
    pass(&mut client, &mut server, &["begin"]).await;
    client.write_all(b"commit").await.expect("it is sent");
    assert_eq!(end(&mut server).await, (Ok(()), "com".to_owned()));
}

#[tokio::test]
async fn only_the_connection_with_the_word_is_meant_and_only_once() {
    let wire = Wire::new().await;
    let (mut idle, mut idle_server) = wire.connect().await;
    let (mut client, mut server) = wire.connect().await;
    wire.arm(Direction::ToServer, After::Packets(2), Fault::Close);
    pass(&mut client, &mut server, &["before", "so is this", "begin"]).await;
    pass(&mut idle, &mut idle_server, &["a", "begin", "b", "c", "d"]).await;
    pass(&mut client, &mut server, &["insert"]).await;
    client.write_all(b"commit").await.expect("it is sent");
    assert_eq!(end(&mut server).await, (Ok(()), String::new()));
    pass(&mut idle, &mut idle_server, &["begin", "insert", "commit"]).await;
    assert_eq!(wire.proxy.strikes(), 1);
    assert!(!wire.proxy.disarm());
}

#[tokio::test]
async fn a_connection_is_known_by_what_it_sent_before() {
    let wire = Wire::new().await;
    wire.proxy.remember("insert");
    let (mut reader, mut reader_server) = wire.connect().await;
    let (mut writer, mut writer_server) = wire.connect().await;
    pass(&mut reader, &mut reader_server, &["select"]).await;
    pass(&mut writer, &mut writer_server, &["prepare INSERT"]).await;
    let (direction, after) = (Direction::ToServer, After::Packets(1));
    wire.proxy.arm(Strike { meant: Meant::Remembered, direction, after, fault: Fault::Close });
    pass(&mut reader, &mut reader_server, &["select", "select"]).await;
    pass(&mut writer, &mut writer_server, &["execute"]).await;
    writer.write_all(b"execute").await.expect("it is sent");
    assert_eq!(end(&mut writer_server).await, (Ok(()), String::new()));
}

#[tokio::test]
async fn what_is_late_arrives_after_its_sender_was_reset() {
    const DELAY: Duration = Duration::from_millis(300);
    let wire = Wire::new().await;
    let (mut client, mut server) = wire.connect().await;
    wire.arm(Direction::ToServer, After::Packets(1), Fault::Late(DELAY));
    pass(&mut client, &mut server, &["begin"]).await;
    let sent = Instant::now();
    client.write_all(b"commit").await.expect("it is sent");
    assert_eq!(end(&mut client).await, (Err(ErrorKind::ConnectionReset), String::new()));
    assert_eq!(end(&mut server).await, (Ok(()), "commit".to_owned()));
    assert!(sent.elapsed() >= DELAY);
}

#[tokio::test]
async fn a_delayed_packet_keeps_its_place() {
    const DELAY: Duration = Duration::from_millis(200);
    let wire = Wire::new().await;
    let (mut client, mut server) = wire.connect().await;
    wire.arm(Direction::ToClient, After::Bytes(2), Fault::Delay(DELAY));
    pass(&mut client, &mut server, &["begin"]).await;
    let sent = Instant::now();
    server.write_all(b"first").await.expect("it is sent");
    server.write_all(b"second").await.expect("it is sent");
    assert_eq!(receive(&mut client, 2).await, "fi");
    assert_eq!(receive(&mut client, 9).await, "rstsecond");
    assert!(sent.elapsed() >= DELAY);
    pass(&mut client, &mut server, &["commit"]).await;
}

#[tokio::test]
async fn a_silenced_connection_ends_only_when_the_way_is_shut() {
    let wire = Wire::new().await;
    let (mut client, mut server) = wire.connect().await;
    wire.arm(Direction::ToServer, After::Packets(1), Fault::Silence);
    pass(&mut client, &mut server, &["begin"]).await;
    client.write_all(b"commit").await.expect("it is sent");
    assert!(is_silent(&mut server).await);
    server.write_all(b"anyone?").await.expect("it is sent");
    assert!(is_silent(&mut client).await);
    wire.proxy.set_way(Way::Shut);
    assert_eq!(end(&mut client).await.0, Err(ErrorKind::ConnectionReset));
    assert_eq!(end(&mut server).await.0, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_way_that_is_held_loses_nothing_and_one_that_is_shut_resets() {
    let wire = Wire::new().await;
    let (mut client, mut server) = wire.connect().await;
    wire.proxy.set_way(Way::Held);
    client.write_all(b"wait").await.expect("it is sent");
    assert!(is_silent(&mut server).await);
    wire.proxy.set_way(Way::Open);
    assert_eq!(receive(&mut server, 4).await, "wait");
    wire.proxy.set_way(Way::Shut);
    assert_eq!(end(&mut client).await.0, Err(ErrorKind::ConnectionReset));
    assert_eq!(end(&mut server).await.0, Err(ErrorKind::ConnectionReset));
    let refused = TcpStream::connect(("127.0.0.1", wire.proxy.port())).await;
    let mut refused = refused.expect("connections are taken");
    assert!(end(&mut refused).await.0.is_err());
    wire.proxy.set_way(Way::Open);
    let (mut client, mut server) = wire.connect().await;
    pass(&mut client, &mut server, &["again"]).await;
}
