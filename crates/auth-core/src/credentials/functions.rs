//! Sources that call a closure.

use std::any::type_name;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;

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
    FnSource { read: Arc::new(read), running: Arc::default() }
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
    /// The process of the call under way, or 0. In a forked child, the call of the parent does not count.
    running: Arc<AtomicU32>,
}

#[async_trait]
impl<P: Provider, F: Fn() -> Result<P, Error> + Send + Sync + 'static> CredentialSource for FnSource<F> {
    async fn provider(&self, _refused: Option<&Error>) -> Result<Arc<dyn Provider>, Error> {
        // A call that hangs keeps its thread after the login's deadline. The next login must not take another one.
        let Some(running) = Running::start(&self.running) else {
            return Err(Error::unavailable("the last call of the source of the credentials has not returned yet"));
        };
        let read = self.read.clone();
        let call = tokio::task::spawn_blocking(move || {
            let _running = running;
            read()
        });
        match call.await {
            Ok(provider) => Ok(Arc::new(provider?)),
            Err(ended) if ended.is_panic() => resume_unwind(ended.into_panic()),
            Err(_) => Err(Error::unavailable("the runtime shut down during a call of the source of the credentials")),
        }
    }
}

/// A call under way. It ends when it is dropped, even by a panic.
struct Running(Arc<AtomicU32>);

impl Running {
    fn start(running: &Arc<AtomicU32>) -> Option<Self> {
        let process = std::process::id();
        (running.swap(process, Ordering::AcqRel) != process).then(|| Self(running.clone()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
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
