//! Replaces the part of tokio that auth-core uses with shuttle's, and adds a runtime that can shut down at any instant.
#![forbid(unsafe_code)]

pub use shuttle_tokio::{sync, time};

pub mod runtime {
    //! A runtime that can shut down.

    use std::cell::RefCell;
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::task::{Context, Poll, Waker};

    /// Runs tasks until it shuts down.
    #[derive(Debug, Clone, Default)]
    pub struct Handle(Arc<Mutex<Shutdown>>);

    #[derive(Debug, Default)]
    struct Shutdown {
        is_shut_down: bool,
        wakers: Vec<Waker>,
    }

    thread_local! {
        // One thread-local is enough, because shuttle runs every task on one thread.
        static CURRENT: RefCell<Handle> = RefCell::default();
    }

    impl Handle {
        /// Returns the current runtime.
        pub fn try_current() -> Result<Self, std::convert::Infallible> {
            Ok(CURRENT.with_borrow(Self::clone))
        }

        /// Runs a future until it completes or this runtime shuts down.
        pub fn spawn<F>(&self, future: F)
        where
            F: Future<Output: Send> + Send + 'static,
        {
            let task = Task { future: Some(Box::pin(future)), runtime: self.clone() };
            if !self.is_shut_down(None) {
                drop(shuttle_tokio::runtime::Handle::current().spawn(task));
            }
        }

        /// Returns whether the runtime has shut down. The waker is woken when it does.
        fn is_shut_down(&self, waker: Option<&Waker>) -> bool {
            let mut shutdown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            shutdown.wakers.extend(waker.cloned());
            shutdown.is_shut_down
        }
    }

    /// Installs a new runtime, at the start of each run of a model.
    pub fn start() {
        CURRENT.set(Handle::default());
    }

    /// Shuts down the current runtime with all its tasks and installs a new one.
    pub fn replace() {
        let old = CURRENT.replace(Handle::default());
        let wakers = {
            let mut shutdown = old.0.lock().unwrap_or_else(PoisonError::into_inner);
            shutdown.is_shut_down = true;
            std::mem::take(&mut shutdown.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    struct Task<F> {
        future: Option<Pin<Box<F>>>,
        runtime: Handle,
    }

    impl<F: Future> Future for Task<F> {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            let is_shut_down = self.runtime.is_shut_down(Some(context.waker()));
            if let Some(future) = &mut self.future
                && !is_shut_down
                && future.as_mut().poll(context).is_pending()
            {
                return Poll::Pending;
            }
            self.future = None;
            Poll::Ready(())
        }
    }
}
