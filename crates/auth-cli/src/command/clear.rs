//! `auth clear`: forgets what is cached.

use crate::accounts::Accounts;
use crate::args::ClearArgs;
use crate::failure::{Failure, Result, with_causes};
use crate::session::{Session, cache};

pub(crate) fn run(args: &ClearArgs) -> Result<()> {
    let (accounts, cache) = (Accounts::new(&args.flags)?.named(&args.providers)?, cache()?);
    if args.providers.is_empty() {
        return cache.clear().map_err(|error| Failure::other(with_causes(&error)));
    }
    let forget = |account| Session::new(account, Some(&cache))?.forget(&cache);
    Failure::all(accounts.into_iter().map(forget)).map(drop)
}
