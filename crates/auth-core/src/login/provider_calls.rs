//! The calls of a provider, which is code outside this crate and may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::error::Error;
use crate::error_response::ErrorResponse;
use crate::message::{Request, Response};
use crate::provider::Provider;
use crate::token::RefreshToken;
use crate::token_response::TokenResponse;

/// Calls a provider, and turns a panic into an error.
///
/// A panic is remembered like a refusal, because a provider whose `read_response` panics may have received one.
#[derive(Debug, Clone)]
pub(crate) struct ProviderCalls {
    provider: Arc<dyn Provider>,
    name: &'static str,
}

impl ProviderCalls {
    pub(crate) fn new(provider: Arc<dyn Provider>) -> Self {
        let name = catch_unwind(AssertUnwindSafe(|| provider.name())).unwrap_or("a provider that panics");
        Self { provider, name }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn login_request(&self) -> Result<Request, Error> {
        self.call(|provider| provider.login_request())
    }

    pub(crate) fn refresh_request(&self, token: &RefreshToken) -> Result<Option<Request>, Error> {
        self.call(|provider| provider.refresh_request(token))
    }

    pub(crate) fn api_headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
        self.call(|provider| provider.api_headers())
    }

    pub(crate) fn identity(&self) -> Result<Option<Request>, Error> {
        self.call(|provider| provider.identity())
    }

    pub(crate) fn read_response(&self, response: &Response) -> Result<Result<TokenResponse, ErrorResponse>, Error> {
        self.call(|provider| provider.read_response(response))
    }

    fn call<R>(&self, call: impl FnOnce(&dyn Provider) -> R) -> Result<R, Error> {
        // The provider is only read, and its methods are pure functions, so a panic leaves nothing half done.
        catch_unwind(AssertUnwindSafe(|| call(&*self.provider)))
            .map_err(|_| Error::internal("the provider panicked").with_provider(self.name))
    }
}
