//! The connection to Redis: made when it is first needed, made anew when it is lost.

use std::sync::{Mutex, MutexGuard, PoisonError};

use auth_core::Error;
use redis::{ErrorKind, FromRedisValue, RedisError, RedisFuture, RedisResult, ScriptInvocation, ServerErrorKind};

use crate::target::{Connection, Target};

/// Holds one connection, shared by all who use this store.
pub(crate) struct Link {
    target: Target,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    connection: Option<Connection>,
    /// Counts the connections, so that one who lost the last does not drop the next.
    generation: u64,
}

impl Link {
    pub(crate) fn new(target: Target) -> Self {
        Self { target, current: Mutex::default() }
    }

    /// What Redis's clock shows, in microseconds.
    pub(crate) async fn time(&self) -> Result<u64, Error> {
        let (seconds, micros): (u64, u64) = self
            .query(|mut connection| Box::pin(async move { redis::cmd("TIME").query_async(&mut connection).await }))
            .await?;
        Ok(seconds * 1_000_000 + micros)
    }

    /// Runs a script, and once more over a new connection where the old one is lost: it may have been run before.
    pub(crate) async fn run<R: FromRedisValue + Send>(&self, script: &ScriptInvocation<'_>) -> Result<R, Error> {
        self.query(|mut connection| Box::pin(async move { script.invoke_async(&mut connection).await })).await
    }

    /// Runs a script once at most.
    pub(crate) async fn run_once<R: FromRedisValue + Send>(&self, script: &ScriptInvocation<'_>) -> Result<R, Error> {
        let ask = |mut connection| -> RedisFuture<'_, R> {
            Box::pin(async move { script.invoke_async(&mut connection).await })
        };
        self.ask(&ask).await.map_err(|(error, _)| explain(&error))
    }

    async fn query<'a, R>(&self, ask: impl Fn(Connection) -> RedisFuture<'a, R>) -> Result<R, Error> {
        match self.ask(&ask).await {
            // Only an old connection can be lost without a fault of the server.
            Err((error, is_new)) if !is_new && is_lost(&error) => {
                self.ask(&ask).await.map_err(|(error, _)| explain(&error))
            }
            answer => answer.map_err(|(error, _)| explain(&error)),
        }
    }

    /// Asks over the connection. After an error it is not used again: it may be what is wrong. Tells whether it was new.
    async fn ask<'a, R>(&self, ask: &impl Fn(Connection) -> RedisFuture<'a, R>) -> Result<R, (RedisError, bool)> {
        let (connection, generation, is_new) = self.connection().await.map_err(|error| (error, true))?;
        let answer = ask(connection).await;
        if answer.is_err() {
            let mut current = self.current();
            if current.generation == generation {
                current.connection = None;
            }
        }
        answer.map_err(|error| (error, is_new))
    }

    async fn connection(&self) -> RedisResult<(Connection, u64, bool)> {
        if let Current { connection: Some(connection), generation } = &*self.current() {
            return Ok((connection.clone(), *generation, false));
        }
        let connection = self.target.connect().await?;
        let mut current = self.current();
        current.generation += 1;
        current.connection = Some(connection.clone());
        Ok((connection, current.generation, true))
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection is lost, or its server is master no more.
fn is_lost(error: &RedisError) -> bool {
    error.is_connection_dropped() || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// What Redis itself wrote is not shown, for it may repeat what was sent: of it only the code remains.
fn explain(error: &RedisError) -> Error {
    let what = if error.is_timeout() {
        "redis did not answer"
    } else if error.is_io_error() {
        "redis cannot be reached"
    } else {
        "redis answered with an error"
    };
    let unavailable = Error::unavailable(what);
    if error.is_io_error() {
        return unavailable.with_cause(error);
    }
    let code = error.code().unwrap_or_else(|| error.category()).to_owned();
    unavailable.with_cause(&std::io::Error::other(code))
}
