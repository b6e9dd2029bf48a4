//! The committer: takes what is waiting, decides it on one base, and stores it in one commit.
//!
//! One loop waits for whatever comes first: a commit has ended, the head of the log is held, a base was refreshed, a pause is
//! over, commands have come. What follows is the same after each of them: who waits is decided, as soon as there is a base to decide on,
//! and what is decided is stored, as soon as nothing else is on its way. Whoever is stored is answered at once.
//!
//! There is no timer. While one group is stored the next one gathers, and is decided as if the one before it had landed; it
//! is closed, and stored, once that has. So an idle system answers at once, and a busy one batches by itself and never
//! waits for the disk with its hands in its lap. Where one processor does everything, the store's work included, nothing is
//! gained by keeping both busy, and larger groups cost less: there a group is stored once nobody else is about to join it.
//!
//! A commit is made in one of two ways:
//! - It *hopes* that nobody else writes. The base is kept from group to group, and a command without a key that initiates
//!   a trade or a transfer between known stations asks the store nothing: it is presumed to be new. The commit finds out
//!   whether it was. One with a key always asks: its receipt must be looked up.
//! - It takes a *turn*: the head of the log is held first, and who came meanwhile is decided under it. So is whoever was
//!   tried in vain, and everyone for some groups after others wrote to the same rows. What has to be asked is asked while
//!   the head is waited for, as far as that can be.
//!
//! A refusal always rests on what the store was asked about. Commands are decided in the order in which they came, but for
//! those that were presumed to be new in vain, or were tried in vain.
//!
//! How a commit ends, and what becomes of those in it ([`Landing`]):
//!
//! | ends | who was in it | who was decided after it | the base |
//! |---|---|---|---|
//! | with nothing to store | answered | nobody was | goes on |
//! | stored | answered | go on | goes on |
//! | stored behind others | answered | decided again | back to before it, and follows |
//! | conflict of a commit that hoped | decided again at once, in a turn | decided again | back to before it, and follows |
//! | conflict in a turn | decided again after a pause, in a turn | nobody was | back to before it, and follows |
//! | unknown | decided again after a pause, in a turn | decided again | back to before it, and follows |
//! | too large, a defect | decided again at once, in two halves, each in a turn of its own; told, once alone | decided again | back to before it |
//! | store away | told | told the same | back to before it |
//! | otherwise failed | told | decided again | back to before it |
//!
//! Where the base cannot be refreshed, or the head not be held, it ends in the same way for who waited for that; after the
//! first nothing is known of the base. After five defects in a row without an end of another kind it is the store that has
//! one, and nothing is halved.
//!
//! Instead of being told, a command is tried again where an earlier attempt of it may have landed, and, while the store is
//! away, where it failed before. It is told in the end once it was tried too often, or for too long.
//!
//! What keeps an answer honest:
//! - A caller hears of success only after the commit.
//! - A refusal that was decided with steps before it that are not stored yet depends on them, and is answered only after
//!   they landed; if their commit fails, it is decided again.
//! - Every commit holds a receipt of each command with a key, and one under a name made for the attempt, which tells of all
//!   others. After a commit whose outcome is unknown the receipts are loaded: one found tells that it landed, and then the
//!   answers worked out before are given; one not found lets the command be decided again. Whatever comes of that leaves
//!   a receipt under a name that the first attempt has too, so that this cannot land any more: where nothing is changed, an
//!   empty one under the attempt's own.

mod base;
mod failure;
mod flight;
mod group;
mod pace;
mod pending;
mod queue;

pub(super) use pending::{Pending, Reply};

use super::readiness::Readiness;
use super::timekeeper::Timekeeper;
use super::{ServiceOptions, keys};
use crate::bus::EventBus;
use crate::clock::IdSource;
use crate::command::RequestId;
use crate::store::{Commit, Head, Store, StoreError, StoreErrorKind};
use crate::telemetry;
use base::Base;
use flight::{Flight, Landing, Turn};
use group::{Decided, Group};
use pace::Pace;
use queue::Queue;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How long a group waits for those who are about to join it, where one processor does everything.
const JOIN_MAX: Duration = Duration::from_millis(5);
/// So many are asked about while the head of the log is waited for: fewer cost less under it, where what others wrote is
/// asked for anyway.
const EARLY_MIN: usize = 64;
/// So many that have to ask under the head, since they presumed in vain, hold others up: next time they ask before.
const IN_VAIN_MAX: usize = 64;

