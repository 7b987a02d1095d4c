//! A flight through a store: one process logs in, the others take what it saved.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::brief::{Brief, Need};
use super::meter::Meter;
use crate::clock::Moment;
use crate::error::Error;
use crate::provider::Provider;
use crate::secret::Secret;
use crate::store::wire::{Codec, StoreClock};
use crate::store::{Change, EntryName, Fence, Lease, Snapshot, TokenStore};
use crate::token::AccessToken;
use crate::transport::Transport;

/// The waits between two looks at an entry whose lease is another's: each half as long again, with jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Of a login whose deadline is out of all proportion.
const LONGEST_LEASE: Duration = Duration::from_secs(24 * 3600);

/// Of a store's patience.
const SLICES: u32 = 10;

/// How long an entry stays for the sake of its memory of failures, or of a refresh token without a stated end.
const MEMORY: Duration = Duration::from_secs(24 * 3600);
const SESSION: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a manager shares, if anything.
pub(super) struct Share(Option<Arc<dyn TokenStore>>);

/// What a manager knows of its entry.
#[derive(Clone, Default)]
pub(super) struct Seen {
    name: Option<EntryName>,
    /// The last change that it knows.
    revision: Fence,
    /// The number of the current token; 0 where that is not from the store, nor in it.
    saved: Fence,
}

impl Share {
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn with(store: Arc<dyn TokenStore>) -> Self {
        Self(Some(store))
    }

    /// Gets a token from the store or, for all who share it, by login; tells how many attempts were made as well.
    pub(super) async fn fly<P: Provider, T: Transport>(
        &self,
        brief: &mut Brief<P, T>,
        need: Need,
        meter: &Meter,
    ) -> (u32, Result<AccessToken, Error>) {
        let Some((store, identity)) = self.0.as_ref().zip(brief.login.provider().identity()) else {
            brief.seen = Seen::default();
            return brief.log_in().await;
        };
        let name = store.sealing().name(brief.login.name(), &identity);
        if brief.seen.name.as_ref() != Some(&name) {
            brief.seen = Seen { name: Some(name.clone()), ..Seen::default() };
        }
        let known = brief.seen.revision;
        let start = brief.login.clock().now();
        let mut relay = Relay { store, name, brief, need, meter, start, known, is_out: false };
        match relay.look().await {
            Found::Token(token) => (0, Ok(token)),
            Found::Failure(error) => (0, Err(error)),
            Found::Turn(turn) => relay.log_in(turn).await,
            Found::Nothing => {
                let (attempts, result) = relay.brief.log_in().await;
                if result.is_ok() {
                    relay.brief.seen.saved = Fence(0);
                }
                (attempts, result)
            }
        }
    }

    /// Takes a rejected token out of the store, in the background.
    pub(super) fn forget(&self, seen: &Seen) {
        let Some((store, name)) = self.0.clone().zip(seen.name.clone()) else { return };
        let saved = seen.saved;
        if saved != Fence(0)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move { store.forget(&name, saved).await });
        }
    }
}

enum Found {
    Token(AccessToken),
    /// Another process has failed, and all wait.
    Failure(Error),
    Turn(Turn),
    /// The store is out of reach.
    Nothing,
}

/// The right to log in for all.
struct Turn {
    lease: LeaseGuard,
    has_refresh: bool,
    clock: StoreClock,
}

/// One flight's dealings with the store.
struct Relay<'a, P, T> {
    store: &'a Arc<dyn TokenStore>,
    name: EntryName,
    brief: &'a mut Brief<P, T>,
    need: Need,
    meter: &'a Meter,
    start: Moment,
    /// The last change that this flight has looked at.
    known: Fence,
    /// It has failed to answer once: nothing waits for it any more in this flight.
    is_out: bool,
}

