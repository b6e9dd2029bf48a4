//! The committer: takes what is waiting, decides it on one view, and stores it in one commit.
//!
//! There is no timer. While one group is stored the next one gathers, and is decided as if the one before it had
//! landed; it is closed, and stored, once that has. So an idle system answers at once, and a busy one batches by itself
//! and never waits for the disk with its hands in its lap. Where one processor does everything, the store's work
//! included, nothing is gained by keeping both busy, and larger groups cost less: there a group is stored once nobody
//! else is about to join it.
//!
//! The view is kept from group to group. It is what the store holds as long as nobody else writes, and the head of the
//! log, which every load answers, tells whether somebody did: then the view follows them by the records they added, where
//! these are not too many, and otherwise all of it is loaded afresh. What initiates a trade or a transfer between known
//! stations asks the store nothing: it is presumed to be new, and the commit, which finds an id that is taken, makes the
//! group be looked up and decided again. A refusal is never decided so. Commands are decided in the order in which they
//! came, but for those that were presumed to be new in vain, which are decided after the others of their group.
//!
//! Where others write to the same rows, a commit that hopes to be first is often not. After a conflict the committer
//! takes turns with them for some groups: it holds the head of the log first, and then decides, with everyone who came
//! while it waited. What it must ask the store for it asks while it waits; while it holds the head, and others wait for
//! it, their newest records are left to be read, which the bus has from there. It hopes again once nobody wrote between
//! its groups.
//!
//! What keeps an answer honest:
//! - A caller hears of success only after the commit.
//! - A refusal that was decided with steps before it that are not stored yet depends on them, and is answered only after
//!   they landed; if their commit fails, it is decided again.
//! - Every commit holds a receipt of each command with a key, and one of all others together, under a name made for the
//!   attempt. After a commit whose outcome is unknown the group is loaded again: a receipt found tells that it landed,
//!   and then the answers worked out before are given; one not found lets it be decided again, and the receipt's name
//!   keeps the first attempt from landing beside the second.

mod failure;
mod group;
mod novelty;
mod pending;
mod queue;
mod rivalry;
mod settle;
mod turn;

pub(super) use pending::{Pending, Reply};

use super::ServiceOptions;
use super::readiness::Readiness;
use super::timekeeper::Timekeeper;
use crate::bus::EventBus;
use crate::clock::IdSource;
use crate::command::RequestId;
use crate::store::{Head, Store, StoreError, StoreErrorKind};
use failure::{may_be_of_one, outcome};
use group::{Closed, Group};
use novelty::Novelty;
use queue::{gather, waiting};
use rivalry::Rivalry;
use std::cmp::Ordering;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use turn::EARLY_MIN;

/// How long ago the store must have said where the log ends for the view to be trusted without asking it.
const TRUST_MAX: Duration = Duration::from_millis(100);
/// How long a group waits for those who are about to join it, where that is done.
const JOIN_MAX: Duration = Duration::from_millis(5);
/// Stations and levels that the view keeps from group to group, some 100 bytes each.
const KEPT_MAX: usize = 131_072;

#[derive(Debug)]
pub(super) struct Committer {
    store: Arc<dyn Store>,
    bus: EventBus,
    timekeeper: Arc<Timekeeper>,
    ids: Arc<dyn IdSource>,
    options: ServiceOptions,
    readiness: Arc<Readiness>,
    /// Where the log ended when it was last known to be as the view has it; none where the view knows nothing.
    landed: Option<Head>,
    /// When the store last said that it ends there.
    heard_at: Instant,
    /// What is decided on the view, and stored next.
    open: Group,
    /// What is being stored.
    flight: Option<Flight>,
    rivalry: Rivalry,
    novelty: Novelty,
}

/// A group on its way into the store.
#[derive(Debug)]
struct Flight {
    closed: Closed,
    launched_at: Instant,
    task: JoinHandle<Result<Head, StoreError>>,
    /// What became of it, where that was heard while something else was waited for.
    ended: Option<Result<Head, StoreError>>,
}

