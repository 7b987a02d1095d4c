use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer};

use super::{Brand, KeyLogin, Revision, Settings};
use crate::error::Error;
use crate::secret::Secret;

/// Collects the settings of a [`KeyLogin`], by hand, from a config file or from the environment.
#[must_use]
pub struct Builder<B> {
    settings: Settings,
    brand: PhantomData<B>,
}

impl<B: Brand> Builder<B> {
    /// Reads the settings from the environment, as [`KeyLogin::from_env`] does, to change some of them.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) naming the variable that cannot be read.
    pub fn from_env() -> Result<Self, Error> {
        B::INFO.read_env().map(Self::new)
    }

    /// Reads the settings from wherever `lookup` finds the value of a field, such as `base_url`.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env), and that of `lookup`.
    pub fn from_settings(lookup: impl Fn(&'static str) -> Result<Option<Secret>, Error>) -> Result<Self, Error> {
        B::INFO.read_settings(lookup).map(Self::new)
    }

    fn new(settings: Settings) -> Self {
        Self { settings, brand: PhantomData }
    }

    /// Sets scheme, host and an optional path prefix: the address that the provider shared with you. RequiredSettings.
    pub fn with_base_url(mut self, base_url: impl Into<String>) -> Self {
        self.settings.base_url = Some(base_url.into());
        self
    }

    /// Sets the path of the login. Default is `/api/v1/authentication/login`.
    pub fn with_login_path(mut self, login_path: impl Into<String>) -> Self {
        self.settings.login_path = Some(login_path.into());
        self
    }

    /// Sets which revision of the login your server speaks. Default is [`Brand::REVISION`].
    pub fn with_revision(mut self, revision: Revision) -> Self {
        self.settings.revision = Some(revision);
        self
    }

    /// Sets the client id: the header `x-client-id`, or `client_key` in a body. RequiredSettings.
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.settings.client_id = Some(client_id.into());
        self
    }

    /// Sets the API key, the header `x-api-key`. RequiredSettings.
    pub fn with_api_key(mut self, api_key: impl Into<Secret>) -> Self {
        self.settings.api_key = Some(api_key.into());
        self
    }

    /// Sets the permissions to ask for, space-separated, such as `r:accounts w:payments`; sent as they are.
    /// RequiredSettings by [`Revision::HeadersAndScope`], optional in [`Revision::Headers`].
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.settings.scope = Some(scope.into());
        self
    }

    /// Sets `client_secret`. RequiredSettings by the two revisions with a body.
    pub fn with_client_secret(mut self, client_secret: impl Into<Secret>) -> Self {
        self.settings.client_secret = Some(client_secret.into());
        self
    }

    /// Sets `email`. RequiredSettings by [`Revision::Body`], optional in [`Revision::BodyAndClientId`].
    pub fn with_email(mut self, email: impl Into<String>) -> Self {
        self.settings.email = Some(email.into());
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) that names every missing setting and its variable, or the
    /// first wrong one: a URL that is not https, a key that no header may hold, a setting that the revision has no place
    /// for.
    pub fn build(self) -> Result<KeyLogin<B>, Error> {
        let login = self.settings.into_login(B::INFO, B::REVISION)?;
        Ok(KeyLogin { login, brand: PhantomData })
    }
}

impl<B> Default for Builder<B> {
    fn default() -> Self {
        Self { settings: Settings::default(), brand: PhantomData }
    }
}

impl<B> Clone for Builder<B> {
    fn clone(&self) -> Self {
        Self { settings: self.settings.clone(), brand: PhantomData }
    }
}

impl<B> fmt::Debug for Builder<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl<'de, B: Brand> Deserialize<'de> for Builder<B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Settings::deserialize(deserializer).map(Self::new)
    }
}