pub(super) struct Committer {
    store: Arc<dyn Store>,
    bus: EventBus,
    timekeeper: Arc<Timekeeper>,
    ids: Arc<dyn IdSource>,
    options: ServiceOptions,
    readiness: Arc<Readiness>,
    queue: Queue,
    /// What the next commands are decided on; none while it is refreshed.
    base: Option<Base>,
    refreshing: Option<Refreshing>,
    /// What was decided on it since the last commit.
    open: Group,
    /// The head of the log, waited for or held.
    turn: Option<Turn>,
    /// What is being stored.
    flight: Option<Flight>,
    /// Until when others join what was decided, where that is done.
    joined_until: Option<Instant>,
    pace: Pace,
    /// Groups in a row that the store stumbled over.
    stumbles: u32,
    telemetry: telemetry::Commits,
}

/// Who waited for a base, and what became of it.
type Refreshed = (Vec<Pending>, Result<Base, StoreError>);

/// A base that is refreshed for some commands.
struct Refreshing {
    work: Pin<Box<dyn Future<Output = Refreshed> + Send>>,
    /// Whether the commands are decided then: the others only wait for the head.
    decides: bool,
    /// The lines of those.
    lines: u32,
    /// What became meanwhile of the commit that it was to follow.
    ended: Option<Ended>,
}

enum Ended {
    Landed(Head, Instant),
    TakenBack,
}

impl Committer {
    pub(super) fn new(
        store: Arc<dyn Store>,
        bus: EventBus,
        timekeeper: Arc<Timekeeper>,
        ids: Arc<dyn IdSource>,
        options: ServiceOptions,
        readiness: Arc<Readiness>,
        coming: mpsc::UnboundedReceiver<Pending>,
    ) -> Self {
        let open = Group::new(RequestId(ids.next().into_bytes()));
        Self {
            store,
            bus,
            timekeeper,
            ids,
            options,
            readiness,
            queue: Queue::new(coming),
            base: Some(Base::unknown()),
            refreshing: None,
            open,
            turn: None,
            flight: None,
            joined_until: None,
            pace: Pace::default(),
            stumbles: 0,
            telemetry: telemetry::Commits::new(),
        }
    }

    /// Works until every sender is gone, the queue is empty, and everyone was answered.
    pub(super) async fn run(mut self) {
        loop {
            let room = self.room();
            let turn = self.turn.as_mut().filter(|turn| turn.held.is_none());
            tokio::select! {
                biased;
                Some(landing) = if_some(self.flight.as_mut().map(|flight| flight.landing(&*self.store))) => {
                    self.commit_ended(landing);
                }
                Some(held) = if_some(turn.map(|turn| turn.wait_until_held(&*self.store))) => match held {
                    Ok(waited) => self.telemetry.held.record(waited),
                    Err(error) => {
                        self.turn = None;
                        let commands = self.queue.take();
                        self.fail(commands, error, true);
                    }
                },
                Some((commands, refreshed)) = if_some(self.refreshing.as_mut().map(|refreshing| &mut refreshing.work)) => {
                    self.refreshed(commands, refreshed).await;
                }
                Some(()) = if_some(self.queue.again_at().map(sleep_until)) => self.queue.is_again(),
                Some(()) = self.queue.come(room), if room > 0 => {}
                else => {
                    debug_assert!(self.queue.is_empty() && self.open.is_empty(), "nobody is forgotten");
                    return;
                }
            }
            // What was decided before is sent first: who is decided next may need the base for long. Where one processor
            // does everything, others may join it for a while.
            if !self.options.one_processor || self.turn.is_some() || self.join_time_is_over() {
                self.launch().await;
            }
            self.go_on();
            if self.options.one_processor {
                self.let_others_join().await;
            }
            // An idle system sends at once what was just decided.
            self.launch().await;
            // Where there was nothing to store, nothing ends that would wake who is next.
            while self.is_at_rest() && !self.queue.is_empty() {
                self.go_on();
                self.launch().await;
            }
        }
    }

    /// Whether there is nothing that ends by itself.
    fn is_at_rest(&self) -> bool {
        self.flight.is_none() && self.refreshing.is_none() && self.turn.is_none()
    }

    /// Lines of those who may still join the group that is decided next.
    fn room(&self) -> u32 {
        let refreshing = self.refreshing.as_ref().map_or(0, |refreshing| refreshing.lines);
        let taken = self.open.lines.saturating_add(refreshing).saturating_add(self.queue.lines());
        self.options.group_lines_max.saturating_sub(taken)
    }

    /// Adds to the group that is stored next everyone whom the runtime has ready to come, for a while: who was just
    /// answered often has more to ask for.
    async fn let_others_join(&mut self) {
        let is_open = |this: &Self| {
            this.turn.is_none() && this.may_launch().is_some_and(|base| !this.open.is_clean(&base.draft))
        };
        while is_open(self) && !self.join_time_is_over() {
            tokio::task::yield_now().await;
            if !self.queue.take_in(self.room()) {
                return;
            }
            self.go_on();
        }
    }

