//! A model of the lease protocol of shared tokens.
//!
//! The store is auth-core's own `Record`. A process does what `manager/share.rs` does, without remembered failures.
//!
//! The following can happen at any instant, each as often as [`Bounds`] allows:
//!
//! - A call to the store times out. The store may still run it later, or never.
//! - The response to a login is lost.
//! - A lease expires.
//! - A process is killed.
//! - The API rejects a token.

use std::time::{Duration, SystemTime};

use auth_core::Secret;
use auth_core::store::{EntryUpdate, LeaseNumber, LeaseOutcome, Record};
use stateright::{Model, Property};

/// The number of processes, and how often each event may happen.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub processes: usize,
    pub logins: u8,
    pub kills: u8,
    /// Calls to the store that time out.
    pub store_timeouts: u8,
    /// Login responses of the API that are lost.
    pub lost_responses: u8,
    pub rejections: u8,
    pub lease_expiries: u8,
}

/// The number of a token, in the order of the logins. The access token and the refresh token of a login share it.
type Number = u8;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    entry: Entry,
    lease: Option<u64>,
    processes: Vec<Process>,
    /// Calls that the store has received and may still run.
    pending: Vec<Call>,
    server: Server,
    remaining: Remaining,
    /// The highest lease number under which an access token was ever saved.
    highest: u64,
    /// Whether nothing but steps of processes has happened.
    is_undisturbed: bool,
}

/// A `Record` in a form that can be compared and hashed.
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
    /// Refresh tokens that the server has received.
    used: Vec<Number>,
    /// Whether one was received twice. A server with refresh token rotation ends the session then (RFC 9700, section
    /// 4.14.2).
    is_refresh_reused: bool,
    /// Access tokens that have expired or were rejected.
    invalid: Vec<Number>,
}

