//! A flight through a store: one process logs in, the others take what it saved.

mod calls;
mod guard;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::meter::Meter;
use super::renewal::{Need, RenewalContext};
use crate::clock::Moment;
use crate::error::Error;
use crate::provider::Provider;
use crate::store::wire::{Codec, StoreClock};
use crate::store::{EntryName, EntryUpdate, LeaseNumber, LeaseOutcome, Snapshot, TokenStore};
use crate::targets;
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
pub(super) struct StoreCursor {
    name: Option<EntryName>,
    /// The last change that it knows.
    revision: LeaseNumber,
    /// The number of the current token; 0 where that is not from the store, nor in it.
    saved: LeaseNumber,
}

impl Share {
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn with(store: Arc<dyn TokenStore>) -> Self {
        Self(Some(store))
    }

    /// Gets a token from the store or, for all who share it, by login; tells how many attempts were made as well.
    pub(super) async fn run<P: Provider, T: Transport>(
        &self,
        context: &mut RenewalContext<P, T>,
        need: Need,
        meter: &Meter,
    ) -> (u32, Result<AccessToken, Error>) {
        let Some(calls) = self.calls(context, meter) else {
            context.cursor = StoreCursor::default();
            return context.log_in().await;
        };
        let mut shared = SharedLogin::new(calls, context, need);
        match shared.look().await {
            Found::Token(token) => (0, Ok(token)),
            Found::Cooldown(error) => (0, Err(error)),
            Found::LeaseHeld(held) => shared.log_in(held).await,
            Found::Nothing => shared.log_in_alone().await,
        }
    }

    /// Looks at the entry once, for a usable token; what failed is in the context.
    pub(super) async fn recall<P: Provider, T: Transport>(
        &self,
        context: &mut RenewalContext<P, T>,
        meter: &Meter,
    ) -> Result<Option<AccessToken>, Error> {
        let Some(calls) = self.calls(context, meter) else { return Ok(None) };
        let mut shared = SharedLogin::new(calls, context, Need::Usable);
        let asked = shared.now();
        let snapshot = shared.calls.load().await?;
        match shared.read(&snapshot, asked) {
            Some(Found::Token(token)) => Ok(Some(token)),
            _ => Ok(None),
        }
    }

    /// None where there is no store, or these credentials are not shared.
    fn calls<'a, P: Provider, T: Transport>(
        &'a self,
        context: &RenewalContext<P, T>,
        meter: &'a Meter,
    ) -> Option<Calls<'a>> {
        let (store, identity) = self.0.as_ref().zip(context.login.provider().identity())?;
        let name = store.sealing().name(context.login.name(), &identity);
        Some(Calls { store, name, provider: context.login.name(), meter, is_out: false })
    }

    /// Takes a rejected token out of the store, in the background.
    pub(super) fn forget(&self, cursor: &StoreCursor) {
        let Some((store, name)) = self.0.clone().zip(cursor.name.clone()) else { return };
        let saved = cursor.saved;
        if saved != LeaseNumber(0)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move { store.forget(&name, saved).await });
        }
    }
}

enum Found {
    Token(AccessToken),
    /// Another process has failed, and all wait.
    Cooldown(Error),
    LeaseHeld(LeaseHeld),
    /// The store is out of reach.
    Nothing,
}

/// The right to log in for all.
struct LeaseHeld {
    lease: LeaseGuard,
    has_refresh: bool,
    clock: StoreClock,
}

/// One flight's dealings with the store.
struct SharedLogin<'a, P, T> {
    calls: Calls<'a>,
    context: &'a mut RenewalContext<P, T>,
    need: Need,
    start: Moment,
    /// The last change that this flight has looked at.
    known: LeaseNumber,
}

impl<'a, P: Provider, T: Transport> SharedLogin<'a, P, T> {
    fn new(calls: Calls<'a>, context: &'a mut RenewalContext<P, T>, need: Need) -> Self {
        if context.cursor.name.as_ref() != Some(&calls.name) {
            context.cursor = StoreCursor { name: Some(calls.name.clone()), ..StoreCursor::default() };
        }
        let (start, known) = (context.login.clock().now(), context.cursor.revision);
        Self { calls, context, need, start, known }
    }