    /// Whether nobody joins any more what could be stored now: the time for that begins when it is first asked.
    fn join_time_is_over(&mut self) -> bool {
        if self.flight.is_some() || self.open.is_empty() {
            return false;
        }
        Instant::now() >= *self.joined_until.get_or_insert_with(|| Instant::now() + JOIN_MAX)
    }

    /// Decides who waits, or does what has to be done before.
    fn go_on(&mut self) {
        // While the base is refreshed nobody can be decided; nor on one that is unknown, while it is not known either
        // what becomes of what is on its way.
        let Some(base) = &self.base else { return };
        let is_idle = self.flight.is_none() && self.open.is_empty();
        let presumes_new = self.pace.presumes_new();
        let must_ask = |pending: &Pending, presumes_new: bool| {
            let is_new = presumes_new && keys::initiates(&pending.request.command);
            !is_new || pending.has_failed() || pending.receipt_id().is_some()
        };
        let ask = |commands: &mut [Pending], presumes_new: bool| {
            commands.iter_mut().for_each(|pending| pending.asks = must_ask(pending, presumes_new));
        };
        match &mut self.turn {
            Some(Turn { is_closed: true, .. }) => {}
            Some(Turn { held: Some(head), is_closed, .. }) => {
                *is_closed = true;
                let head = *head;
                self.queue.take_in(self.room());
                let mut commands = self.queue.take();
                ask(&mut commands, presumes_new);
                self.refresh(commands, head, true);
            }
            Some(_) => {
                let many = |unasked: &[Pending]| {
                    unasked.iter().filter(|pending| must_ask(pending, presumes_new)).count() >= EARLY_MIN
                };
                if let Some(mut unasked) = self.queue.take_unasked(many) {
                    ask(&mut unasked, presumes_new);
                    self.refresh(unasked, None, false);
                }
            }
            None if self.queue.is_empty() => {}
            None if self.pace.takes_turns() || self.queue.has_retries() => {
                if is_idle {
                    self.turn = Some(Turn::take(self.store.clone(), &self.bus));
                }
            }
            None if base.landed().is_none() && self.flight.is_some() => {}
            None => {
                let is_trusted = base.is_trusted();
                let mut commands = self.queue.take();
                ask(&mut commands, presumes_new && is_trusted);
                if is_trusted && commands.iter().all(|pending| !pending.asks) {
                    self.decide(commands);
                } else {
                    self.refresh(commands, None, true);
                }
            }
        }
    }

    /// Brings the base to where the log is, or is held at, with all that commands ask for.
    fn refresh(&mut self, commands: Vec<Pending>, held_at: Option<Head>, decides: bool) {
        let Some(base) = self.base.take() else { return };
        let lines = queue::lines(&commands);
        let (store, bus) = (self.store.clone(), self.bus.clone());
        let work = async move {
            let refreshed = base.refresh(&*store, &bus, &commands, held_at).await;
            (commands, refreshed)
        };
        self.refreshing = Some(Refreshing { work: Box::pin(work), decides, lines, ended: None });
    }

    async fn refreshed(&mut self, commands: Vec<Pending>, refreshed: Result<Base, StoreError>) {
        let Some(Refreshing { decides, ended, .. }) = self.refreshing.take() else { return };
        let is_taken_back = matches!(ended, Some(Ended::TakenBack));
        match refreshed {
            Ok(mut base) if !is_taken_back => {
                if let Some(Ended::Landed(head, at)) = ended {
                    base.has_landed(head, at);
                }
                self.base = Some(base);
                if decides { self.decide(commands) } else { self.queue.put_back_asked(commands) }
            }
            refreshed => {
                self.base = Some(Base::unknown());
                match refreshed {
                    Err(error) if decides && !is_taken_back => {
                        let open = self.open.take_back(self.new_attempt());
                        self.queue.put_back(open);
                        let was_held = self.turn.is_some();
                        self.end_turn().await;
                        self.fail(commands, error, was_held);
                    }
                    // They are decided on another base.
                    _ if decides => self.queue.put_back(commands),
                    // They are asked about once more when the head is held; what fails then is told.
                    _ => self.queue.put_back_asked(commands),
                }
            }
        }
    }

