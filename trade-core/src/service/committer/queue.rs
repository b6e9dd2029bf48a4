//! Commands that are not decided yet.

use super::Pending;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Those that were not tried yet, in the order in which they came, and before them those that were tried in vain.
#[derive(Debug)]
pub(super) struct Queue {
    coming: mpsc::UnboundedReceiver<Pending>,
    /// Who is decided next.
    waiting: Vec<Pending>,
    /// The lines of those.
    lines: u32,
    /// Whether some of those were tried in vain.
    has_failed: bool,
    /// How many of those the store was asked about.
    asked: usize,
    /// Who is to be tried again, and when.
    again: Vec<Pending>,
    again_at: Option<Instant>,
    /// Parts of a group that failed by what may be the fault of one in it, the next one last. None of them is tried with
    /// others.
    apart: Vec<Vec<Pending>>,
}

impl Queue {
    pub(super) fn new(coming: mpsc::UnboundedReceiver<Pending>) -> Self {
        Self {
            coming,
            waiting: Vec::new(),
            lines: 0,
            has_failed: false,
            asked: 0,
            again: Vec::new(),
            again_at: None,
            apart: Vec::new(),
        }
    }

    /// The lines of those who are decided next.
    pub(super) fn lines(&self) -> u32 {
        self.lines
    }

    /// Waits for someone to come, and takes those behind as well, up to so many lines. None once nobody comes any more.
    /// Safe to cancel.
    pub(super) async fn come(&mut self, room: u32) -> Option<()> {
        let first = self.coming.recv().await?;
        let left = room.saturating_sub(first.lines);
        self.wait(first);
        self.take_in(left);
        Some(())
    }

    /// Takes those who have come, up to so many lines. Answers whether there were any.
    pub(super) fn take_in(&mut self, room: u32) -> bool {
        let (before, full) = (self.waiting.len(), self.lines.saturating_add(room));
        while self.lines < full
            && let Ok(next) = self.coming.try_recv()
        {
            self.wait(next);
        }
        self.waiting.len() > before
    }

    fn wait(&mut self, pending: Pending) {
        self.lines = self.lines.saturating_add(pending.lines);
        self.waiting.push(pending);
    }

    /// Who is tried again at a time goes to the front.
    pub(super) fn again_at(&self) -> Option<Instant> {
        self.again_at
    }

    /// The time has come.
    pub(super) fn is_again(&mut self) {
        self.again_at = None;
        let again = std::mem::take(&mut self.again);
        self.put_back(again);
    }

    /// These are tried again, at a time or with those that are before.
    pub(super) fn try_again(&mut self, commands: Vec<Pending>, at: Instant) {
        self.again_at = Some(self.again_at.map_or(at, |before| before.min(at)));
        self.again.extend(commands);
    }

    /// These are tried by halves.
    pub(super) fn try_apart(&mut self, mut commands: Vec<Pending>) {
        let later = commands.split_off(commands.len() / 2);
        self.apart.extend([later, commands]);
    }

    /// Everyone who was to be tried by halves.
    pub(super) fn take_apart(&mut self) -> Vec<Pending> {
        self.apart.drain(..).rev().flatten().collect()
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.apart.is_empty()
    }

    /// Whether who is next was tried before: then nobody else may come between the attempt and what it rests on.
    pub(super) fn has_retries(&self) -> bool {
        self.has_failed || !self.apart.is_empty()
    }

    /// Takes who is next.
    pub(super) fn take(&mut self) -> Vec<Pending> {
        if let Some(part) = self.apart.pop() {
            return part;
        }
        (self.lines, self.has_failed, self.asked) = (0, false, 0);
        std::mem::take(&mut self.waiting)
    }

    /// Takes those whom the store was not asked about yet, where `many` says so of them, to ask it.
    pub(super) fn take_unasked(&mut self, many: impl FnOnce(&[Pending]) -> bool) -> Option<Vec<Pending>> {
        if !many(&self.waiting[self.asked..]) {
            return None;
        }
        let unasked = self.waiting.split_off(self.asked);
        self.lines = self.lines.saturating_sub(lines(&unasked));
        Some(unasked)
    }

    /// Puts those back whom the store was asked about.
    pub(super) fn put_back_asked(&mut self, commands: Vec<Pending>) {
        let (from, count) = (self.asked, commands.len());
        self.put_back_at(from, commands);
        self.asked += count;
    }

    /// Puts those back, before all others, who are to be decided again.
    pub(super) fn put_back(&mut self, commands: Vec<Pending>) {
        self.put_back_at(0, commands);
        self.asked = 0;
    }

    fn put_back_at(&mut self, place: usize, commands: Vec<Pending>) {
        self.has_failed |= commands.iter().any(Pending::has_failed);
        self.lines = self.lines.saturating_add(lines(&commands));
        self.waiting.splice(place..place, commands);
    }
}

/// The lines of all of them.
pub(super) fn lines(commands: &[Pending]) -> u32 {
    commands.iter().map(|pending| pending.lines).fold(0, u32::saturating_add)
}
