//! The accounts of a pool, and which of them are dropped when it is full.

use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashTable;

use crate::clock::Moment;
use crate::manager::TokenManager;

/// How long, in milliseconds, an account is kept for the first call of its manager. The caller of
/// [`get`](super::TokenPool::get) has the manager, but has not asked it for a token yet.
const FIRST_CALL: u64 = 1000;

/// A table of accounts by the hash of their key, so that a key is hashed outside the lock.
pub(super) struct Accounts<K> {
    table: HashTable<Account<K>>,
    capacity: usize,
    /// The number of accounts at which to make room. It is more than the capacity while accounts must stay, so that not
    /// each new account is a search through all others.
    limit: usize,
}

pub(super) struct Account<K> {
    hash: u64,
    key: K,
    manager: TokenManager,
    /// The last use, in milliseconds since the start of the pool.
    last_used: AtomicU64,
    rank: Rank,
}

/// The order in which accounts are dropped: first those without a token, then those that were unused for the longest
/// time. `None` means that the account stays.
type Rank = Option<(bool, u64)>;

impl<K: Eq> Accounts<K> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { table: HashTable::new(), capacity, limit: capacity }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns the manager of an account, and records the use.
    pub(super) fn use_manager(&self, hash: u64, key: &K, now: u64) -> Option<&TokenManager> {
        let account = self.table.find(hash, |account| account.key == *key)?;
        account.last_used.store(now, Ordering::Relaxed);
        Some(&account.manager)
    }

    pub(super) fn insert(&mut self, hash: u64, key: K, manager: TokenManager, now: u64) {
        let account = Account { hash, key, manager, last_used: now.into(), rank: None };
        self.table.insert_unique(hash, account, |account| account.hash);
    }

    pub(super) fn remove(&mut self, hash: u64, key: &K) -> Option<TokenManager> {
        let found = self.table.find_entry(hash, |account| account.key == *key).ok()?;
        let manager = found.remove().0.manager;
        self.limit = self.limit.min(self.capacity.max(self.table.len() + 1));
        Some(manager)
    }

    /// Makes room for one account if the pool is full. Returns `true` if accounts that are in use had to be dropped.
    ///
    /// Accounts whose last use was before `oldest` are dropped first. If that is not enough, a sixteenth of the capacity
    /// is dropped at once, so that the next calls need not search again. An account stays while it logs in, during a
    /// cooldown, and while its refusal is remembered: a new manager would log in a second time.
    ///
    /// What is dropped is added to `dropped`: the caller drops it without the lock, because sources and transports are
    /// code of the program.
    pub(super) fn make_room(
        &mut self,
        now: &Moment,
        since_start: u64,
        oldest: u64,
        dropped: &mut Vec<Account<K>>,
    ) -> bool {
        if self.table.len() < self.limit {
            return false;
        }
        for account in self.table.iter_mut() {
            account.rank = account.rank(now, since_start);
        }
        let is_idle = |account: &mut Account<K>| account.rank.is_some_and(|(_, last_used)| last_used < oldest);
        dropped.extend(self.table.extract_if(is_idle));
        let mut ranks: Vec<_> = self.table.iter().filter_map(|account| account.rank).collect();
        let batch = (self.capacity / 16).max(1);
        // The accounts that stay do not count. Otherwise many refused accounts would push the others out.
        let surplus = (ranks.len() + 1).saturating_sub(self.capacity);
        let mut count = if surplus == 0 { 0 } else { surplus.max(batch).min(ranks.len()) };
        self.limit = self.capacity.max(self.table.len() - count + 1);
        let Some(last) = count.checked_sub(1) else {
            self.limit = self.capacity.max(self.table.len() + batch);
            return false;
        };
        let (_, last, _) = ranks.select_nth_unstable(last);
        let last = *last;
        dropped.extend(self.table.extract_if(|account| {
            let is_dropped = count > 0 && account.rank.is_some_and(|rank| rank <= last);
            count -= usize::from(is_dropped);
            is_dropped
        }));
        let (has_token, _) = last;
        has_token
    }
}

impl<K> Account<K> {
    fn rank(&self, now: &Moment, since_start: u64) -> Rank {
        let last_used = self.last_used.load(Ordering::Relaxed);
        let usage = self.manager.usage(now);
        let waits_for_first_call = usage.is_unused && since_start.saturating_sub(last_used) < FIRST_CALL;
        let stays = usage.is_renewing || usage.has_failed || waits_for_first_call;
        (!stays).then_some((usage.has_token, last_used))
    }
}