    /// Decides commands on the base, as if what is being stored had landed.
    fn decide(&mut self, commands: Vec<Pending>) {
        let Some(base) = &mut self.base else { return };
        let (left, in_vain) = self.open.decide_all(&mut base.draft, commands, self.timekeeper.now());
        if left.is_empty() {
            return;
        }
        let head = self.turn.as_ref().and_then(|turn| turn.held.flatten());
        if self.turn.is_some() && in_vain >= IN_VAIN_MAX {
            self.pace.was_wrong();
        }
        self.refresh(left, head, true);
    }

    /// The base, where what was decided on it can be stored.
    fn may_launch(&self) -> Option<&Base> {
        let decides = self.turn.as_ref().is_none_or(|turn| turn.is_closed);
        self.base.as_ref().filter(|_| decides && self.flight.is_none())
    }

    /// Sends what was decided on its way, unless something else still is, or there is nothing to store.
    async fn launch(&mut self) {
        if self.may_launch().is_none() {
            return;
        }
        let Some(base) = &mut self.base else { return };
        if self.turn.is_some()
            && let Some(head) = base.landed()
        {
            self.pace.found(head);
        }
        // No commit is on its way that they might rest on.
        let answers = self.open.take_those_without_commit();
        if !answers.is_empty() {
            self.stumbles = 0;
        }
        answers.into_iter().for_each(Decided::answer);
        if self.open.is_clean(&base.draft) {
            (self.open.lines, self.joined_until) = (0, None);
            base.forget_touched();
            self.end_turn().await;
            return;
        }
        let next = RequestId(self.ids.next().into_bytes());
        let closed = self.open.close(&mut base.draft, next);
        base.is_ahead = true;
        self.pace.launched();
        self.joined_until = None;
        self.flight = Some(match self.turn.take() {
            Some(turn) => turn.launch(closed),
            None => Flight::launch(self.store.clone(), closed),
        });
    }

    async fn end_turn(&mut self) {
        if let Some(turn) = self.turn.take() {
            turn.end().await;
        }
    }

    fn commit_ended(&mut self, landing: Landing) {
        let Some(Flight { closed, launched_at, was_held, .. }) = self.flight.take() else { return };
        self.telemetry.group.record(closed.size() as f64);
        let ended = match landing {
            Landing::Stored(_) => &self.telemetry.stored,
            Landing::Behind(_) => &self.telemetry.behind,
            Landing::Conflict(_) => &self.telemetry.conflict,
            Landing::Unknown(_) => &self.telemetry.unknown,
            Landing::Failed(_) => &self.telemetry.failed,
        };
        ended.record(launched_at.elapsed());
        let commit = closed.commit.clone();
        let is_behind = matches!(landing, Landing::Behind(_));
        match landing {
            Landing::Stored(head) | Landing::Behind(head) => {
                self.readiness.stored();
                self.pace.stored(head, closed.presumes_new);
                self.stumbles = 0;
                let (records, decided) = closed.landed(head);
                self.bus.publish(records);
                decided.into_iter().for_each(Decided::answer);
                if is_behind {
                    // What was decided since has not seen what others wrote.
                    let open = self.take_back(&commit);
                    self.queue.put_back(open);
                } else if let Some(base) = &mut self.base {
                    base.has_landed(head, launched_at);
                } else if let Some(refreshing) = &mut self.refreshing {
                    refreshing.ended = Some(Ended::Landed(head, launched_at));
                }
            }
            Landing::Conflict(error) | Landing::Unknown(error) | Landing::Failed(error) => {
                if error.kind == StoreErrorKind::Conflict {
                    self.pace.conflicted(commit.base, closed.presumes_new);
                }
                let mut commands = closed.undecided(error.kind == StoreErrorKind::OutcomeUnknown);
                let open = self.take_back(&commit);
                if error.kind == StoreErrorKind::Unavailable {
                    // Who was never tried need not wait as long to hear the same.
                    commands.extend(open);
                } else {
                    self.queue.put_back(open);
                }
                self.fail(commands, error, was_held);
            }
        }
    }

    /// Takes back what was decided on a commit that is not where it was to be.
    fn take_back(&mut self, commit: &Commit) -> Vec<Pending> {
        if let Some(base) = self.base.take() {
            self.base = Some(base.take_back(commit));
        } else if let Some(refreshing) = &mut self.refreshing {
            refreshing.ended = Some(Ended::TakenBack);
        }
        self.open.take_back(self.new_attempt())
    }

    fn new_attempt(&self) -> RequestId {
        RequestId(self.ids.next().into_bytes())
    }
}

/// Waits for what there is to wait for, and for nothing where that is nothing.
async fn if_some<F: Future>(future: Option<F>) -> Option<F::Output> {
    match future {
        Some(future) => Some(future.await),
        None => None,
    }
}
