//! The signals that stop a server in the foreground.

use std::io;

use crate::error::{CliError, Result};

/// Waits for Ctrl-C or SIGTERM.
pub(crate) async fn stop_requested() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut term = signal(SignalKind::terminate()).map_err(signal_error)?;
        tokio::select! {
            _ = term.recv() => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(signal_error),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map_err(signal_error)
}

fn signal_error(error: io::Error) -> CliError {
    CliError::other(format!("cannot wait for signals: {error}"))
}
