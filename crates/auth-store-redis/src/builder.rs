use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use auth_core::store::{Sealing, SealingKeys};
use auth_core::{Error, NumberOrString, Secret};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo};
use serde::Deserialize;

use crate::link::Link;
use crate::target::{GIVEN_UP, Target};
use crate::{INFO, RedisStore};

const PREFIX: &str = "auth";
const TIMEOUT: Duration = Duration::from_millis(50);
const SHORTEST_PATIENCE: Duration = Duration::from_millis(10);

/// Collects the settings of a [`RedisStore`].
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Builder {
    url: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    ca_file: Option<PathBuf>,
    keys: Option<Secret>,
    keys_file: Option<PathBuf>,
    prefix: Option<String>,
    timeout_ms: Option<NumberOrString>,
    #[cfg(feature = "sentinel")]
    sentinel_master: Option<String>,
    #[cfg(feature = "cluster")]
    #[serde(skip)]
    is_cluster: bool,
    #[serde(skip)]
    is_unsealed: bool,
}

impl Builder {
    /// Reads the settings from the environment; see the [table](crate#settings).
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) naming the variable that cannot be read.
    pub fn from_env() -> Result<Self, Error> {
        INFO.read_env()
    }

    /// Sets where Redis is: `redis://`, `rediss://` (TLS) or `redis+unix://`, with an optional user, password and
    /// database: `rediss://user:password@redis.example.com:6379/0`. RequiredSettings.
    pub fn with_url(mut self, url: impl Into<Secret>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Sets the ACL user, which wins over the URL's.
    pub fn with_username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// Sets the password, which wins over the URL's.
    pub fn with_password(mut self, password: impl Into<Secret>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets the file of the root certificates (PEM) that `rediss://` trusts, in place of the system's.
    pub fn with_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Sets the keys that entries are sealed with, as [`SealingKeys::parse`] reads them. RequiredSettings, here or in a file.
    pub fn with_keys(mut self, keys: impl Into<Secret>) -> Self {
        self.keys = Some(keys.into());
        self
    }

    /// Sets the file that holds the keys.
    pub fn with_keys_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.keys_file = Some(path.into());
        self
    }

    /// Sets what all keys in Redis begin with. Default is `auth`, so that keys are `auth:{…}` and `auth:{…}:lease`.
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Sets how long a login waits for one answer of Redis, from 10 ms to 2 s. Default is 50 ms: raise it where Redis is
    /// farther away than 10 ms.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = Some(NumberOrString::Number(timeout.as_secs_f64() * 1000.0));
        self
    }

    /// Speaks to a Redis Cluster, of which the URL names one node.
    #[cfg(feature = "cluster")]
    pub fn with_cluster(mut self) -> Self {
        self.is_cluster = true;
        self
    }

    /// Speaks to the master of this name, as a sentinel tells it: the URL is the sentinel's, with a user and password
    /// of its own; [`with_username`](Self::with_username) and [`with_password`](Self::with_password) are the servers'.
    #[cfg(feature = "sentinel")]
    pub fn with_sentinel_master(mut self, name: impl Into<String>) -> Self {
        self.sentinel_master = Some(name.into());
        self
    }

    /// Stores tokens as they are.
    ///
    /// Whoever can read Redis, its dumps, its replicas or its traffic then has the tokens, the refresh tokens too, and
    /// can try out passwords against the names of the keys; whoever can write to it can put tokens of their own there.
    pub fn dangerously_unsealed(mut self) -> Self {
        self.is_unsealed = true;
        self
    }

    /// Checks the settings. Connects when it is first asked.
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) naming the setting that is missing or wrong.
    pub fn build(self) -> Result<RedisStore, Error> {
        let mut required = INFO.required();
        let url = required.secret("url", self.url.clone());
        required.check()?;
        let sealing = self.sealing()?;
        let info = Self::connection_info(&url)?;
        let target = self.target(info)?;
        let timeout = self.timeout()?;
        let prefix = self.prefix.unwrap_or_else(|| PREFIX.to_owned());
        // Of a cluster, the first braces say where a key belongs.
        if prefix.contains(['{', '}']) {
            return Err(INFO.invalid_setting("prefix", "must hold no braces"));
        }
        Ok(RedisStore::new(Link::new(target), sealing, prefix, timeout))
    }

    fn sealing(&self) -> Result<Sealing, Error> {
        match (SealingKeys::from_settings(INFO, self.keys.as_ref(), self.keys_file.as_deref())?, self.is_unsealed) {
            (Some(keys), false) => Ok(Sealing::with_keys(keys)),
            (None, true) => Ok(Sealing::plain()),
            (None, false) => {
                let problem = "is missing: tokens are not stored unsealed, unless `dangerously_unsealed` says so";
                Err(INFO.invalid_setting("keys", problem))
            }
            (Some(_), true) => Err(INFO.invalid_setting("keys", "is set although `dangerously_unsealed` is called")),
        }
    }

    fn timeout(&self) -> Result<Duration, Error> {
        let Some(stated) = &self.timeout_ms else {
            return Ok(TIMEOUT);
        };
        let timeout = stated.number().and_then(|number| Duration::try_from_secs_f64(number / 1000.0).ok());
        let timeout = timeout.filter(|timeout| (SHORTEST_PATIENCE..=GIVEN_UP).contains(timeout));
        timeout.ok_or_else(|| INFO.invalid_setting("timeout_ms", "must be between 10 and 2000"))
    }

    fn connection_info(url: &Secret) -> Result<ConnectionInfo, Error> {
        // The parser's own words may repeat a part of it.
        let expected = "must be like `redis://host:6379/0`, `rediss://…` for TLS (feature `tls`) or `redis+unix:///…`";
        let info = url.expose().into_connection_info().map_err(|_| INFO.invalid_setting("url", expected))?;
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        Ok(info.set_tcp_settings(tcp))
    }

    /// The certificates to trust, where they are not for the system to say.
    fn ca(&self, is_tls: bool) -> Result<Option<Vec<u8>>, Error> {
        let Some(path) = &self.ca_file else {
            return Ok(None);
        };
        if !is_tls {
            return Err(INFO.invalid_setting("ca_file", "is of use with a `url` of `rediss://` only"));
        }
        let read = std::fs::read(path);
        read.map(Some).map_err(|error| INFO.invalid_setting("ca_file", "cannot be read").with_cause(&error))
    }

    fn target(&self, info: ConnectionInfo) -> Result<Target, Error> {
        let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        #[cfg(feature = "tls")]
        if is_tls {
            // Where the program has chosen no cryptography, this is the one of auth-core's transport.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let ca = self.ca(is_tls)?;
        #[cfg(all(feature = "cluster", feature = "sentinel"))]
        if self.is_cluster && self.sentinel_master.is_some() {
            return Err(INFO.invalid_setting("sentinel_master", "does not go with a cluster"));
        }
        #[cfg(feature = "sentinel")]
        if let Some(master) = &self.sentinel_master {
            if ca.is_some() {
                return Err(
                    INFO.invalid_setting("ca_file", "does not go with a sentinel: add the certificate to the system's")
                );
            }
            let servers = self.settings(RedisConnectionInfo::default().set_db(info.redis_settings().db()));
            return Target::sentinel(info, master.clone(), servers).map_err(|_| unusable());
        }
        let has_ca = ca.is_some();
        let info = info.clone().set_redis_settings(self.settings(info.redis_settings().clone()));
        #[cfg(feature = "cluster")]
        let target = if self.is_cluster { Target::cluster(info, ca) } else { Target::single(info, ca) };
        #[cfg(not(feature = "cluster"))]
        let target = Target::single(info, ca);
        target.map_err(|_| {
            if has_ca { INFO.invalid_setting("ca_file", "must hold a certificate in PEM") } else { unusable() }
        })
    }

    fn settings(&self, mut settings: RedisConnectionInfo) -> RedisConnectionInfo {
        if let Some(username) = &self.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password.expose());
        }
        settings.set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name()
    }
}

fn unusable() -> Error {
    INFO.invalid_setting("url", "cannot be used for a connection")
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("prefix", &self.prefix)
            .field("timeout_ms", &self.timeout_ms)
            .finish_non_exhaustive()
    }
}
