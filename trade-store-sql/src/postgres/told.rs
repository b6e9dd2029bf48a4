//! How steps are told to other servers: sealed, in notifications.

use super::seal::Seal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::sync::Arc;
use trade_core::resource::Sequence;
use trade_core::step::Step;
use trade_core::store::LogRecord;

/// Bytes in one notification: encoded, and with what stands before them, less than the 8 000 that a server takes.
const PART_BYTES_MAX: usize = 5_700;
/// Notifications for one commit: a larger one is not told.
const PARTS_MAX: usize = 128;

/// Some steps that follow each other, as their writer told of them.
#[derive(Debug)]
pub(super) struct Stretch {
    /// The sequence before the first.
    pub(super) after: Sequence,
    pub(super) records: Vec<Told>,
}

/// A record, and as it is stored.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) record: LogRecord,
    pub(super) encoded: Arc<[u8]>,
}

impl Told {
    fn new(record: LogRecord) -> Self {
        let encoded = record.step.encode().into();
        Self { record, encoded }
    }
}

impl Stretch {
    /// None of no record.
    pub(super) fn of(log: &[LogRecord]) -> Option<Self> {
        let after = log.first()?.first() - 1;
        Some(Self { after, records: log.iter().cloned().map(Told::new).collect() })
    }

    pub(super) fn last(&self) -> Sequence {
        self.records.last().map_or(self.after, |told| told.record.last)
    }

    pub(super) fn bytes(&self) -> usize {
        self.records.iter().map(|told| told.encoded.len()).sum()
    }

    /// As notifications; none where these would be too many.
    pub(super) fn notifications(&self, seal: &Seal) -> Option<Vec<String>> {
        let mut bytes = Vec::with_capacity(self.bytes() + 4 * self.records.len());
        for Told { encoded, .. } in &self.records {
            bytes.extend(u32::try_from(encoded.len()).ok()?.to_be_bytes());
            bytes.extend(&**encoded);
        }
        let sealed = seal.close(self.after, bytes)?;
        let parts = sealed.chunks(PART_BYTES_MAX);
        let count = parts.len();
        let part = |(number, part)| format!("{} {number} {count} {}", self.after, BASE64.encode(part));
        (count <= PARTS_MAX).then(|| parts.enumerate().map(part).collect())
    }

    /// None where the bytes are not those of a stretch.
    fn read(after: Sequence, mut bytes: &[u8]) -> Option<Self> {
        let (mut records, mut last) = (Vec::new(), after);
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk()?;
            let (encoded, rest) = rest.split_at_checked(u32::from_be_bytes(*length).try_into().ok()?)?;
            bytes = rest;
            let step = Step::decode(encoded).ok()?;
            last = last.checked_add(step.event_count())?;
            records.push(Told { record: LogRecord { last, step: Arc::new(step) }, encoded: encoded.into() });
        }
        Some(Self { after, records })
    }
}

/// Notifications of one stretch, which come one after the other: a server delivers those of one transaction so.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    after: Sequence,
    /// How many have come, of how many.
    parts: (usize, usize),
    bytes: Vec<u8>,
}

