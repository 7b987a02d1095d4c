//! `auth clear`: removes cached tokens and remembered refusals.

use crate::accounts::Accounts;
use crate::args::ClearArgs;
use crate::error::{CliError, Result};
use crate::session::{Session, open_cache};
use crate::text::with_causes;

pub(crate) fn run(args: &ClearArgs) -> Result<()> {
    let accounts = Accounts::new(&args.flags)?.accounts(&args.providers)?;
    let cache = open_cache()?;
    if args.providers.is_empty() {
        return cache.clear().map_err(|error| CliError::other(with_causes(&error)));
    }
    let cleared = accounts.into_iter().map(|account| Session::new(account, Some(&cache))?.clear(&cache));
    CliError::collect(cleared).map(drop)
}
