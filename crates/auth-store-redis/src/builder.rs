//! The builder: reads and checks the settings.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use auth_core::store::{Sealing, SealingKeys};
use auth_core::{Error, NumberOrString, Secret};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo};
use serde::Deserialize;

use crate::client::{CONNECTION_TIMEOUT, RedisClient};
use crate::connection::SharedConnection;
use crate::{INFO, RedisStore};

const PREFIX: &str = "auth";
const TIMEOUT: Duration = Duration::from_millis(250);
const MIN_TIMEOUT: Duration = Duration::from_millis(10);

/// Collects the settings of a [`RedisStore`].
///
/// ```
/// use auth_store_redis::RedisStore;
///
/// let store = RedisStore::builder()
///     .with_url("redis://127.0.0.1:6379/0")
///     .with_keys("1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
///     .build()?;
/// # Ok::<(), auth_store_redis::core::Error>(())
/// ```
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
    /// Reads the settings from the environment variables of the [table](crate#settings).
    ///
    /// ```no_run
    /// use auth_store_redis::Builder;
    ///
    /// let store = Builder::from_env()?.with_prefix("billing").build()?;
    /// # Ok::<(), auth_store_redis::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if a variable cannot be read. The error names the
    /// variable.
    pub fn from_env() -> Result<Self, Error> {
        INFO.read_env()
    }

    /// Sets the URL of Redis, with an optional user, password and database. Required.
    ///
    /// The scheme is `redis://`, `rediss://` (TLS) or `redis+unix://`.
    ///
    /// ```
    /// let builder = auth_store_redis::RedisStore::builder()
    ///     .with_url("rediss://user:password@redis.example.com:6379/0");
    /// ```
    pub fn with_url(mut self, url: impl Into<Secret>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Sets the ACL user, in place of the one in the URL.
    ///
    /// ```
    /// let builder = auth_store_redis::RedisStore::builder().with_username("auth");
    /// ```
    pub fn with_username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// Sets the password, in place of the one in the URL.
    ///
    /// ```
    /// let builder = auth_store_redis::RedisStore::builder().with_password("not a real one");
    /// ```
    pub fn with_password(mut self, password: impl Into<Secret>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets a file with the root certificates (PEM) that `rediss://` trusts, in place of the system's.
    ///
    /// ```
    /// let builder = auth_store_redis::RedisStore::builder().with_ca_file("/etc/ssl/redis-ca.pem");
    /// ```
    pub fn with_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Sets the keys that seal the entries, in the format of [`SealingKeys::parse`].
    ///
    /// Required, unless [`with_keys_file`](Self::with_keys_file) or
    /// [`dangerously_unsealed`](Self::dangerously_unsealed) is called.
    ///
    /// ```
    /// let builder = auth_store_redis::RedisStore::builder()
    ///     .with_keys("1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    /// ```
    pub fn with_keys(mut self, keys: impl Into<Secret>) -> Self {
        self.keys = Some(keys.into());
        self
    }

    /// Sets a file with the keys, in place of [`with_keys`](Self::with_keys).
    ///
    /// ```
    /// let builder = auth_store_redis::RedisStore::builder().with_keys_file("/run/secrets/auth-keys");
    /// ```
    pub fn with_keys_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.keys_file = Some(path.into());
        self
    }

    /// Sets the prefix of all keys in Redis, without braces. The default is `auth`.
    ///
    /// The keys of an entry are `auth:v2:{NAME}` and `auth:v2:{NAME}:lease`.
    ///
    /// ```
    /// let builder = auth_store_redis::RedisStore::builder().with_prefix("billing");
    /// ```
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Sets how long a login waits for one reply of Redis, from 10 ms to 2 s. The default is 250 ms.
    ///
    /// Raise it if a round trip to Redis takes more than 10 ms.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = auth_store_redis::RedisStore::builder().with_timeout(Duration::from_millis(200));
    /// ```
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = Some(NumberOrString::Number(timeout.as_secs_f64() * 1000.0));
        self
    }

    /// Connects to a Redis Cluster. The URL is the address of any one of its nodes.
    ///
    /// ```
    /// let builder = auth_store_redis::RedisStore::builder().with_url("redis://node-1:6379").with_cluster();
    /// ```
    #[cfg(feature = "cluster")]
    pub fn with_cluster(mut self) -> Self {
        self.is_cluster = true;
        self
    }

    /// Asks a sentinel for the master with this name, and connects to that master.
    ///
    /// The URL is the address of the sentinel, and its user and password are those of the sentinel.
    /// [`with_username`](Self::with_username) and [`with_password`](Self::with_password) set those of the master.
    ///
    /// ```
    /// let builder = auth_store_redis::RedisStore::builder()
    ///     .with_url("redis://sentinel-1:26379")
    ///     .with_sentinel_master("mymaster");
    /// ```
    #[cfg(feature = "sentinel")]
    pub fn with_sentinel_master(mut self, name: impl Into<String>) -> Self {
        self.sentinel_master = Some(name.into());
        self
    }

    /// Stores tokens as plain text, which is dangerous.
    ///
    /// Anyone who can read Redis, its dumps, its replicas or its traffic then has the access and refresh tokens, and
    /// can test guessed passwords against the names of the keys. Anyone who can write to Redis can replace your tokens
    /// with others.
    ///
    /// ```
    /// use auth_store_redis::RedisStore;
    ///
    /// let store = RedisStore::builder().with_url("redis://127.0.0.1/0").dangerously_unsealed().build()?;
    /// # Ok::<(), auth_store_redis::core::Error>(())
    /// ```
    pub fn dangerously_unsealed(mut self) -> Self {
        self.is_unsealed = true;
        self
    }

    /// Checks the settings and builds the store. The store connects to Redis at its first call.
    ///
    /// ```
    /// use auth_store_redis::RedisStore;
    ///
    /// # fn example() -> Result<(), auth_store_redis::core::Error> {
    /// let store = RedisStore::builder()
    ///     .with_url("redis://127.0.0.1/0")
    ///     .with_keys_file("/run/secrets/auth-keys")
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if a setting is missing or wrong. The error names the
    /// setting.
    pub fn build(self) -> Result<RedisStore, Error> {
        let mut required = INFO.required();
        let url = required.secret("url", self.url.clone());
        required.check()?;
        let sealing = self.sealing()?;
        let info = Self::connection_info(&url)?;
        let client = self.client(info)?;
        let timeout = self.timeout()?;
        let prefix = self.prefix.unwrap_or_else(|| PREFIX.to_owned());
        // A cluster chooses the node by the text in the first braces of a key. Braces in the prefix would move all
        // entries to one node.
        if prefix.contains(['{', '}']) {
            return Err(INFO.invalid_setting("prefix", "must contain no braces"));
        }
        Ok(RedisStore::new(SharedConnection::new(client), sealing, prefix, timeout))
    }

    fn sealing(&self) -> Result<Sealing, Error> {
        match (SealingKeys::from_settings(INFO, self.keys.as_ref(), self.keys_file.as_deref())?, self.is_unsealed) {
            (Some(keys), false) => Ok(Sealing::with_keys(keys)),
            (None, true) => Ok(Sealing::plain()),
            (None, false) => {
                let problem = "is missing: set `keys` or `keys_file`, or call `dangerously_unsealed` to store tokens \
                               as plain text";
                Err(INFO.invalid_setting("keys", problem))
            }
            (Some(_), true) => {
                Err(INFO
                    .invalid_setting("keys", "is set, but `dangerously_unsealed` was called too: remove one of them"))
            }
        }
    }

    fn timeout(&self) -> Result<Duration, Error> {
        let Some(milliseconds) = &self.timeout_ms else {
            return Ok(TIMEOUT);
        };
        let timeout = milliseconds.number().and_then(|number| Duration::try_from_secs_f64(number / 1000.0).ok());
        let timeout = timeout.filter(|timeout| (MIN_TIMEOUT..=CONNECTION_TIMEOUT).contains(timeout));
        timeout.ok_or_else(|| INFO.invalid_setting("timeout_ms", "must be between 10 and 2000 milliseconds"))
    }

    fn connection_info(url: &Secret) -> Result<ConnectionInfo, Error> {
        // The error of the parser may quote a part of the URL, such as the password, so it is not shown.
        let expected = "must be like `redis://host:6379/0`, `rediss://…` for TLS (feature `tls`) or `redis+unix:///…`";
        let info = url.expose().into_connection_info().map_err(|_| INFO.invalid_setting("url", expected))?;
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        Ok(info.set_tcp_settings(tcp))
    }

    /// Reads the root certificates that replace the system's, if there are any.
    fn ca(&self, is_tls: bool) -> Result<Option<Vec<u8>>, Error> {
        let Some(path) = &self.ca_file else {
            return Ok(None);
        };
        if !is_tls {
            return Err(INFO.invalid_setting("ca_file", "needs a `url` that starts with `rediss://`"));
        }
        let pem = std::fs::read(path)
            .map_err(|error| INFO.invalid_setting("ca_file", "names a file that cannot be read").with_cause(&error))?;
        Ok(Some(pem))
    }

    fn client(&self, info: ConnectionInfo) -> Result<RedisClient, Error> {
        let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        #[cfg(feature = "tls")]
        if is_tls {
            // rustls needs a process-wide cryptography provider. If the program has none, this installs the same one as
            // auth-core's transport. An error means that there is one already.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let ca = self.ca(is_tls)?;
        #[cfg(all(feature = "cluster", feature = "sentinel"))]
        if self.is_cluster && self.sentinel_master.is_some() {
            return Err(INFO.invalid_setting("sentinel_master", "cannot be combined with `with_cluster`"));
        }
        #[cfg(feature = "sentinel")]
        if let Some(master) = &self.sentinel_master {
            if ca.is_some() {
                return Err(INFO.invalid_setting(
                    "ca_file",
                    "cannot be combined with a sentinel: add the certificate to the system's",
                ));
            }
            let servers = self.settings(RedisConnectionInfo::default().set_db(info.redis_settings().db()));
            return RedisClient::sentinel(info, master.clone(), servers).map_err(|_| unusable());
        }
        let has_ca = ca.is_some();
        let info = info.clone().set_redis_settings(self.settings(info.redis_settings().clone()));
        #[cfg(feature = "cluster")]
        let client = if self.is_cluster { RedisClient::cluster(info, ca) } else { RedisClient::single(info, ca) };
        #[cfg(not(feature = "cluster"))]
        let client = RedisClient::single(info, ca);
        client.map_err(|_| {
            if has_ca {
                INFO.invalid_setting("ca_file", "must contain a certificate in PEM format")
            } else {
                unusable()
            }
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
