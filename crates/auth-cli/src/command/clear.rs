//! `auth clear`: forgets what is cached.

use crate::account::Accounts;
use crate::args::ClearArgs;
use crate::failure::{Failure, Result};
use crate::session::{Session, cache};

pub(crate) fn run(args: &ClearArgs) -> Result<()> {
    let cache = cache()?;
    if args.providers.is_empty() {
        return Ok(cache.clear()?);
    }
    let accounts = Accounts::new(&args.flags)?.named(&args.providers)?;
    let forget = |account| Session::new(account, Some(&cache))?.forget(&cache);
    Failure::all(accounts.into_iter().map(forget)).map(drop)
}
