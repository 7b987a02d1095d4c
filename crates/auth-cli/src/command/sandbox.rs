//! `auth sandbox`: the four login APIs in the foreground.

use std::io::Write;
use std::time::Duration;

use auth_all::core::Body;
use auth_sandbox::{Api, Sandbox};
use shell_quote::Sh;

use crate::args::SandboxArgs;
use crate::failure::{Failure, Result};
use crate::output;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

pub(crate) async fn run(args: SandboxArgs) -> Result<()> {
    let sandbox = Sandbox::start_on(args.port);
    let sandbox = sandbox.map_err(|error| Failure::other(format!("127.0.0.1:{}: {error}", args.port)))?;
    if let Some(ttl) = args.ttl {
        if !(Duration::from_secs(1)..=YEAR).contains(&ttl) || ttl.subsec_nanos() != 0 {
            return Err(Failure::usage("--ttl is in whole seconds, from 1s to 365days"));
        }
        Api::ALL.into_iter().for_each(|api| sandbox.set_lifetime(api, ttl));
    }
    for fault in args.faults {
        sandbox.fail_always(fault.api, fault.fault);
    }
    output::write(&exports(&sandbox)?)?;
    stopped().await
}

fn exports(sandbox: &Sandbox) -> Result<Body> {
    let mut out = Body::with_capacity(4096);
    for (name, value) in sandbox.env() {
        let quoted = Sh::quote_vec(&value);
        writeln!(out, "export {name}={}", String::from_utf8_lossy(&quoted))
            .map_err(|error| Failure::other(error.to_string()))?;
    }
    Ok(out)
}

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