impl<P: Provider, T: Transport> Relay<'_, P, T> {
    /// Looks at the entry until there is a token in it, a failure, or the turn to log in.
    async fn look(&mut self) -> Found {
        let ttl = lease_time(self.brief.login.deadline(), self.store.patience());
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        // Time for two holders who die one after the other; after that, the store itself is wrong.
        while start.elapsed() <= 2 * ttl {
            let asked = self.now();
            let Some((lease, snapshot)) = self.lease(ttl).await else {
                return Found::Nothing;
            };
            let turn = self.turn(lease, &snapshot, ttl);
            if let Some(found) = self.read(&snapshot, asked) {
                return found;
            }
            if let Some(turn) = turn {
                return Found::Turn(turn);
            }
            if let Lease::Held(left) = lease {
                sleep(pause.mul_f64(0.5 + 0.5 * fastrand::f64()).min(left)).await;
                pause = pause.mul_f64(1.5).min(LONGEST_PAUSE);
            }
        }
        Found::Nothing
    }

    fn turn(&self, lease: Lease, snapshot: &Snapshot, ttl: Duration) -> Option<Turn> {
        let Lease::Granted(fence) = lease else { return None };
        let (store, name) = (self.store.clone(), self.name.clone());
        let lease = LeaseGuard { store, name, fence, ttl, is_over: false };
        let clock = StoreClock { local: self.now(), store: snapshot.now };
        Some(Turn { lease, has_refresh: snapshot.has_refresh, clock })
    }

    /// What the entry says that ends the flight.
    fn read(&mut self, snapshot: &Snapshot, asked: Moment) -> Option<Found> {
        let clock = StoreClock { local: asked, store: snapshot.now };
        let codec = Codec { sealing: self.store.sealing(), name: &self.name, clock };
        let login = &self.brief.login;
        self.known = snapshot.revision;
        let now = login.clock().now();
        let access = snapshot.access.as_ref().map(|text| codec.open_access(text, login.provider().api_headers()));
        if let Some(token) = self.readable(access)
            && self.need.is_met(&token, &now)
            && !self.brief.spent.covers(&token, &now)
        {
            tracing::debug!(store = self.store.name(), "token taken from the store");
            (self.brief.seen.revision, self.brief.seen.saved) = (snapshot.revision, snapshot.saved);
            return Some(Found::Token(token));
        }
        let setback = snapshot.setback.as_ref().map(|text| codec.open_setback(text, login.name()));
        let setback = self.readable(setback)?;
        self.brief.setback.learn(&setback, &now);
        if let Some(error) = self.brief.setback.stops(&now) {
            return Some(Found::Failure(error));
        }
        // A login that failed while this one waited is what it waited for, even where the pause after it is over.
        let last = setback.last.filter(|last| !last.at.is_before(&self.start))?;
        Some(Found::Failure(last.error))
    }

    /// What cannot be read is as if it were not there.
    fn readable<R>(&self, part: Option<Result<R, &'static str>>) -> Option<R> {
        part?
            .inspect_err(|reason| {
                self.meter.stored("open", "unreadable");
                let (provider, store) = (self.brief.login.name(), self.store.name());
                tracing::warn!(provider, store, reason, "entry of the store unreadable");
            })
            .ok()
    }

    /// Logs in, by the refresh token of the store where there is one, and saves what came of it before anybody gets it.
    async fn log_in(&mut self, mut turn: Turn) -> (u32, Result<AccessToken, Error>) {
        let fence = turn.lease.fence;
        if turn.has_refresh
            && let Some(refresh) = self.claim(fence).await
        {
            let codec = Codec { sealing: self.store.sealing(), name: &self.name, clock: turn.clock };
            self.brief.refresh = self.readable(Some(codec.open_refresh(&refresh))).or(self.brief.refresh.take());
        }
        let (attempts, result) = self.brief.log_in().await;
        let is_saved = match self.change(turn.clock, result.as_ref().ok()) {
            Ok(change) => self.save(fence, change).await,
            Err(error) => {
                tracing::warn!(%error, "token not saved");
                Some(false)
            }
        };
        turn.lease.is_over = is_saved == Some(true);
        // From the moment that it may be in the store, a refresh token is the store's alone.
        if is_saved != Some(false) {
            self.brief.refresh = None;
        }
        let seen = &mut self.brief.seen;
        // After a failure the entry is looked at again: a token that was not enough for this need may be for the next.
        match (is_saved, &result) {
            (Some(false), Ok(_)) => seen.saved = Fence(0),
            (_, Ok(_)) => (seen.revision, seen.saved) = (fence, fence),
            (_, Err(_)) => {}
        }
        (attempts, result)
    }

    fn change(&self, clock: StoreClock, token: Option<&AccessToken>) -> Result<Change, Error> {
        let codec = Codec { sealing: self.store.sealing(), name: &self.name, clock };
        let refresh = self.brief.refresh.as_ref();
        let setback = if token.is_none() { codec.seal_setback(&self.brief.setback)? } else { None };
        let ttl = [
            token.map(AccessToken::lifetime),
            refresh.map(|token| token.lifetime().unwrap_or(SESSION)),
            setback.is_some().then_some(MEMORY),
        ];
        Ok(Change {
            access: token.map(|token| codec.seal_access(token)).transpose()?,
            refresh: refresh.map(|token| codec.seal_refresh(token)).transpose()?,
            setback,
            ttl: ttl.into_iter().flatten().max().unwrap_or_default(),
        })
    }

    async fn lease(&mut self, ttl: Duration) -> Option<(Lease, Snapshot)> {
        let (store, name, known) = (self.store.clone(), self.name.clone(), self.known);
        let (sender, answer) = oneshot::channel();
        let call = async move {
            let late = sender.send(store.lease(&name, known, ttl).await);
            // Nobody waits for it any more: it must not stand in the way of others.
            if let Err(Ok((Lease::Granted(fence), _))) = late {
                let _ = store.release(&name, fence).await;
            }
        };
        tokio::spawn(call);
        let answer = async { answer.await.unwrap_or_else(|_| Err(broken())) };
        let (lease, snapshot) = self.answer("lease", answer).await?;
        let outcome = match lease {
            Lease::Granted(_) => "granted",
            Lease::Held(_) => "held",
            Lease::Changed => "changed",
        };
        self.meter.stored("lease", outcome);
        Some((lease, snapshot))
    }

    async fn claim(&mut self, lease: Fence) -> Option<Secret> {
        let (store, name) = (self.store.clone(), self.name.clone());
        let call = async move { store.claim_refresh(&name, lease).await };
        let refresh = self.ask("claim", call).await?;
        self.meter.stored("claim", if refresh.is_some() { "ok" } else { "lost" });
        refresh
    }

    /// Whether it was done; none where that is not known.
    async fn save(&mut self, lease: Fence, change: Change) -> Option<bool> {
        let (store, name) = (self.store.clone(), self.name.clone());
        let call = async move { store.save(&name, lease, change).await };
        let is_saved = self.ask("save", call).await?;
        self.meter.stored("save", if is_saved { "ok" } else { "lost" });
        Some(is_saved)
    }

    /// Lets a call run to its end, and waits for it while the store is to be waited for.
    async fn ask<R: Send + 'static>(
        &mut self,
        what: &'static str,
        call: impl Future<Output = Result<R, Error>> + Send + 'static,
    ) -> Option<R> {
        let call = tokio::spawn(call);
        self.answer(what, async { call.await.unwrap_or_else(|_| Err(broken())) }).await
    }

    async fn answer<R>(&mut self, what: &'static str, answer: impl Future<Output = Result<R, Error>>) -> Option<R> {
        if self.is_out {
            return None;
        }
        let error = match within(self.store.patience(), answer).await {
            Some(Ok(answer)) => return Some(answer),
            Some(Err(error)) => error,
            None => Error::unavailable("the store did not answer in time"),
        };
        self.meter.stored(what, "error");
        let (provider, store) = (self.brief.login.name(), self.store.name());
        tracing::warn!(provider, store, what, ?error, "store unavailable: this login goes on without it");
        self.is_out = true;
        None
    }

    fn now(&self) -> Moment {
        self.brief.login.clock().now()
    }
}

