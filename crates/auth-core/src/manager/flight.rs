//! One login under way, on its own.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::{Held, Shared, State};
use crate::error::Error;
use crate::freshness::{Freshness, Term};
use crate::provider::Provider;
use crate::token::{AccessToken, RefreshToken, Token};
use crate::transport::Transport;

/// Says why a login was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// There was no token yet, or it was rejected.
    Cold,
    /// The token is past its refresh point.
    Stale,
    /// The token's end is too near.
    Expired,
    /// A caller wants more validity than is left.
    Manual,
}

type Outcome = Result<AccessToken, Error>;

/// Where the result of a flight will be; nothing ever comes where its runtime is gone.
pub(super) type Flight = watch::Receiver<Option<Outcome>>;

impl<P: Provider, T: Transport> Shared<P, T> {
    /// Waits for a token, by the flight that is under way or a new one, unless the current token `is_enough`.
    pub(super) async fn renewed(self: Arc<Self>, is_enough: fn(Freshness) -> bool, reason: Reason) -> Outcome {
        loop {
            let mut flight = {
                let mut state = self.lock();
                // Another flight may have landed since the caller looked.
                if let Some((token, freshness)) = self.look()
                    && is_enough(freshness)
                {
                    return Ok(token);
                }
                self.join(&mut state, reason)?
            };
            if let Ok(outcome) = flight.wait_for(Option::is_some).await
                && let Some(outcome) = outcome.clone()
            {
                return outcome;
            }
        }
    }

    /// Begins a flight that nobody waits for, where none is under way and nothing stops it.
    pub(super) fn renew_behind(self: &Arc<Self>) {
        // Whatever stops it, the caller has a usable token.
        let _ = self.join(&mut self.lock(), Reason::Stale);
    }

    fn join(self: &Arc<Self>, state: &mut State<P, T>, reason: Reason) -> Result<Flight, Error> {
        if let Some(flight) = &state.flight {
            return Ok(flight.clone());
        }
        if let Some(error) = state.setback.stops(&self.clock.now()) {
            return Err(error);
        }
        let no_runtime = |_| Error::misconfigured("runtime", "is missing: wait for a token inside a tokio runtime");
        let runtime = Handle::try_current().map_err(no_runtime)?;
        let (sender, flight) = watch::channel(None);
        let pilot = Pilot { shared: self.clone(), sender };
        state.flight = Some(flight.clone());
        let _ = reason;
        runtime.spawn(pilot.fly());
        Ok(flight)
    }
}

/// Flies one flight; whatever ends it, the next caller can begin another.
struct Pilot<P: Provider, T: Transport> {
    shared: Arc<Shared<P, T>>,
    sender: watch::Sender<Option<Outcome>>,
}

impl<P: Provider, T: Transport> Pilot<P, T> {
    async fn fly(self) {
        loop {
            let (login, mut refresh, failures, epoch) = {
                let mut state = self.shared.lock();
                (state.login.clone(), state.refresh.take(), state.setback.failures(), state.epoch)
            };
            let (attempts, result) = login.run(&mut refresh, failures).await;
            if let Some(outcome) = self.land(result, attempts, refresh, epoch) {
                self.sender.send_replace(Some(outcome));
                return;
            }
        }
    }

    /// Keeps what the login gave; nothing where it must be done again.
    fn land(
        &self,
        result: Result<Token, Error>,
        attempts: u32,
        refresh: Option<RefreshToken>,
        epoch: u64,
    ) -> Option<Outcome> {
        let mut state = self.shared.lock();
        let rejected = state.rejected.take();
        if state.epoch != epoch {
            return None;
        }
        if let (Ok(token), Some(rejected)) = (&result, rejected)
            && token.access.expose() == rejected.expose()
        {
            state.refresh = token.refresh.clone();
            return None;
        }
        let outcome = match result {
            Ok(token) => self.keep(&mut state, token),
            Err(error) => {
                state.refresh = refresh;
                Err(error)
            }
        };
        if let Err(error) = &outcome {
            state.setback.failed(error, attempts, self.shared.clock.now(), fastrand::f64());
        }
        state.flight = None;
        Some(outcome)
    }

    fn keep(&self, state: &mut State<P, T>, token: Token) -> Outcome {
        state.refresh = token.refresh;
        let term = Term::draw(token.access.issued(), token.access.lifetime(), fastrand::f64());
        if term.at(&self.shared.clock.now()) == Freshness::Expired {
            return Err(Error::malformed("the token ended before it arrived"));
        }
        state.setback.succeeded();
        state.generation += 1;
        let access = token.access.numbered(state.generation);
        self.shared.current.store(Some(Arc::new(Held { token: access.clone(), term })));
        self.shared.changes.send_replace(Some(access.clone()));
        Ok(access)
    }
}

impl<P: Provider, T: Transport> Drop for Pilot<P, T> {
    /// A panic is an error to those who wait; a runtime that is gone lets them begin anew.
    fn drop(&mut self) {
        if self.sender.borrow().is_some() {
            return;
        }
        self.shared.lock().flight = None;
        if std::thread::panicking() {
            self.sender.send_replace(Some(Err(Error::internal("the provider or the transport panicked"))));
        }
    }
}
