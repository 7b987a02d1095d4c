//! What the managers of a pool have in common, and a manager that is built alone has for itself.

use std::sync::{Arc, OnceLock};

#[cfg(shuttle)]
use shuttle::sync::Mutex;
#[cfg(not(shuttle))]
use std::sync::Mutex;

use super::TokenManager;
use super::state::{Shared, State};
use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::login::Login;
use crate::login::provider_calls::ProviderCalls;
use crate::meter::Meter;
use crate::name::Name;
use crate::policy::Policy;
use crate::provider::Provider;
use crate::renew::Renew;
use crate::runtime::LoginRuntime;
#[cfg(feature = "store")]
use crate::shared_login::SharedLogin;
use crate::slot::Slot;
#[cfg(feature = "store")]
use crate::store::TokenStore;
use crate::transport::Transport;

#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) transport: Option<Arc<dyn Transport>>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) runtime: LoginRuntime,
    #[cfg(feature = "store")]
    pub(crate) store: Option<Arc<dyn TokenStore>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            transport: None,
            policy: Arc::default(),
            clock: Arc::new(SystemClock),
            runtime: LoginRuntime::default(),
            #[cfg(feature = "store")]
            store: None,
        }
    }
}

impl Options {
    /// Builds a manager without a token.
    pub(crate) fn manager(&self, provider: Arc<dyn Provider>, label: Option<Arc<str>>) -> Result<TokenManager, Error> {
        let provider = ProviderCalls::new(provider);
        let name = Name { provider: provider.name(), label };
        let transport = match &self.transport {
            Some(transport) => transport.clone(),
            None => default_transport(&provider)?,
        };
        let (clock, policy) = (self.clock.clone(), self.policy.clone());
        let login = Login { provider, transport, clock: clock.clone(), policy: policy.clone(), name: name.clone() };
        Ok(TokenManager(Arc::new(Shared {
            clock,
            current: Slot::default(),
            changes: OnceLock::new(),
            meter: Meter::new(name.provider),
            state: Mutex::new(State::new(self.renewer(login))),
            name,
            policy,
            runtime: self.runtime.clone(),
        })))
    }

    fn renewer(&self, login: Login) -> Arc<dyn Renew> {
        #[cfg(feature = "store")]
        if let Some(store) = &self.store {
            return Arc::new(SharedLogin::new(login, store.clone()));
        }
        Arc::new(login)
    }
}

#[cfg(feature = "reqwest")]
fn default_transport(provider: &ProviderCalls) -> Result<Arc<dyn Transport>, Error> {
    let transport = crate::transport::reqwest::ReqwestTransport::shared();
    transport.prepare(provider.login_request()?.uri())?;
    Ok(Arc::new(transport.clone()))
}

#[cfg(not(feature = "reqwest"))]
fn default_transport(provider: &ProviderCalls) -> Result<Arc<dyn Transport>, Error> {
    let problem = "is missing: call `with_transport`, or enable the feature `reqwest`";
    Err(Error::misconfigured("transport", problem).with_provider(provider.name()))
}
