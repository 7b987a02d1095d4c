//! What auth-core uses of tokio, over shuttle's, with a runtime that can go down at any instant.
#![forbid(unsafe_code)]

pub use shuttle_tokio::{sync, time};

pub mod runtime {
    //! The runtime.

    use std::cell::RefCell;
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::task::{Context, Poll, Waker};

    /// Runs tasks until it goes down.
    #[derive(Debug, Clone, Default)]
    pub struct Handle(Arc<Mutex<Down>>);

    #[derive(Debug, Default)]
    struct Down {
        is_down: bool,
        wakers: Vec<Waker>,
    }

    thread_local! {
        // One for all: shuttle runs every task on one thread.
        static CURRENT: RefCell<Handle> = RefCell::default();
    }

    impl Handle {
        /// The current runtime.
        pub fn try_current() -> Result<Self, std::convert::Infallible> {
            Ok(CURRENT.with_borrow(Self::clone))
        }

        /// Runs a future until it is done, or this runtime has gone down.
        pub fn spawn<F>(&self, future: F)
        where
            F: Future<Output: Send> + Send + 'static,
        {
            let task = Task { future: Some(Box::pin(future)), runtime: self.clone() };
            if !self.is_down(None) {
                drop(shuttle_tokio::runtime::Handle::current().spawn(task));
            }
        }

        fn is_down(&self, waker: Option<&Waker>) -> bool {
            let mut down = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            down.wakers.extend(waker.cloned());
            down.is_down
        }
    }

    /// Begins anew, as each run of a model does.
    pub fn start() {
        CURRENT.set(Handle::default());
    }

    /// Takes the current runtime down, with all its tasks, and begins another.
    pub fn replace() {
        let old = CURRENT.replace(Handle::default());
        let wakers = {
            let mut down = old.0.lock().unwrap_or_else(PoisonError::into_inner);
            down.is_down = true;
            std::mem::take(&mut down.wakers)
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
            let is_down = self.runtime.is_down(Some(context.waker()));
            if let Some(future) = &mut self.future
                && !is_down
                && future.as_mut().poll(context).is_pending()
            {
                return Poll::Pending;
            }
            self.future = None;
            Poll::Ready(())
        }
    }
}
