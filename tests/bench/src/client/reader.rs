//! What a subscriber reads, checked: every event once and in order.

use super::fleet::{Expect, Received};
use super::parser::Parser;

#[derive(Debug)]
pub(super) struct Reader {
    parser: Parser,
    last: u64,
    pub(super) received: Received,
}

impl Reader {
    /// Of what a parser makes of the stream.
    pub(super) fn new(parser: Parser, expect: &Expect) -> Self {
        Self { parser, last: expect.after(), received: Received::default() }
    }

    /// Whether the answer has begun.
    pub(super) fn is_open(&self) -> bool {
        self.parser.is_open()
    }

    /// Takes what came in, and answers how many events ended in it.
    pub(super) fn take(&mut self, bytes: &[u8], expect: &Expect) -> Result<u64, String> {
        let Self { parser, last, received } = self;
        let now_ns = if let Expect::Timed { sent, .. } = expect { sent.now_ns() } else { 0 };
        let mut delivered = 0;
        parser.feed(bytes, &mut |sequence| {
            match expect {
                Expect::Some { .. } if sequence > *last => received.sequences.push(sequence),
                Expect::All { .. } | Expect::Timed { .. } if sequence == *last + 1 => {}
                _ => return Err(format!("event {sequence} came after event {last}")),
            }
            if let Expect::Timed { sent, .. } = expect {
                received.latencies_us.push(sent.microseconds_since(sequence, now_ns)?);
            }
            *last = sequence;
            delivered += 1;
            Ok(())
        })?;
        Ok(delivered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_is_missing_or_comes_again_is_told() {
        let expect = Expect::All { after: 6 };
        let event = |sequence: u64| format!("id: {sequence}\ndata: {{\"id\":\"{sequence}\"}}\n\n");
        let read = |text: String| Reader::new(Parser::of_body(), &expect).take(text.as_bytes(), &expect);
        assert_eq!(read(event(7) + &event(8)), Ok(2));
        for wrong in [event(8), event(7) + &event(7), event(7) + &event(9), event(6)] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