/// Waits in slices, so that a process left without a core does not use up the store's patience: a slice that took too long
/// counts as one.
async fn within<R>(patience: Duration, answer: impl Future<Output = R>) -> Option<R> {
    let mut answer = pin!(answer);
    for _ in 0..SLICES {
        if let Ok(answer) = timeout(patience / SLICES, &mut answer).await {
            return Some(answer);
        }
    }
    None
}

fn broken() -> Error {
    Error::unavailable("the store's work was cut off")
}

/// How long a lease lasts: a login's deadline, the store's answers around it, and a quarter more.
fn lease_time(deadline: Duration, patience: Duration) -> Duration {
    deadline.saturating_add(deadline / 4).saturating_add(patience.saturating_mul(4)).min(LONGEST_LEASE)
}

/// Gives the lease back when it is dropped; a process that is killed leaves it to its time.
struct LeaseGuard {
    store: Arc<dyn TokenStore>,
    name: EntryName,
    fence: Fence,
    ttl: Duration,
    is_over: bool,
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        if !self.is_over
            && let Ok(runtime) = Handle::try_current()
        {
            let (store, name, fence, ttl) = (self.store.clone(), self.name.clone(), self.fence, self.ttl);
            runtime.spawn(async move {
                // A store that is out for a moment would keep it till its end.
                let released = async {
                    while store.release(&name, fence).await.is_err() {
                        sleep(LONGEST_PAUSE).await;
                    }
                };
                timeout(ttl, released).await
            });
        }
    }
}

#[cfg(test)]
mod tests;
