//! The lease protocol of shared tokens as a model: what the store does is auth-core's own `Record`; what a process does is
//! `manager/share.rs`, without the memory of failures.
//!
//! Any answer of the store may not come, and what was asked of it may be done late or never; any login's answer may be
//! lost; a lease may end at any instant; any process may be killed at any instant: each as often as [`Bounds`] says.

use std::time::{Duration, SystemTime};

use auth_core::Secret;
use auth_core::store::{EntryUpdate, LeaseNumber, LeaseOutcome, Record};
use stateright::{Model, Property};

/// How much may happen.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub processes: usize,
    pub logins: u8,
    pub kills: u8,
    /// Answers of the store that are given up.
    pub delays: u8,
    /// Answers of the API that do not arrive.
    pub lost_logins: u8,
    pub rejections: u8,
    pub lease_ends: u8,
}

/// Tokens are numbered in the order of their logins; a login's refresh token has its number.
type Number = u8;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    entry: Entry,
    lease: Option<u64>,
    processes: Vec<Process>,
    /// What was asked of the store, and may yet be done.
    late: Vec<Call>,
    server: Server,
    left: Left,
    /// The highest number under which an access token was ever saved.
    highest: u64,
    /// Nothing out of the way has happened yet.
    is_quiet: bool,
}

