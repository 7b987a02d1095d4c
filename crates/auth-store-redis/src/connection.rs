//! The shared connection to Redis. It is opened for the first call, and again after it was lost.

use std::sync::{Mutex, MutexGuard, PoisonError};

use auth_core::Error;
use redis::{ErrorKind, FromRedisValue, RedisError, RedisFuture, RedisResult, ScriptInvocation, ServerErrorKind};

use crate::client::{RedisClient, RedisConnection};

/// One connection for all users of a store.
pub(crate) struct SharedConnection {
    client: RedisClient,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    connection: Option<RedisConnection>,
    /// Counts the connections. A call that failed on an old connection must not drop the new connection that another
    /// call has opened since.
    generation: u64,
}

impl SharedConnection {
    pub(crate) fn new(client: RedisClient) -> Self {
        Self { client, current: Mutex::default() }
    }

    /// Returns the time by Redis's clock, in microseconds since 1970.
    pub(crate) async fn time(&self) -> Result<u64, Error> {
        let (seconds, micros): (u64, u64) = self
            .call_with_retry(|mut connection| {
                Box::pin(async move { redis::cmd("TIME").query_async(&mut connection).await })
            })
            .await?;
        Ok(seconds * 1_000_000 + micros)
    }

    /// Runs a script. If the connection was lost, runs it once more over a new connection.
    ///
    /// The server may have run the script the first time, and only the reply was lost. So a second run must do no harm.
    pub(crate) async fn run<R: FromRedisValue + Send>(&self, script: &ScriptInvocation<'_>) -> Result<R, Error> {
        self.call_with_retry(|connection| invoke(script, connection)).await
    }

    /// Runs a script at most once.
    pub(crate) async fn run_once<R: FromRedisValue + Send>(&self, script: &ScriptInvocation<'_>) -> Result<R, Error> {
        self.call(&|connection| invoke(script, connection)).await.map_err(|(error, _)| unavailable(&error))
    }

    async fn call_with_retry<'a, R>(&self, send: impl Fn(RedisConnection) -> RedisFuture<'a, R>) -> Result<R, Error> {
        match self.call(&send).await {
            // An idle connection may have been closed by a firewall or a restart. If a new one is lost at once, the
            // server itself fails, and a second attempt would only cost time.
            Err((error, is_new)) if !is_new && is_lost(&error) => {
                self.call(&send).await.map_err(|(error, _)| unavailable(&error))
            }
            result => result.map_err(|(error, _)| unavailable(&error)),
        }
    }

    /// Sends one call. After any error, the connection is dropped, because it may be the cause.
    ///
    /// An error comes with `true` if the connection was opened for this call.
    async fn call<'a, R>(
        &self,
        send: &impl Fn(RedisConnection) -> RedisFuture<'a, R>,
    ) -> Result<R, (RedisError, bool)> {
        let (connection, generation, is_new) = self.connection().await.map_err(|error| (error, true))?;
        let result = send(connection).await;
        if result.is_err() {
            let mut current = self.current();
            if current.generation == generation {
                current.connection = None;
            }
        }
        result.map_err(|error| (error, is_new))
    }

    /// Returns the connection, its generation, and `true` if it was opened just now.
    async fn connection(&self) -> RedisResult<(RedisConnection, u64, bool)> {
        if let Current { connection: Some(connection), generation } = &*self.current() {
            return Ok((connection.clone(), *generation, false));
        }
        // The lock is not held while connecting, so two calls may connect at the same time. The later connection is
        // kept.
        let connection = self.client.connect().await?;
        let mut current = self.current();
        current.generation += 1;
        current.connection = Some(connection.clone());
        Ok((connection, current.generation, true))
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn invoke<'a, R: FromRedisValue + Send + 'a>(
    script: &'a ScriptInvocation<'_>,
    mut connection: RedisConnection,
) -> RedisFuture<'a, R> {
    Box::pin(async move { script.invoke_async(&mut connection).await })
}

/// Returns `true` if the connection is lost, or if its server is no longer the master after a failover.
fn is_lost(error: &RedisError) -> bool {
    error.is_connection_dropped() || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// Converts an error without the text of the server, which may quote a command and its secrets. The error code is kept.
fn unavailable(error: &RedisError) -> Error {
    let problem = if error.is_timeout() {
        "redis did not respond in time"
    } else if error.is_io_error() {
        "redis cannot be reached"
    } else {
        "redis returned an error"
    };
    let unavailable = Error::unavailable(problem);
    if error.is_io_error() {
        return unavailable.with_cause(error);
    }
    let code = error.code().unwrap_or_else(|| error.category()).to_owned();
    unavailable.with_cause(&std::io::Error::other(code))
}