    /// Looks at the entry until there is a token in it, a failure, or the lease is granted.
    async fn look(&mut self) -> Found {
        let ttl = lease_time(self.context.login.policy().deadline, self.calls.store.timeout());
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
                return Found::LeaseHeld(LeaseHeld { lease, has_refresh: snapshot.has_refresh, clock });
            }
            if let LeaseOutcome::Held(left) = lease {
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
        let login = &self.context.login;
        self.known = snapshot.revision;
        let now = login.clock().now();
        let open = |text| codec.open_access(text, login.provider().api_headers(), login.policy());
        let access = snapshot.access.as_ref().map(open);
        if let Some(token) = self.readable(access)
            && self.need.is_met(&token, &now)
            && !self.context.superseded.covers(&token, &now)
        {
            tracing::debug!(target: targets::STORE, store = self.calls.store.name(), "token taken from the store");
            self.context.cursor.revision = snapshot.revision;
            self.context.cursor.saved = snapshot.saved;
            return Some(Found::Token(token));
        }
        let cooldown = snapshot.cooldown.as_ref().map(|text| codec.open_cooldown(text, login.name()));
        let cooldown = self.readable(cooldown)?;
        self.context.cooldown.merge(&cooldown, &now);
        if let Some(error) = self.context.cooldown.error_at(&now) {
            return Some(Found::Cooldown(error));
        }
        // A login that failed while this one waited is what it waited for, even where the pause after it is over.
        let last = cooldown.last.filter(|last| !last.failed_at.is_before(&self.start))?;
        Some(Found::Cooldown(last.error))
    }

    /// What cannot be read is as if it were not there.
    fn readable<R>(&self, part: Option<Result<R, &'static str>>) -> Option<R> {
        part?
            .inspect_err(|reason| {
                self.calls.meter.stored("open", "unreadable");
                let (provider, store) = (self.context.login.name(), self.calls.store.name());
                tracing::warn!(target: targets::STORE, provider, store, reason, "entry of the store unreadable");
            })
            .ok()
    }

    /// Logs in, by the refresh token of the store where there is one, and saves what came of it before anybody gets it.
    async fn log_in(&mut self, held: LeaseHeld) -> (u32, Result<AccessToken, Error>) {
        let lease_number = held.lease.lease_number();
        if held.has_refresh
            && let Some(refresh) = self.calls.claim(lease_number).await
        {
            let codec = Codec { sealing: self.calls.store.sealing(), name: &self.calls.name, clock: held.clock };
            self.context.refresh = self.readable(Some(codec.open_refresh(&refresh))).or(self.context.refresh.take());
        }
        let (attempts, result) = self.context.log_in().await;
        let is_saved = match self.change(held.clock, result.as_ref().ok()) {
            Ok(change) => self.calls.save(lease_number, change).await,
            Err(error) => {
                tracing::warn!(target: targets::STORE, %error, "token not saved");
                Some(false)
            }
        };
        if is_saved == Some(true) {
            held.lease.end();
        }
        // From the moment that it may be in the store, a refresh token is the store's alone.
        if is_saved != Some(false) {
            self.context.refresh = None;
        }
        let cursor = &mut self.context.cursor;
        // After a failure the entry is looked at again: a token that was not enough for this need may be for the next.
        match (is_saved, &result) {
            (Some(false), Ok(_)) => cursor.saved = LeaseNumber(0),
            (_, Ok(_)) => (cursor.revision, cursor.saved) = (lease_number, lease_number),
            (_, Err(_)) => {}
        }
        (attempts, result)
    }

    async fn log_in_alone(&mut self) -> (u32, Result<AccessToken, Error>) {
        let (attempts, result) = self.context.log_in().await;
        if result.is_ok() {
            self.context.cursor.saved = LeaseNumber(0);
        }
        (attempts, result)
    }

    fn change(&self, clock: StoreClock, token: Option<&AccessToken>) -> Result<EntryUpdate, Error> {
        let codec = Codec { sealing: self.calls.store.sealing(), name: &self.calls.name, clock };
        let refresh = self.context.refresh.as_ref();
        let cooldown = if token.is_none() { codec.seal_cooldown(&self.context.cooldown)? } else { None };
        let ttl = [
            token.map(AccessToken::lifetime),
            refresh.map(|token| token.lifetime().unwrap_or(SESSION)),
            cooldown.is_some().then(|| MEMORY + self.context.cooldown.remaining_at(&self.now()).unwrap_or_default()),
        ];
        Ok(EntryUpdate {
            access: token.map(|token| codec.seal_access(token)).transpose()?,
            refresh: refresh.map(|token| codec.seal_refresh(token)).transpose()?,
            cooldown,
            ttl: ttl.into_iter().flatten().max().unwrap_or_default(),
        })
    }

    fn now(&self) -> Moment {
        self.context.login.clock().now()
    }
}

/// How long a lease lasts: a login's deadline, the store's answers around it, and a quarter more.
fn lease_time(deadline: Duration, timeout: Duration) -> Duration {
    deadline.saturating_add(deadline / 4).saturating_add(timeout.saturating_mul(4)).min(LONGEST_LEASE)
}
