//! Replaces the part of tokio that auth-core uses with shuttle's, and adds a runtime that can shut down at any instant.
#![forbid(unsafe_code)]

pub use shuttle_tokio::{sync, time};

pub mod runtime {
    //! A runtime that can shut down.

    use std::cell::RefCell;
    use std::convert::Infallible;
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::task::{Context, Poll, Waker};

    use shuttle_tokio::sync::oneshot;

    use crate::task::{AbortHandle, JoinHandle};

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
        pub fn current() -> Self {
            CURRENT.with_borrow(Self::clone)
        }

        /// Returns the current runtime.
        pub fn try_current() -> Result<Self, Infallible> {
            Ok(Self::current())
        }

        /// Runs a future until it completes, is aborted, or this runtime shuts down.
        pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
        where
            F: Future<Output: Send> + Send + 'static,
        {
            let (sender, output) = oneshot::channel();
            let abort = AbortHandle::default();
            let task = Task { future: Some(Box::pin(future)), sender: Some(sender), runtime: self.clone(), abort };
            let handle = JoinHandle::new(output, task.abort.clone());
            if !self.is_shut_down(None) {
                drop(shuttle_tokio::runtime::Handle::current().spawn(task));
            }
            handle
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
        shuttle_tokio::time::clear_triggers();
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

    struct Task<F: Future> {
        future: Option<Pin<Box<F>>>,
        sender: Option<oneshot::Sender<F::Output>>,
        runtime: Handle,
        abort: AbortHandle,
    }

    // No field is pinned in place: the future is in a box of its own.
    impl<F: Future> Unpin for Task<F> {}

    impl<F: Future> Future for Task<F> {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            let is_ended = self.runtime.is_shut_down(Some(context.waker())) | self.abort.is_aborted(context.waker());
            let this = &mut *self;
            if let Some(future) = &mut this.future
                && !is_ended
            {
                let Poll::Ready(output) = future.as_mut().poll(context) else { return Poll::Pending };
                if let Some(sender) = this.sender.take() {
                    let _ = sender.send(output);
                }
            }
            Poll::Ready(())
        }
    }

    impl<F: Future> Drop for Task<F> {
        /// The future is dropped before the task counts as finished, as in tokio.
        fn drop(&mut self) {
            self.future = None;
            self.abort.finish();
        }
    }
}

pub mod task {
    //! What a task returns, and how it is ended.

    use std::fmt;
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::task::{Context, Poll, Waker, ready};

    use shuttle_tokio::sync::oneshot;

    /// Ends a task.
    #[derive(Debug, Clone, Default)]
    pub struct AbortHandle(Arc<Mutex<Abort>>);

    #[derive(Debug, Default)]
    struct Abort {
        is_aborted: bool,
        is_finished: bool,
        waker: Option<Waker>,
    }

    impl AbortHandle {
        /// Ends the task at its next step.
        pub fn abort(&self) {
            let waker = {
                let mut abort = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                abort.is_aborted = true;
                abort.waker.take()
            };
            waker.into_iter().for_each(Waker::wake);
        }

        /// Returns whether the task has ended.
        pub fn is_finished(&self) -> bool {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).is_finished
        }

        pub(crate) fn is_aborted(&self, waker: &Waker) -> bool {
            let mut abort = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            abort.waker = Some(waker.clone());
            abort.is_aborted
        }

        pub(crate) fn finish(&self) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).is_finished = true;
        }
    }

    /// Runs a function as a task of the current runtime.
    pub fn spawn_blocking<T, F>(function: F) -> JoinHandle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        crate::runtime::Handle::current().spawn(async move { function() })
    }

    /// Waits for a task.
    #[derive(Debug)]
    pub struct JoinHandle<T> {
        output: oneshot::Receiver<T>,
        abort: AbortHandle,
    }

    impl<T> JoinHandle<T> {
        pub(crate) fn new(output: oneshot::Receiver<T>, abort: AbortHandle) -> Self {
            Self { output, abort }
        }

        /// Returns a handle that ends the task.
        pub fn abort_handle(&self) -> AbortHandle {
            self.abort.clone()
        }
    }

    impl<T> Future for JoinHandle<T> {
        type Output = Result<T, JoinError>;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(ready!(Pin::new(&mut self.output).poll(context)).map_err(|_| JoinError))
        }
    }

    /// The task was ended before it was complete.
    #[derive(Debug)]
    pub struct JoinError;

    impl JoinError {
        /// Returns `false`: a panic ends the whole model.
        pub fn is_panic(&self) -> bool {
            false
        }

        /// Returns nothing useful, because there is never a panic.
        pub fn into_panic(self) -> Box<dyn std::any::Any + Send> {
            Box::new(())
        }
    }

    impl fmt::Display for JoinError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the task was ended")
        }
    }

    impl std::error::Error for JoinError {}
}
