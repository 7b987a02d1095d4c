//! The end of a server in the foreground.

use crate::failure::{Failure, Result};

/// Waits for Ctrl-C, or for SIGTERM.
pub(crate) async fn stopped() -> Result<()> {
    let fault = |error| Failure::other(format!("no signals: {error}"));
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut term = signal(SignalKind::terminate()).map_err(fault)?;
        tokio::select! {
            _ = term.recv() => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(fault),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map_err(fault)
}
