//! Which credentials are the same as others, and which were refused.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use crate::error::Error;
use crate::login::provider_calls::ProviderCalls;

/// Identifies credentials within this process. It is a keyed hash, and the key is never stored, so it reveals nothing
/// about a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn of(provider: &ProviderCalls) -> Result<Self, Error> {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

        let request = match provider.identity()? {
            Some(identity) => identity,
            None => provider.login_request()?,
        };
        let mut hasher = KEY.build_hasher();
        let mut add = |part: &[u8]| {
            hasher.write_usize(part.len());
            hasher.write(part);
        };
        add(request.uri().to_string().as_bytes());
        for (name, value) in request.headers() {
            add(name.as_str().as_bytes());
            add(value.as_bytes());
        }
        add(request.body());
        Ok(Self(hasher.finish()))
    }
}

/// How many refused credentials are remembered.
const REMEMBERED: usize = 8;

/// The credentials that were refused last. Without this memory, two wrong passwords that take turns would look like
/// changed credentials each time, and each change would be tried at once.
#[derive(Debug, Default)]
pub(crate) struct RefusedCredentials(VecDeque<Fingerprint>);

impl RefusedCredentials {
    pub(crate) fn insert(&mut self, refused: Fingerprint) {
        self.0.retain(|known| *known != refused);
        self.0.push_back(refused);
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    pub(crate) fn remove(&mut self, accepted: Fingerprint) {
        self.0.retain(|known| *known != accepted);
    }

    pub(crate) fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.0.contains(&fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_eight_refused_credentials_are_remembered() {
        let mut refused = RefusedCredentials::default();
        for number in (0..9).chain([1]) {
            refused.insert(Fingerprint(number));
        }
        assert!(!refused.contains(Fingerprint(0)));
        assert!((1..9).all(|number| refused.contains(Fingerprint(number))));
        refused.insert(Fingerprint(9));
        assert!(refused.contains(Fingerprint(1)), "it was refused again");
        assert!(!refused.contains(Fingerprint(2)));
        refused.remove(Fingerprint(1));
        assert!(!refused.contains(Fingerprint(1)));
    }
}