/// A `Record`, in a form that can be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Entry {
    lease_number: u64,
    revision: u64,
    saved: u64,
    access: Option<Number>,
    refresh: Option<Number>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Server {
    logins: Number,
    /// Refresh tokens that were sent.
    used: Vec<Number>,
    /// One was sent twice: a server that rotates them ends the session.
    is_forked: bool,
    /// Access tokens whose life is over, or that were rejected.
    ended: Vec<Number>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Left {
    kills: u8,
    delays: u8,
    lost_logins: u8,
    rejections: u8,
    lease_ends: u8,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Process {
    at: At,
    known: u64,
    /// A refresh token that is not in the store.
    own: Option<Number>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
enum At {
    /// Asks for the lease.
    #[default]
    Looking,
    /// Has it, and takes the refresh token out.
    Claiming(u64),
    /// Logs in, with the lease or alone.
    LoggingIn(Option<u64>),
    Saving(u64, Number),
    Holding {
        token: Number,
        saved: u64,
    },
    Dead,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    Lease { known: u64 },
    Claim { lease: u64 },
    Save { lease: u64, token: Number },
    Release { lease: u64 },
    Forget { saved: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// The process's next step; the store answers.
    Step(usize),
    /// The process gives the store up; what it asked for may yet be done.
    GiveUp(usize),
    /// The API has acted, and its answer is lost.
    LoseLogin(usize),
    Kill(usize),
    /// The API rejects the token of this process.
    Reject(usize),
    /// The life of the process's token is over.
    End(usize),
    /// The store does what was asked of it long ago.
    RunLate(usize),
    ExpireLease,
}

impl Entry {
    /// Does what the store does, by its own code.
    fn with<R>(&mut self, act: impl FnOnce(&mut Record) -> R) -> R {
        let text = |number: Option<Number>| number.map(|number| Secret::from(number.to_string()));
        let mut record = Record::default();
        record.lease_number = LeaseNumber(self.lease_number);
        record.revision = LeaseNumber(self.revision);
        record.saved = LeaseNumber(self.saved);
        record.access = text(self.access);
        record.refresh = text(self.refresh);
        let result = act(&mut record);
        let number = |text: Option<Secret>| text.and_then(|text| text.expose().parse().ok());
        *self = Self {
            lease_number: record.lease_number.0,
            revision: record.revision.0,
            saved: record.saved.0,
            access: number(record.access),
            refresh: number(record.refresh),
        };
        result
    }
}

impl State {
    /// What the lease call gives; a clock that stands still leaves it to the numbers to rise.
    fn lease(&mut self, known: u64) -> (LeaseOutcome, Option<Number>, u64, bool) {
        let held = self.lease.map(|_| Duration::from_secs(1));
        let (lease, snapshot) =
            self.entry.with(|record| record.lease(LeaseNumber(known), SystemTime::UNIX_EPOCH, held));
        if let LeaseOutcome::Granted(lease_number) = lease {
            self.lease = Some(lease_number.0);
        }
        let access = snapshot.access.and_then(|text| text.expose().parse().ok());
        (lease, access, snapshot.revision.0, snapshot.has_refresh)
    }

    fn claim(&mut self, lease: u64) -> Option<Number> {
        let refresh = self.entry.with(|record| record.claim_refresh(LeaseNumber(lease)));
        refresh.and_then(|text| text.expose().parse().ok())
    }

    fn save(&mut self, lease: u64, token: Number) -> bool {
        let text = || Some(Secret::from(token.to_string()));
        let mut change = EntryUpdate::new(Duration::ZERO);
        change.access = text();
        change.refresh = text();
        let is_saved = self.entry.with(|record| record.save(LeaseNumber(lease), change));
        if is_saved {
            self.highest = self.highest.max(lease);
            self.release(lease);
        }
        is_saved
    }

    fn release(&mut self, lease: u64) {
        self.lease.take_if(|held| *held == lease);
    }

    /// The API gives a token for the refresh token, or for the password.
    fn log_in(&mut self, by: Option<Number>) -> Number {
        if let Some(refresh) = by {
            self.server.is_forked |= self.server.used.contains(&refresh);
            self.server.used.push(refresh);
            self.server.used.sort_unstable();
        }
        self.server.logins += 1;
        self.server.logins
    }

    fn is_good(&self, token: Number) -> bool {
        !self.server.ended.contains(&token)
    }

    fn end(&mut self, token: Number) {
        self.server.ended.push(token);
        self.server.ended.sort_unstable();
        self.server.ended.dedup();
    }

    fn run_late(&mut self, call: Call) {
        match call {
            Call::Lease { known } => {
                // Whoever finds that nobody waits for it gives it back; it may not live to do so.
                if let (LeaseOutcome::Granted(lease_number), ..) = self.lease(known) {
                    self.late.push(Call::Release { lease: lease_number.0 });
                }
            }
            Call::Claim { lease } => drop(self.claim(lease)),
            Call::Save { lease, token } => drop(self.save(lease, token)),
            Call::Release { lease } => self.release(lease),
            Call::Forget { saved } => drop(self.entry.with(|record| record.forget(LeaseNumber(saved)))),
        }
    }

    fn step(&mut self, index: usize) {
        let Process { at, known, own } = self.processes[index].clone();
        let process = match at {
            At::Looking => {
                let (lease, access, revision, has_refresh) = self.lease(known);
                let found = access.filter(|token| self.is_good(*token));
                let at = match (found, lease) {
                    (Some(token), _) => At::Holding { token, saved: self.entry.saved },
                    (None, LeaseOutcome::Granted(lease_number)) if has_refresh => At::Claiming(lease_number.0),
                    (None, LeaseOutcome::Granted(lease_number)) => At::LoggingIn(Some(lease_number.0)),
                    _ => At::Looking,
                };
                Process { at, known: revision, own }
            }
            At::Claiming(lease) => {
                let own = self.claim(lease).or(own);
                Process { at: At::LoggingIn(Some(lease)), known, own }
            }
            At::LoggingIn(lease) => {
                let token = self.log_in(own);
                match lease {
                    Some(lease) => Process { at: At::Saving(lease, token), known, own: None },
                    None => Process { at: At::Holding { token, saved: 0 }, known, own: Some(token) },
                }
            }
            At::Saving(lease, token) => match self.save(lease, token) {
                true => Process { at: At::Holding { token, saved: lease }, known: lease, own: None },
                false => Process { at: At::Holding { token, saved: 0 }, known, own: Some(token) },
            },
            at => Process { at, known, own },
        };
        self.processes[index] = process;
    }

    fn give_up(&mut self, index: usize) {
        let process = &mut self.processes[index];
        let call = match process.at.clone() {
            At::Looking => {
                process.at = At::LoggingIn(None);
                Call::Lease { known: process.known }
            }
            At::Claiming(lease) => {
                process.at = At::LoggingIn(Some(lease));
                Call::Claim { lease }
            }
            At::Saving(lease, token) => {
                // Perhaps it is in the store: then it is the store's. The lease is given back all the same.
                process.at = At::Holding { token, saved: lease };
                process.known = lease;
                self.late.push(Call::Release { lease });
                Call::Save { lease, token }
            }
            _ => return,
        };
        self.late.push(call);
    }
}

impl Model for Bounds {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let Self { kills, delays, lost_logins, rejections, lease_ends, .. } = *self;
        vec![State {
            entry: Entry::default(),
            lease: None,
            processes: vec![Process::default(); self.processes],
            late: Vec::new(),
            server: Server::default(),
            left: Left { kills, delays, lost_logins, rejections, lease_ends },
            highest: 0,
            is_quiet: true,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (index, process) in state.processes.iter().enumerate() {
            let may_log_in = state.server.logins < self.logins;
            match &process.at {
                At::Dead => continue,
                At::Holding { token, .. } => {
                    if may_log_in {
                        actions.push(Action::End(index));
                    }
                    if state.left.rejections > 0 && may_log_in && state.is_good(*token) {
                        actions.push(Action::Reject(index));
                    }
                }
                At::LoggingIn(_) if !may_log_in => {}
                At::LoggingIn(_) => {
                    actions.push(Action::Step(index));
                    if state.left.lost_logins > 0 {
                        actions.push(Action::LoseLogin(index));
                    }
                }
                At::Looking | At::Claiming(_) | At::Saving(..) => {
                    actions.push(Action::Step(index));
                    if state.left.delays > 0 {
                        actions.push(Action::GiveUp(index));
                    }
                }
            }
            if state.left.kills > 0 {
                actions.push(Action::Kill(index));
            }
        }
        actions.extend((0..state.late.len()).map(Action::RunLate));
        if state.lease.is_some() && state.left.lease_ends > 0 {
            actions.push(Action::ExpireLease);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        next.is_quiet &= matches!(action, Action::Step(_));
        match action {
            Action::Step(index) => next.step(index),
            Action::GiveUp(index) => {
                next.left.delays -= 1;
                next.give_up(index);
            }
            Action::LoseLogin(index) => {
                next.left.lost_logins -= 1;
                let own = next.processes[index].own.take();
                next.log_in(own);
            }
            Action::Kill(index) => {
                next.left.kills -= 1;
                next.processes[index] = Process { at: At::Dead, ..Process::default() };
            }
            Action::Reject(index) => {
                next.left.rejections -= 1;
                if let At::Holding { token, saved } = next.processes[index].at {
                    next.end(token);
                    next.processes[index].at = At::Looking;
                    next.late.push(Call::Forget { saved });
                }
            }
            Action::End(index) => {
                if let At::Holding { token, .. } = next.processes[index].at {
                    next.end(token);
                    next.processes[index].at = At::Looking;
                }
            }
            Action::RunLate(index) => {
                let call = next.late.remove(index);
                next.run_late(call);
            }
            Action::ExpireLease => {
                next.left.lease_ends -= 1;
                next.lease = None;
            }
        }
        // The order in which they were asked for says nothing about the order in which they are done.
        next.late.sort_unstable();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no refresh token is used twice", |_, state: &State| !state.server.is_forked),
            Property::always("no slow writer replaces a newer token", |_, state: &State| {
                state.entry.access.is_none() || state.entry.saved == state.highest
            }),
            Property::always("a refresh token has one place", |_, state: &State| {
                let own = |number: &Number| {
                    let holders = state.processes.iter().filter(|process| process.own == Some(*number)).count();
                    holders + usize::from(state.entry.refresh == Some(*number))
                };
                (1..=state.server.logins).all(|number| own(&number) <= 1)
            }),
            Property::always("one login, while nothing is out of the way", |_, state: &State| {
                !state.is_quiet || state.server.logins <= 1
            }),
            Property::sometimes("a refresh token of the store is used", |_, state: &State| {
                !state.server.used.is_empty()
            }),
            Property::sometimes("one takes what another saved", |_, state: &State| {
                let holding = |process: &&Process| matches!(process.at, At::Holding { token: 1, .. });
                state.is_quiet && state.processes.iter().filter(holding).count() > 1
            }),
            Property::sometimes("a late save is refused", |_, state: &State| {
                let is_stale =
                    |call: &Call| matches!(call, Call::Save { lease, .. } if *lease < state.entry.lease_number);
                state.late.iter().any(is_stale)
            }),
            Property::sometimes("another logs in after a kill", |bounds: &Self, state: &State| {
                state.left.kills < bounds.kills
                    && state.processes.iter().any(|process| matches!(process.at, At::Holding { saved: 2.., .. }))
            }),
        ]
    }
}
