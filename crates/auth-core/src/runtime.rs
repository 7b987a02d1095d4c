//! The runtime on which logins run. A login never depends on the runtime of a caller.

use std::cell::Cell;

use tokio::runtime::Handle;

use crate::error::Error;

thread_local! {
    static IS_LIBRARY_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Returns `true` on a thread of the library's own runtime.
pub(crate) fn is_library_thread() -> bool {
    IS_LIBRARY_THREAD.get()
}

/// The runtime of a manager's logins.
#[derive(Debug, Clone, Default)]
pub(crate) enum LoginRuntime {
    /// The runtime that all managers of the process share.
    #[default]
    Library,
    /// A runtime of the program.
    Given(Handle),
}

impl LoginRuntime {
    /// Returns a handle. The first call of a process starts the library's own runtime.
    pub(crate) fn handle(&self) -> Result<Handle, Error> {
        match self {
            Self::Library => library::handle(),
            Self::Given(handle) => Ok(handle.clone()),
        }
    }
}

#[cfg(shuttle)]
mod library {
    use tokio::runtime::Handle;

    use crate::error::Error;

    pub(super) fn handle() -> Result<Handle, Error> {
        Ok(Handle::current())
    }
}

#[cfg(not(shuttle))]
mod library {
    use std::mem;
    use std::sync::{Mutex, PoisonError, mpsc};
    use std::thread;

    use tokio::runtime::{Builder, Handle, Runtime};

    use super::IS_LIBRARY_THREAD;
    use crate::error::Error;

    /// Two, because a transport that blocks one thread must not stop the logins of other accounts, nor the deadlines.
    const WORKERS: usize = 2;

    const THREAD_NAME: &str = "auth-login";

    /// The runtime, and the process that started it. It is never dropped: when the process ends, the operating system
    /// ends its threads.
    static RUNTIME: Mutex<Option<(u32, Runtime)>> = Mutex::new(None);

    pub(super) fn handle() -> Result<Handle, Error> {
        let process = std::process::id();
        let mut current = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((started_by, runtime)) = &*current
            && *started_by == process
        {
            return Ok(runtime.handle().clone());
        }
        let runtime = start()?;
        let handle = runtime.handle().clone();
        // After a fork, the runtime of the parent has no threads here, and dropping it would wait for them forever.
        mem::forget(current.replace((process, runtime)));
        Ok(handle)
    }

    fn start() -> Result<Runtime, Error> {
        check_threads().map_err(|error| no_threads(&error))?;
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(WORKERS).thread_name(THREAD_NAME).enable_all();
        builder.on_thread_start(|| IS_LIBRARY_THREAD.set(true));
        builder.build().map_err(|error| no_threads(&error))
    }

    /// Starts and ends as many threads as the runtime needs. If the system has no more threads, tokio would panic.
    fn check_threads() -> std::io::Result<()> {
        let mut keep_alive = Vec::new();
        for _ in 0..WORKERS {
            let (sender, receiver) = mpsc::channel::<()>();
            thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || receiver.recv())?;
            keep_alive.push(sender);
        }
        Ok(())
    }

    fn no_threads(error: &std::io::Error) -> Error {
        Error::unreachable("the threads for logins cannot be started").with_cause(error)
    }
}
