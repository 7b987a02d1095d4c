//! A flight through a store: one process logs in, the others take what it saved.

mod calls;
mod guard;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::brief::{Brief, Need};
use super::meter::Meter;
use crate::clock::Moment;
use crate::error::Error;
use crate::provider::Provider;
use crate::store::wire::{Codec, StoreClock};
use crate::store::{Change, EntryName, Fence, Lease, Snapshot, TokenStore};
use crate::token::AccessToken;
use crate::transport::Transport;
use calls::Calls;
use guard::LeaseGuard;

/// The waits between two looks at an entry whose lease is another's: each half as long again, with jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Of a login whose deadline is out of all proportion.
const LONGEST_LEASE: Duration = Duration::from_secs(24 * 3600);

/// How long an entry stays for the sake of its memory of failures, after their pause, or of a refresh token without a
/// stated end.
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
        let Some(calls) = self.calls(brief, meter) else {
            brief.seen = Seen::default();
            return brief.log_in().await;
        };
        let mut relay = Relay::new(calls, brief, need);
        match relay.look().await {
            Found::Token(token) => (0, Ok(token)),
            Found::Failure(error) => (0, Err(error)),
            Found::Turn(turn) => relay.log_in(turn).await,
            Found::Nothing => relay.log_in_alone().await,
        }
    }

    /// Looks at the entry once, for a usable token; what failed is in the brief.
    pub(super) async fn recall<P: Provider, T: Transport>(
        &self,
        brief: &mut Brief<P, T>,
        meter: &Meter,
    ) -> Result<Option<AccessToken>, Error> {
        let Some(calls) = self.calls(brief, meter) else { return Ok(None) };
        let mut relay = Relay::new(calls, brief, Need::Usable);
        let asked = relay.now();
        let snapshot = relay.calls.load().await?;
        match relay.read(&snapshot, asked) {
            Some(Found::Token(token)) => Ok(Some(token)),
            _ => Ok(None),
        }
    }

    /// None where there is no store, or these credentials are not shared.
    fn calls<'a, P: Provider, T: Transport>(&'a self, brief: &Brief<P, T>, meter: &'a Meter) -> Option<Calls<'a>> {
        let (store, identity) = self.0.as_ref().zip(brief.login.provider().identity())?;
        let name = store.sealing().name(brief.login.name(), &identity);
        Some(Calls { store, name, provider: brief.login.name(), meter, is_out: false })
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
    calls: Calls<'a>,
    brief: &'a mut Brief<P, T>,
    need: Need,
    start: Moment,
    /// The last change that this flight has looked at.
    known: Fence,
}

impl<'a, P: Provider, T: Transport> Relay<'a, P, T> {
    fn new(calls: Calls<'a>, brief: &'a mut Brief<P, T>, need: Need) -> Self {
        if brief.seen.name.as_ref() != Some(&calls.name) {
            brief.seen = Seen { name: Some(calls.name.clone()), ..Seen::default() };
        }
        let (start, known) = (brief.login.clock().now(), brief.seen.revision);
        Self { calls, brief, need, start, known }
    }

    /// Looks at the entry until there is a token in it, a failure, or the turn to log in.
    async fn look(&mut self) -> Found {
        let ttl = lease_time(self.brief.login.policy().deadline, self.calls.store.patience());
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        // Time for two holders who die one after the other; after that, the store itself is wrong.
        while start.elapsed() <= 2 * ttl {
            let asked = self.now();
            let Some((lease, guard, snapshot)) = self.calls.lease(self.known, ttl).await else {
                return Found::Nothing;
            };
            let clock = StoreClock { local: self.now(), store: snapshot.now };
            if let Some(found) = self.read(&snapshot, asked) {
                return found;
            }
            if let Some(lease) = guard {
                return Found::Turn(Turn { lease, has_refresh: snapshot.has_refresh, clock });
            }
            if let Lease::Held(left) = lease {
                sleep(pause.mul_f64(0.5 + 0.5 * fastrand::f64()).min(left)).await;
                pause = pause.mul_f64(1.5).min(LONGEST_PAUSE);
            }
        }
        Found::Nothing
    }

    /// What the entry says that ends the flight.
    fn read(&mut self, snapshot: &Snapshot, asked: Moment) -> Option<Found> {
        let clock = StoreClock { local: asked, store: snapshot.now };
        let codec = Codec { sealing: self.calls.store.sealing(), name: &self.calls.name, clock };
        let login = &self.brief.login;
        self.known = snapshot.revision;
        let now = login.clock().now();
        let open = |text| codec.open_access(text, login.provider().api_headers(), login.policy());
        let access = snapshot.access.as_ref().map(open);
        if let Some(token) = self.readable(access)
            && self.need.is_met(&token, &now)
            && !self.brief.spent.covers(&token, &now)
        {
            tracing::debug!(store = self.calls.store.name(), "token taken from the store");
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
                self.calls.meter.stored("open", "unreadable");
                let (provider, store) = (self.brief.login.name(), self.calls.store.name());
                tracing::warn!(provider, store, reason, "entry of the store unreadable");
            })
            .ok()
    }

    /// Logs in, by the refresh token of the store where there is one, and saves what came of it before anybody gets it.
    async fn log_in(&mut self, turn: Turn) -> (u32, Result<AccessToken, Error>) {
        let fence = turn.lease.fence();
        if turn.has_refresh
            && let Some(refresh) = self.calls.claim(fence).await
        {
            let codec = Codec { sealing: self.calls.store.sealing(), name: &self.calls.name, clock: turn.clock };
            self.brief.refresh = self.readable(Some(codec.open_refresh(&refresh))).or(self.brief.refresh.take());
        }
        let (attempts, result) = self.brief.log_in().await;
        let is_saved = match self.change(turn.clock, result.as_ref().ok()) {
            Ok(change) => self.calls.save(fence, change).await,
            Err(error) => {
                tracing::warn!(%error, "token not saved");
                Some(false)
            }
        };
        if is_saved == Some(true) {
            turn.lease.end();
        }
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

    async fn log_in_alone(&mut self) -> (u32, Result<AccessToken, Error>) {
        let (attempts, result) = self.brief.log_in().await;
        if result.is_ok() {
            self.brief.seen.saved = Fence(0);
        }
        (attempts, result)
    }

    fn change(&self, clock: StoreClock, token: Option<&AccessToken>) -> Result<Change, Error> {
        let codec = Codec { sealing: self.calls.store.sealing(), name: &self.calls.name, clock };
        let refresh = self.brief.refresh.as_ref();
        let setback = if token.is_none() { codec.seal_setback(&self.brief.setback)? } else { None };
        let ttl = [
            token.map(AccessToken::lifetime),
            refresh.map(|token| token.lifetime().unwrap_or(SESSION)),
            setback.is_some().then(|| MEMORY + self.brief.setback.left(&self.now()).unwrap_or_default()),
        ];
        Ok(Change {
            access: token.map(|token| codec.seal_access(token)).transpose()?,
            refresh: refresh.map(|token| codec.seal_refresh(token)).transpose()?,
            setback,
            ttl: ttl.into_iter().flatten().max().unwrap_or_default(),
        })
    }

    fn now(&self) -> Moment {
        self.brief.login.clock().now()
    }
}

/// How long a lease lasts: a login's deadline, the store's answers around it, and a quarter more.
fn lease_time(deadline: Duration, patience: Duration) -> Duration {
    deadline.saturating_add(deadline / 4).saturating_add(patience.saturating_mul(4)).min(LONGEST_LEASE)
}