impl Hearing {
    /// Takes the next notification; the stretch, once it was the last. Where one is missing, so is the stretch.
    pub(super) fn hear(&mut self, notification: &str, seal: &Seal) -> Option<Stretch> {
        let mut words = notification.split(' ');
        let (after, number) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let (count, part) = (words.next()?.parse().ok()?, BASE64.decode(words.next()?).ok()?);
        if number == 0 && count <= PARTS_MAX {
            *self = Self { after, parts: (0, count), bytes: Vec::new() };
        }
        if (after, (number, count)) != (self.after, self.parts) || number >= count {
            *self = Self::default();
            return None;
        }
        self.parts.0 += 1;
        self.bytes.extend(part);
        if self.parts.0 < count {
            return None;
        }
        Stretch::read(after, seal.open(after, &mut std::mem::take(self).bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trade_core::command::Command;
    use trade_core::testing::fixtures::{adjust, initiate, log_of, open_station, sale, start_time};

    /// Steps that take several notifications.
    fn stretch(after: Sequence, units: u64) -> Stretch {
        let ids: Vec<String> = (0..200).map(|n| format!("{}-{n}", "s".repeat(100))).collect();
        let trade = |id: &String| initiate(sale(&id[90..], id, &ids[0], &[("tea", 1)]));
        // A station is one event, a trade four.
        let commands: Vec<Command> = ids
            .iter()
            .map(|id| open_station(id, &[("tea", units)]))
            .chain(ids[1..].iter().map(trade))
            .collect();
        let mut log = log_of(&commands, start_time());
        log.iter_mut().for_each(|record| record.last += after);
        Stretch::of(&log).unwrap()
    }

    fn records(stretch: &Stretch) -> Vec<LogRecord> {
        stretch.records.iter().map(|told| told.record.clone()).collect()
    }

    #[test]
    fn what_was_told_is_heard_as_it_was() {
        let seal = Seal::new(b"secret");
        for after in [0, 70_000] {
            let told = stretch(after, 7);
            let texts = told.notifications(&seal).unwrap();
            assert!(texts.len() > 3 && texts.iter().all(|text| text.len() < 8_000));
            let is_plain = |part: Vec<u8>| part.windows(50).any(|bytes| bytes == [b's'; 50]);
            let part = |text: &String| BASE64.decode(text.rsplit(' ').next().unwrap()).unwrap();
            assert!(!texts.iter().any(|text| is_plain(part(text))));
            let mut hearing = Hearing::default();
            let mut heard: Vec<_> = texts.iter().filter_map(|text| hearing.hear(text, &seal)).collect();
            let heard = heard.pop().filter(|_| heard.is_empty()).unwrap();
            assert_eq!((heard.after, heard.last()), (after, told.last()));
            assert_eq!(records(&heard), records(&told));
            let bytes = |stretch: &Stretch| {
                stretch.records.iter().map(|told| told.encoded.clone()).collect::<Vec<_>>()
            };
            assert_eq!(bytes(&heard), bytes(&told));
        }
    }

    #[test]
    fn of_what_is_cut_mixed_or_not_ours_nothing_is_heard_and_the_next_is() {
        let seal = Seal::new(b"secret");
        let texts = stretch(0, 7).notifications(&seal).unwrap();
        let other = stretch(0, 8).notifications(&seal).unwrap();
        let foreign = stretch(0, 7).notifications(&Seal::new(b"another")).unwrap();
        let without = |at: usize| {
            let mut cut = texts.clone();
            cut.remove(at);
            cut
        };
        let mixed: Vec<String> = texts[..2].iter().chain(&other[2..]).cloned().collect();
        let words = ["", "x", "1 2", "0 0 0 ", "0 0 1 !", "0 0 99999 aaaa", "0 5 1 aaaa", "-1 0 1 aaaa"];
        let mut hearing = Hearing::default();
        for wrong in
            [without(0), without(1), without(texts.len() - 1), mixed, foreign, words.map(Into::into).into()]
        {
            assert!(wrong.iter().all(|text| hearing.hear(text, &seal).is_none()));
            assert_eq!(texts.iter().filter_map(|text| hearing.hear(text, &seal)).count(), 1);
        }
    }

    #[test]
    fn what_is_too_much_is_not_told() {
        let id = |n: u64| format!("{}-{n}", "i".repeat(100));
        let items: Vec<String> = (0..5_000).map(id).collect();
        let deltas: Vec<(&str, i64)> = items.iter().map(|item| (item.as_str(), 1)).collect();
        let commands: Vec<Command> = std::iter::once(open_station("ceres", &[]))
            .chain(deltas.chunks(500).cycle().take(20).map(|some| adjust("ceres", some)))
            .collect();
        let log = log_of(&commands, start_time());
        assert!(Stretch::of(&log).unwrap().bytes() > PARTS_MAX * PART_BYTES_MAX);
        assert!(Stretch::of(&log).unwrap().notifications(&Seal::new(b"secret")).is_none());
    }
}