impl Flight {
    /// What becomes of it.
    async fn end(&mut self, store: &dyn Store) -> Result<Head, StoreError> {
        match self.ended.take() {
            Some(ended) => ended,
            None => outcome((&mut self.task).await, store),
        }
    }

    /// Waits for something else. Whoever is in the group is answered as soon as it has landed, however long that takes.
    async fn beside<T>(&mut self, work: impl Future<Output = T>, announcer: Announcer<'_>) -> T {
        let mut work = pin!(work);
        if self.ended.is_none() {
            tokio::select! {
                biased;
                done = &mut work => return done,
                ended = &mut self.task => {
                    let ended = outcome(ended, announcer.store);
                    if let Ok(head) = &ended {
                        announcer.tell(&mut self.closed, *head);
                    }
                    self.ended = Some(ended);
                }
            }
        }
        work.await
    }
}

/// Says that a group is stored.
struct Announcer<'c> {
    store: &'c dyn Store,
    bus: &'c EventBus,
    readiness: &'c Readiness,
}

impl Announcer<'_> {
    /// Tells readiness and bus, and answers whoever is in the group, unless that was done before. The log ends at `head`.
    fn tell(&self, closed: &mut Closed, head: Head) {
        self.readiness.stored();
        let (records, decided) = closed.landed(head);
        self.bus.publish(records);
        decided.into_iter().for_each(group::Decided::answer);
    }
}

/// What the committer does next.
enum Next {
    Decide(Vec<Pending>),
    Land(Result<Head, StoreError>),
    End,
}

impl Committer {
    pub(super) fn new(
        store: Arc<dyn Store>,
        bus: EventBus,
        timekeeper: Arc<Timekeeper>,
        ids: Arc<dyn IdSource>,
        options: ServiceOptions,
        readiness: Arc<Readiness>,
    ) -> Self {
        let open = Group::new(RequestId(ids.next().into_bytes()));
        Self {
            store,
            bus,
            timekeeper,
            ids,
            options,
            readiness,
            landed: None,
            heard_at: Instant::now(),
            open,
            flight: None,
            rivalry: Rivalry::default(),
            novelty: Novelty::default(),
        }
    }