/// How often each event may still happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Remaining {
    kills: u8,
    store_timeouts: u8,
    lost_responses: u8,
    rejections: u8,
    lease_expiries: u8,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Process {
    phase: Phase,
    known_revision: u64,
    /// A refresh token that only this process has.
    own_refresh: Option<Number>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
enum Phase {
    /// Requests the lease.
    #[default]
    RequestingLease,
    /// Has the lease and claims the refresh token.
    ClaimingRefresh(u64),
    /// Logs in, with the lease or without one.
    LoggingIn(Option<u64>),
    Saving(u64, Number),
    HoldingToken {
        token: Number,
        saved: u64,
    },
    Dead,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    Lease { known_revision: u64 },
    Claim { lease: u64 },
    Save { lease: u64, token: Number },
    Release { lease: u64 },
    Forget { saved: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// A process takes its next step, and the store responds.
    Step(usize),
    /// A process's call to the store times out. The store may still run it.
    TimeOut(usize),
    /// The API runs the login, and the response is lost.
    LoseResponse(usize),
    Kill(usize),
    /// The API rejects the token of this process.
    Reject(usize),
    /// The process's token expires.
    ExpireToken(usize),
    /// The store runs a call that has already timed out.
    RunPending(usize),
    ExpireLease,
}

impl Entry {
    /// Applies a function to this entry as a `Record`.
    fn with<R>(&mut self, apply: impl FnOnce(&mut Record) -> R) -> R {
        let mut record = Record::default();
        record.lease_number = LeaseNumber(self.lease_number);
        record.revision = LeaseNumber(self.revision);
        record.saved = LeaseNumber(self.saved);
        record.access = self.access.map(to_secret);
        record.refresh = self.refresh.map(to_secret);
        let result = apply(&mut record);
        *self = Self {
            lease_number: record.lease_number.0,
            revision: record.revision.0,
            saved: record.saved.0,
            access: record.access.as_ref().and_then(to_number),
            refresh: record.refresh.as_ref().and_then(to_number),
        };
        result
    }
}

fn to_secret(number: Number) -> Secret {
    Secret::from(number.to_string())
}

fn to_number(secret: &Secret) -> Option<Number> {
    secret.expose().parse().ok()
}

impl State {
    /// Runs the lease call. The clock stands still, so that lease numbers must increase without its help.
    fn lease(&mut self, known_revision: u64) -> (LeaseOutcome, Option<Number>, u64, bool) {
        let held = self.lease.map(|_| Duration::from_secs(1));
        let (lease, snapshot) =
            self.entry.with(|record| record.lease(LeaseNumber(known_revision), SystemTime::UNIX_EPOCH, held));
        if let LeaseOutcome::Granted(lease_number) = lease {
            self.lease = Some(lease_number.0);
        }
        let access = snapshot.access.as_ref().and_then(to_number);
        (lease, access, snapshot.revision.0, snapshot.has_refresh)
    }

    fn claim(&mut self, lease: u64) -> Option<Number> {
        let refresh = self.entry.with(|record| record.claim_refresh(LeaseNumber(lease)));
        refresh.as_ref().and_then(to_number)
    }

    fn save(&mut self, lease: u64, token: Number) -> bool {
        let mut update = EntryUpdate::new(Duration::ZERO);
        update.access = Some(to_secret(token));
        update.refresh = Some(to_secret(token));
        let is_saved = self.entry.with(|record| record.save(LeaseNumber(lease), update));
        if is_saved {
            self.highest = self.highest.max(lease);
            self.release(lease);
        }
        is_saved
    }

    fn release(&mut self, lease: u64) {
        self.lease.take_if(|held| *held == lease);
    }

    /// Runs a login on the API, with a refresh token or with the password.
    fn log_in(&mut self, refresh: Option<Number>) -> Number {
        if let Some(refresh) = refresh {
            self.server.is_refresh_reused |= self.server.used.contains(&refresh);
            self.server.used.push(refresh);
            self.server.used.sort_unstable();
        }
        self.server.logins += 1;
        self.server.logins
    }

    fn is_valid(&self, token: Number) -> bool {
        !self.server.invalid.contains(&token)
    }

    fn invalidate(&mut self, token: Number) {
        self.server.invalid.push(token);
        self.server.invalid.sort_unstable();
        self.server.invalid.dedup();
    }

    fn run_pending(&mut self, call: Call) {
        match call {
            Call::Lease { known_revision } => {
                // The process no longer waits for this lease and releases it when it is granted. The release is also a
                // pending call, because the process may be killed first.
                if let (LeaseOutcome::Granted(lease_number), ..) = self.lease(known_revision) {
                    self.pending.push(Call::Release { lease: lease_number.0 });
                }
            }
            Call::Claim { lease } => drop(self.claim(lease)),
            Call::Save { lease, token } => drop(self.save(lease, token)),
            Call::Release { lease } => self.release(lease),
            Call::Forget { saved } => drop(self.entry.with(|record| record.forget(LeaseNumber(saved)))),
        }
    }

    fn step(&mut self, index: usize) {
        let Process { phase, known_revision, own_refresh } = self.processes[index].clone();
        let process = match phase {
            Phase::RequestingLease => {
                let (lease, access, revision, has_refresh) = self.lease(known_revision);
                let found = access.filter(|token| self.is_valid(*token));
                let phase = match (found, lease) {
                    (Some(token), _) => Phase::HoldingToken { token, saved: self.entry.saved },
                    (None, LeaseOutcome::Granted(lease_number)) if has_refresh => {
                        Phase::ClaimingRefresh(lease_number.0)
                    }
                    (None, LeaseOutcome::Granted(lease_number)) => Phase::LoggingIn(Some(lease_number.0)),
                    _ => Phase::RequestingLease,
                };
                Process { phase, known_revision: revision, own_refresh }
            }
            Phase::ClaimingRefresh(lease) => {
                let own_refresh = self.claim(lease).or(own_refresh);
                Process { phase: Phase::LoggingIn(Some(lease)), known_revision, own_refresh }
            }
            Phase::LoggingIn(lease) => {
                let token = self.log_in(own_refresh);
                match lease {
                    Some(lease) => Process { phase: Phase::Saving(lease, token), known_revision, own_refresh: None },
                    None => Process {
                        phase: Phase::HoldingToken { token, saved: 0 },
                        known_revision,
                        own_refresh: Some(token),
                    },
                }
            }
            Phase::Saving(lease, token) => match self.save(lease, token) {
                true => Process {
                    phase: Phase::HoldingToken { token, saved: lease },
                    known_revision: lease,
                    own_refresh: None,
                },
                false => {
                    Process { phase: Phase::HoldingToken { token, saved: 0 }, known_revision, own_refresh: Some(token) }
                }
            },
            phase => Process { phase, known_revision, own_refresh },
        };
        self.processes[index] = process;
    }

    fn time_out(&mut self, index: usize) {
        let process = &mut self.processes[index];
        let call = match process.phase.clone() {
            Phase::RequestingLease => {
                process.phase = Phase::LoggingIn(None);
                Call::Lease { known_revision: process.known_revision }
            }
            Phase::ClaimingRefresh(lease) => {
                process.phase = Phase::LoggingIn(Some(lease));
                Call::Claim { lease }
            }
            Phase::Saving(lease, token) => {
                // If the store has run the save, the refresh token belongs to the store. The process cannot know, so it
                // drops its copy. It releases the lease in both cases.
                process.phase = Phase::HoldingToken { token, saved: lease };
                process.known_revision = lease;
                self.pending.push(Call::Release { lease });
                Call::Save { lease, token }
            }
            _ => return,
        };
        self.pending.push(call);
    }
}

impl Model for Bounds {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let Self { kills, store_timeouts, lost_responses, rejections, lease_expiries, .. } = *self;
        vec![State {
            entry: Entry::default(),
            lease: None,
            processes: vec![Process::default(); self.processes],
            pending: Vec::new(),
            server: Server::default(),
            remaining: Remaining { kills, store_timeouts, lost_responses, rejections, lease_expiries },
            highest: 0,
            is_undisturbed: true,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (index, process) in state.processes.iter().enumerate() {
            let may_log_in = state.server.logins < self.logins;
            match &process.phase {
                Phase::Dead => continue,
                Phase::HoldingToken { token, .. } => {
                    if may_log_in {
                        actions.push(Action::ExpireToken(index));
                    }
                    if state.remaining.rejections > 0 && may_log_in && state.is_valid(*token) {
                        actions.push(Action::Reject(index));
                    }
                }
                Phase::LoggingIn(_) if !may_log_in => {}
                Phase::LoggingIn(_) => {
                    actions.push(Action::Step(index));
                    if state.remaining.lost_responses > 0 {
                        actions.push(Action::LoseResponse(index));
                    }
                }
                Phase::RequestingLease | Phase::ClaimingRefresh(_) | Phase::Saving(..) => {
                    actions.push(Action::Step(index));
                    if state.remaining.store_timeouts > 0 {
                        actions.push(Action::TimeOut(index));
                    }
                }
            }
            if state.remaining.kills > 0 {
                actions.push(Action::Kill(index));
            }
        }
        actions.extend((0..state.pending.len()).map(Action::RunPending));
        if state.lease.is_some() && state.remaining.lease_expiries > 0 {
            actions.push(Action::ExpireLease);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        next.is_undisturbed &= matches!(action, Action::Step(_));
        match action {
            Action::Step(index) => next.step(index),
            Action::TimeOut(index) => {
                next.remaining.store_timeouts -= 1;
                next.time_out(index);
            }
            Action::LoseResponse(index) => {
                next.remaining.lost_responses -= 1;
                let refresh = next.processes[index].own_refresh.take();
                next.log_in(refresh);
            }
            Action::Kill(index) => {
                next.remaining.kills -= 1;
                next.processes[index] = Process { phase: Phase::Dead, ..Process::default() };
            }
            Action::Reject(index) => {
                next.remaining.rejections -= 1;
                if let Phase::HoldingToken { token, saved } = next.processes[index].phase {
                    next.invalidate(token);
                    next.processes[index].phase = Phase::RequestingLease;
                    next.pending.push(Call::Forget { saved });
                }
            }
            Action::ExpireToken(index) => {
                if let Phase::HoldingToken { token, .. } = next.processes[index].phase {
                    next.invalidate(token);
                    next.processes[index].phase = Phase::RequestingLease;
                }
            }
            Action::RunPending(index) => {
                let call = next.pending.remove(index);
                next.run_pending(call);
            }
            Action::ExpireLease => {
                next.remaining.lease_expiries -= 1;
                next.lease = None;
            }
        }
        // Pending calls can run in any order, so states that differ only in their order are the same.
        next.pending.sort_unstable();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no refresh token is used twice", |_, state: &State| !state.server.is_refresh_reused),
            Property::always("no slow writer replaces a newer token", |_, state: &State| {
                state.entry.access.is_none() || state.entry.saved == state.highest
            }),
            Property::always("a refresh token is in one place at a time", |_, state: &State| {
                let places = |number: &Number| {
                    let holders = state.processes.iter().filter(|process| process.own_refresh == Some(*number)).count();
                    holders + usize::from(state.entry.refresh == Some(*number))
                };
                (1..=state.server.logins).all(|number| places(&number) <= 1)
            }),
            Property::always("one login if nothing disturbs the processes", |_, state: &State| {
                !state.is_undisturbed || state.server.logins <= 1
            }),
            Property::sometimes("a refresh token is used", |_, state: &State| !state.server.used.is_empty()),
            Property::sometimes("a process uses a token that another saved", |_, state: &State| {
                let holding = |process: &&Process| matches!(process.phase, Phase::HoldingToken { token: 1, .. });
                state.is_undisturbed && state.processes.iter().filter(holding).count() > 1
            }),
            Property::sometimes("a late save is refused", |_, state: &State| {
                let is_stale =
                    |call: &Call| matches!(call, Call::Save { lease, .. } if *lease < state.entry.lease_number);
                state.pending.iter().any(is_stale)
            }),
            Property::sometimes("a process logs in after another was killed", |bounds: &Self, state: &State| {
                state.remaining.kills < bounds.kills
                    && state
                        .processes
                        .iter()
                        .any(|process| matches!(process.phase, Phase::HoldingToken { saved: 2.., .. }))
            }),
        ]
    }
}
