//! The committer: takes what is waiting, decides it on one base, and stores it in one commit.
//!
//! One loop waits for whatever comes first: a commit has ended, the head of the log is held, a base was refreshed, commands
//! have come. What follows is the same after each of them: who waits is decided, as soon as there is a base to decide on,
//! and what is decided is stored, as soon as nothing else is on its way. So nobody waits longer than for what he needs, and
//! whoever is stored is answered at once.
//!
//! There is no timer. While one group is stored the next one gathers, and is decided as if the one before it had landed; it
//! is closed, and stored, once that has. So an idle system answers at once, and a busy one batches by itself and never
//! waits for the disk with its hands in its lap. Where one processor does everything, the store's work included, nothing is
//! gained by keeping both busy, and larger groups cost less: there a group is stored once nobody else is about to join it.
//!
//! A commit is made in one of two ways:
//! - It *hopes* that nobody else writes. The base is kept from group to group, and what initiates a trade or a transfer
//!   between known stations asks the store nothing: it is presumed to be new. The commit finds out whether it was.
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
//! | conflict | decided again at once, in a turn; in a turn, after a pause | decided again | back to before it, and follows |
//! | unknown | decided again in a turn, after a pause | decided again | back to before it, and follows |
//! | too large, a defect | the same by halves; told, once alone | decided again | back to before it |
//! | store away | told | told the same | back to before it |
//! | otherwise failed | told | decided again | back to before it |
//!
//! What fails before the commit, when the head is to be held or the base is refreshed, ends in the same way; of the base
//! then nothing is known. Who is told may have been tried before: where one of those attempts may have landed, or its
//! commit was not the store's fault, it is tried again instead, until it was tried too often, or for too long.
//!
//! What keeps an answer honest:
//! - A caller hears of success only after the commit.
//! - A refusal that was decided with steps before it that are not stored yet depends on them, and is answered only after
//!   they landed; if their commit fails, it is decided again.
//! - Every commit holds a receipt of each command with a key, and one of all others together, under a name made for the
//!   attempt. After a commit whose outcome is unknown the receipts are loaded: one found tells that it landed, and then the
//!   answers worked out before are given; one not found lets the command be decided again. Whatever comes of that leaves
//!   a receipt under the same name, so that the first attempt cannot land beside the second.

mod base;
mod flight;
mod group;
mod pace;
mod pending;
mod queue;

pub(super) use pending::{Pending, Reply};

use super::readiness::Readiness;
use super::timekeeper::Timekeeper;
use super::{ServiceError, ServiceOptions, keys};
use crate::bus::EventBus;
use crate::clock::IdSource;
use crate::command::RequestId;
use crate::store::{Commit, Head, Store, StoreError, StoreErrorKind};
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

/// How long a group waits for those who are about to join it, where that is done.
const JOIN_MAX: Duration = Duration::from_millis(5);
/// So many are asked about while the head of the log is waited for: fewer cost less under it, where what others wrote is
/// asked for anyway.
const EARLY_MIN: usize = 64;
/// So many groups in a row that the store stumbled over are no matter of single commands any more.
const STUMBLES_MAX: u32 = 5;

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
        }
    }

    /// Works until every sender is gone, the queue is empty, and everyone was answered.
    pub(super) async fn run(mut self) {
        loop {
            let room = self.room();
            let turn = self.turn.as_mut().filter(|turn| turn.held.is_none());
            tokio::select! {
                biased;
                Some(landing) = of(self.flight.as_mut().map(|flight| flight.landing(&*self.store))) => {
                    self.landed(landing);
                }
                Some(held) = of(turn.map(|turn| turn.is_held(&*self.store))) => {
                    if let Err(error) = held {
                        self.turn = None;
                        let commands = self.queue.take();
                        self.fail(commands, error, true);
                    }
                }
                Some((commands, refreshed)) = of(self.refreshing.as_mut().map(|refreshing| &mut refreshing.work)) => {
                    self.refreshed(commands, refreshed).await;
                }
                Some(()) = of(self.queue.again_at().map(sleep_until)) => self.queue.is_again(),
                Some(()) = self.queue.come(room), if room > 0 => {}
                else => {
                    debug_assert!(self.queue.is_empty() && self.open.is_empty(), "nobody is forgotten");
                    return;
                }
            }
            // Who is decided does not wait for those who are not; but where one processor does everything, for a while.
            if !self.options.one_processor || self.turn.is_some() || self.join_time_is_over() {
                self.launch().await;
            }
            self.go_on();
            if self.options.one_processor {
                self.let_others_join().await;
            }
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

    /// Whether nobody joins any more what could be stored now.
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
                    // What fails before the head is held fails under it, and is told.
                    _ => self.queue.put_back(commands),
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
        if self.turn.is_some() && in_vain >= EARLY_MIN {
            // Others wait for the head meanwhile.
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
        let settled = self.open.settled();
        if !settled.is_empty() {
            self.stumbles = 0;
        }
        settled.into_iter().for_each(Decided::answer);
        if self.open.is_clean(&base.draft) {
            (self.open.lines, self.joined_until) = (0, None);
            base.let_go();
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

    fn landed(&mut self, landing: Landing) {
        let Some(Flight { closed, launched_at, was_held, .. }) = self.flight.take() else { return };
        let commit = closed.commit.clone();
        match landing {
            Landing::Stored(head) | Landing::Behind(head) => {
                let is_behind = head != closed.newest;
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

    /// Commands were not stored, as far as is known: who may still succeed is tried again, the others are told.
    ///
    /// What the store cannot take may be one command of a group, for which the others shall not suffer: so the group is
    /// halved until that one is alone.
    fn fail(&mut self, mut commands: Vec<Pending>, error: StoreError, was_held: bool) {
        let may_be_of_one = match error.kind {
            StoreErrorKind::TooLarge => true,
            StoreErrorKind::Internal => self.stumbles < STUMBLES_MAX,
            _ => false,
        };
        if commands.len() > 1 && may_be_of_one {
            self.queue.try_apart(commands);
            return;
        }
        if error.kind == StoreErrorKind::Unavailable {
            commands.extend(self.queue.take_apart());
        }
        let tries_max = self.options.attempts_max;
        let again: Vec<_> = commands.extract_if(.., |pending| pending.fail(&error, tries_max)).collect();
        self.stumbles += u32::from(error.kind == StoreErrorKind::Internal && !commands.is_empty());
        // Who was not held off by others is next.
        let is_next = error.kind == StoreErrorKind::Conflict && !was_held;
        if is_next {
            self.queue.put_back(again);
        } else if let Some(pause) = again.iter().map(Pending::pause).max() {
            tracing::debug!(%error, ?pause, "trying again");
            self.queue.try_again(again, Instant::now() + pause);
        }
        self.tell(commands, error);
    }

    fn tell(&self, failed: Vec<Pending>, error: StoreError) {
        if failed.is_empty() {
            return;
        }
        let error = Arc::new(error);
        self.readiness.failed(&error);
        for pending in failed {
            let answer = match error.kind {
                _ if !pending.attempts().is_empty() => ServiceError::Unknown(error.clone()),
                StoreErrorKind::Conflict => ServiceError::Overloaded,
                _ => ServiceError::Store(error.clone()),
            };
            pending.answer(Err(answer));
        }
    }

    fn new_attempt(&self) -> RequestId {
        RequestId(self.ids.next().into_bytes())
    }
}

/// Waits for what there is to wait for.
async fn of<F: Future>(future: Option<F>) -> Option<F::Output> {
    match future {
        Some(future) => Some(future.await),
        None => None,
    }
}
