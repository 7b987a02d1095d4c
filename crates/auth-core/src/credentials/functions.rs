//! Sources that call a closure.

use std::any::type_name;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use super::CredentialSource;
use crate::error::Error;
use crate::provider::Provider;

/// Returns a source that calls `read` before each login.
///
/// `read` runs on a thread of its own, so it may block, for example to read a file or to run a program.
///
/// ```no_run
/// # fn example<P: auth_core::Provider>(from_env: fn() -> Result<P, auth_core::Error>) -> Result<(), auth_core::Error> {
/// # #[cfg(feature = "reqwest")] {
/// use auth_core::{TokenManager, credentials};
///
/// let tokens = TokenManager::new(credentials::from_fn(from_env))?; // such as `Voipex::from_env`
/// # }
/// # Ok(())
/// # }
/// ```
pub fn from_fn<P: Provider>(read: impl Fn() -> Result<P, Error> + Send + Sync + 'static) -> impl CredentialSource {
    FnSource { read: Arc::new(read), running: Mutex::default() }
}

/// Returns a source that calls `read` before each login and awaits its future.
///
/// ```no_run
/// # use auth_core::{Error, Provider};
/// # async fn load_from_vault<P: Provider>() -> Result<P, std::io::Error> { unimplemented!() }
/// # fn example<P: Provider>() -> Result<(), Error> {
/// # #[cfg(feature = "reqwest")] {
/// use auth_core::{TokenManager, credentials};
///
/// let source = credentials::from_async_fn(|| async {
///     load_from_vault::<P>().await.map_err(Error::source_failed)
/// });
/// let tokens = TokenManager::new(source)?;
/// # }
/// # Ok(())
/// # }
/// ```
pub fn from_async_fn<P, F>(read: impl Fn() -> F + Send + Sync + 'static) -> impl CredentialSource
where
    P: Provider,
    F: Future<Output = Result<P, Error>> + Send + 'static,
{
    AsyncFnSource(read)
}

struct FnSource<F> {
    read: Arc<F>,
    running: Mutex<Option<Running>>,
}

/// A call that was started and whose result nobody has received yet.
struct Running {
    call: JoinHandle<Result<Arc<dyn Provider>, Error>>,
    start: Instant,
    /// In a forked child, the call of the parent does not count.
    process: u32,
}

/// A result that nobody received is used until this time after its call. A call may take longer than a renewal waits.
const LONGEST_USE: Duration = Duration::from_secs(60);

impl Running {
    fn is_obsolete(&self) -> bool {
        let is_old = self.call.abort_handle().is_finished() && self.start.elapsed() > LONGEST_USE;
        is_old || self.process != std::process::id()
    }
}

#[async_trait]
impl<P: Provider, F: Fn() -> Result<P, Error> + Send + Sync + 'static> CredentialSource for FnSource<F> {
    async fn provider(&self, _refused: Option<&Error>) -> Result<Arc<dyn Provider>, Error> {
        let mut running = self.running.lock().await;
        // A call that hangs keeps its thread after the login's deadline. The next login waits for the same call and does
        // not take another thread.
        running.take_if(|running| running.is_obsolete());
        let call = &mut running.get_or_insert_with(|| self.start()).call;
        let provider = call.await;
        *running = None;
        match provider {
            Ok(provider) => provider,
            Err(ended) if ended.is_panic() => resume_unwind(ended.into_panic()),
            Err(_) => Err(Error::unavailable("the runtime shut down during a call of the source of the credentials")),
        }
    }
}

impl<P: Provider, F: Fn() -> Result<P, Error> + Send + Sync + 'static> FnSource<F> {
    fn start(&self) -> Running {
        let read = self.read.clone();
        let call = spawn_blocking(move || read().map(|provider| Arc::new(provider) as Arc<dyn Provider>));
        Running { call, start: Instant::now(), process: std::process::id() }
    }
}

struct AsyncFnSource<F>(F);

#[async_trait]
impl<P, C, F> CredentialSource for AsyncFnSource<C>
where
    P: Provider,
    F: Future<Output = Result<P, Error>> + Send + 'static,
    C: Fn() -> F + Send + Sync + 'static,
{
    async fn provider(&self, _refused: Option<&Error>) -> Result<Arc<dyn Provider>, Error> {
        Ok(Arc::new((self.0)().await?))
    }
}

impl<F> fmt::Debug for FnSource<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from_fn({})", type_name::<F>())
    }
}

impl<F> fmt::Debug for AsyncFnSource<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from_async_fn({})", type_name::<F>())
    }
}
