//! `auth sandbox`: serves the four login APIs in the foreground.

use auth_sandbox::{Api, Sandbox};
use shell_quote::Sh;

use crate::args::SandboxArgs;
use crate::error::{CliError, Result};
use crate::output;
use crate::signal::stop_requested;

pub(crate) async fn run(args: SandboxArgs) -> Result<()> {
    let sandbox = Sandbox::start_on(args.port);
    let sandbox = sandbox.map_err(|error| CliError::other(format!("127.0.0.1:{}: {error}", args.port)))?;
    if let Some(ttl) = args.ttl {
        Api::ALL.into_iter().for_each(|api| sandbox.set_lifetime(api, ttl));
    }
    for fault in args.faults {
        sandbox.fail_always(fault.api, fault.fault);
    }
    output::write(&exports(&sandbox))?;
    stop_requested().await
}

fn exports(sandbox: &Sandbox) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in sandbox.env() {
        lines.extend_from_slice(format!("export {name}=").as_bytes());
        Sh::quote_into_vec(&value, &mut lines);
        lines.push(b'\n');
    }
    lines
}