    /// Works until every sender is gone, the queue is empty, and everyone was answered.
    pub(super) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Pending>) {
        loop {
            match self.next(&mut queue).await {
                Next::Decide(commands) if self.rivalry.takes_turns() && self.is_idle() => {
                    self.take_turn(commands, &mut queue).await;
                }
                Next::Decide(commands) => self.decide(commands).await,
                Next::Land(outcome) => self.land(outcome).await,
                Next::End => return,
            }
            if self.options.one_processor {
                self.let_others_join(&mut queue).await;
            }
            self.launch();
        }
    }

    /// Adds to the group that is stored next everyone whom the runtime has ready to come, for a while: who was just
    /// answered often has more to ask for.
    async fn let_others_join(&mut self, queue: &mut mpsc::UnboundedReceiver<Pending>) {
        let until = Instant::now() + JOIN_MAX;
        while self.flight.is_none() && !self.open.is_clean() && Instant::now() < until {
            tokio::task::yield_now().await;
            let others = waiting(queue, self.options.group_lines_max.saturating_sub(self.open.lines));
            if others.is_empty() {
                return;
            }
            self.decide(others).await;
        }
    }

    async fn next(&mut self, queue: &mut mpsc::UnboundedReceiver<Pending>) -> Next {
        let room = self.options.group_lines_max.saturating_sub(self.open.lines);
        let Some(flight) = &mut self.flight else {
            return queue.recv().await.map_or(Next::End, |first| Next::Decide(gather(first, queue, room)));
        };
        tokio::select! {
            biased;
            ended = flight.end(&*self.store) => Next::Land(ended),
            Some(first) = queue.recv(), if room > 0 => Next::Decide(gather(first, queue, room)),
        }
    }

    /// Decides commands on the view, as if what is being stored had landed.
    async fn decide(&mut self, mut commands: Vec<Pending>) {
        if self.trusts_the_view() && self.novelty.is_presumed() {
            self.open.presume_new(&mut commands);
        }
        let asks = commands.iter().any(|pending| pending.presumed_new.is_none());
        let asked = if asks { self.ask(&commands).await } else { Ok(()) };
        let decided = match asked {
            Ok(()) => self.decide_loaded(commands).await,
            Err(error) => Err((commands, error)),
        };
        match decided {
            Ok(()) => {}
            // What one of them asks for may be more than the store can take: each is tried by itself.
            Err((left, error)) if error.is_retryable() || (may_be_of_one(&error) && left.len() > 1) => {
                if let Some(flight) = &mut self.flight {
                    let ended = flight.end(&*self.store).await;
                    self.land(ended).await;
                }
                let mut group = self.start_over();
                group.extend(left);
                self.settle(group, Some(error)).await;
            }
            Err((left, error)) => self.fail(left, Arc::new(error)),
        }
    }

    /// Decides commands whose keys were loaded, and then those of whom the store has to be asked after all. Gives back
    /// who was not decided where that fails.
    async fn decide_loaded(&mut self, mut commands: Vec<Pending>) -> Result<(), (Vec<Pending>, StoreError)> {
        let now = self.timekeeper.now();
        loop {
            // Those that are left presume nothing any more, so that the second round is the last.
            let in_vain;
            (commands, in_vain) = self.open.decide_all(commands, now);
            if commands.is_empty() {
                return Ok(());
            }
            if self.rivalry.takes_turns() && in_vain >= EARLY_MIN {
                // Others wait for the head meanwhile.
                self.novelty.was_wrong();
            }
            if let Err(error) = self.ask(&commands).await {
                return Err((commands, error));
            }
        }
    }

    /// Loads what commands can touch; where others wrote, and nothing rests on what they may have changed, the view
    /// follows them.
    async fn ask(&mut self, commands: &[Pending]) -> Result<(), StoreError> {
        match self.load(commands).await {
            Err(error) if error.kind == StoreErrorKind::Conflict && self.is_idle() => {
                self.catch_up(commands, None).await
            }
            loaded => loaded,
        }
    }

    async fn load(&mut self, commands: &[Pending]) -> Result<(), StoreError> {
        let heads = self.landed.map(|landed| [landed, self.open.draft.view.head()]);
        let asked_at = Instant::now();
        let known = self.bus.end();
        let mut loaded = {
            let load = self.open.load(&*self.store, commands, heads);
            match &mut self.flight {
                Some(flight) => {
                    let (store, bus, readiness) = (&*self.store, &self.bus, &*self.readiness);
                    flight.beside(load, Announcer { store, bus, readiness }).await
                }
                None => load.await,
            }
        };
        if loaded.is_ok() && self.landed.is_none() {
            loaded = self.recognize(known, true).await;
        }
        if loaded.is_ok() {
            self.heard_at = asked_at;
            self.landed.get_or_insert(self.open.draft.view.head());
        } else if self.landed.is_none() {
            // What was added is of a moment that nobody remembers. Nobody is in the group.
            self.start_over();
        }
        loaded
    }

    /// Whether the view is so new, and nobody known to write beside it, that the commit may be the first to find out
    /// otherwise.
    fn trusts_the_view(&self) -> bool {
        self.landed.is_some() && !self.rivalry.takes_turns() && self.heard_at.elapsed() < TRUST_MAX
    }

    /// Brings the view, in which nothing is decided, to where the log is now, with all that commands can touch. `head` is
    /// where it is held.
    async fn catch_up(&mut self, commands: &[Pending], head: Option<Head>) -> Result<(), StoreError> {
        let asked_at = Instant::now();
        let end = self.bus.end();
        let followed = match self.landed {
            Some(_) => self.open.catch_up(&*self.store, &self.bus, commands, head).await,
            None => Ok(false),
        };
        let known = match followed {
            Ok(true) => self.recognize(end, false).await,
            Ok(false) => {
                // Nobody is in it.
                self.start_over();
                match self.open.load(&*self.store, commands, None).await {
                    Ok(()) => self.recognize(end, true).await,
                    failed => failed,
                }
            }
            Err(error) => Err(error),
        };
        match known {
            Ok(()) => (self.landed, self.heard_at) = (Some(self.open.draft.view.head()), asked_at),
            Err(_) => drop(self.start_over()),
        }
        known
    }

    /// Makes sure that the log is the one that ended at `known` before it was asked. A server that took over from another
    /// may lack what that had acknowledged, and must not be written to as if nothing had happened. A view that is fresh
    /// has not been compared with what was known.
    async fn recognize(&self, known: Head, is_fresh: bool) -> Result<(), StoreError> {
        let head = self.open.draft.view.head();
        let is_there = match head.sequence.cmp(&known.sequence) {
            Ordering::Less => false,
            Ordering::Equal => head == known,
            Ordering::Greater if known == Head::EMPTY || !is_fresh => true,
            Ordering::Greater => match self.store.read(known.sequence.saturating_sub(1), 1, 1).await {
                Ok(records) => records.first().is_some_and(|record| record.head() == known),
                // That is the feed's to tell.
                Err(error) if error.kind == StoreErrorKind::Corrupt => true,
                Err(error) => return Err(error),
            },
        };
        if !is_there {
            self.bus.lose(&format!("the step is another, or gone, that ended at {}", known.sequence));
        }
        self.bus.loss().map_or(Ok(()), Err)
    }

    /// Whether nothing is decided and not stored.
    fn is_idle(&self) -> bool {
        self.flight.is_none() && self.open.is_empty()
    }

    /// Sends the open group on its way, unless another one still is.
    fn launch(&mut self) {
        if self.flight.is_some() {
            return;
        }
        self.open.settled().into_iter().for_each(group::Decided::answer);
        if self.open.is_clean() {
            self.open.let_go(KEPT_MAX);
            return;
        }
        let (commit, closed) = self.open.close(self.attempt_id());
        let store = self.store.clone();
        let task = tokio::spawn(async move { store.commit(&commit).await });
        self.flight = Some(Flight { closed, launched_at: Instant::now(), task, ended: None });
    }

    async fn land(&mut self, outcome: Result<Head, StoreError>) {
        let Some(Flight { closed, launched_at, .. }) = self.flight.take() else { return };
        match outcome {
            Ok(head) => {
                self.novelty.held(closed.presumes_new);
                let again = self.stored(closed, head);
                self.heard_at = launched_at;
                self.settle(again, None).await;
            }
            Err(error) => {
                self.rivalry.met(&error);
                self.novelty.met(&error, closed.presumes_new);
                let again = self.start_over();
                let group = closed.undecided(error.kind == StoreErrorKind::OutcomeUnknown);
                match self.settle(group, Some(error)).await {
                    // What was never tried need not wait as long to hear the same.
                    Some(away) => self.fail(again, away),
                    None => drop(self.settle(again, None).await),
                }
            }
        }
    }

    /// A group is stored, the log ending at `head`. Answers what was decided since, and must be decided again.
    fn stored(&mut self, mut closed: Closed, head: Head) -> Vec<Pending> {
        let announcer = Announcer { store: &*self.store, bus: &self.bus, readiness: &self.readiness };
        announcer.tell(&mut closed, head);
        if head == closed.newest {
            self.landed = Some(head);
            self.open.draft.view.forget(KEPT_MAX);
            Vec::new()
        } else {
            // Others wrote before it: what was decided since has not seen it.
            self.start_over()
        }
    }

    /// Forgets the view, and takes back what was decided on it.
    fn start_over(&mut self) -> Vec<Pending> {
        self.landed = None;
        let fresh = Group::new(self.attempt_id());
        std::mem::replace(&mut self.open, fresh).undecided()
    }

    fn attempt_id(&self) -> RequestId {
        RequestId(self.ids.next().into_bytes())
    }
}
