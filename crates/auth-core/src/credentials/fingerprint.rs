//! Which credentials are the same as others, and which were refused.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use crate::cooldown::Cooldown;
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
pub(crate) struct RefusedCredentials(VecDeque<(Fingerprint, Cooldown)>);

impl RefusedCredentials {
    pub(crate) fn insert(&mut self, refused: Fingerprint, cooldown: Cooldown) {
        self.remove(refused);
        self.0.push_back((refused, cooldown));
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    pub(crate) fn remove(&mut self, accepted: Fingerprint) {
        self.0.retain(|(known, _)| *known != accepted);
    }

    /// Returns the cooldown of these credentials, if they were refused.
    pub(crate) fn get(&self, fingerprint: Fingerprint) -> Option<&Cooldown> {
        self.0.iter().find(|(known, _)| *known == fingerprint).map(|(_, cooldown)| cooldown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_eight_refused_credentials_are_remembered() {
        let mut refused = RefusedCredentials::default();
        let insert =
            |refused: &mut RefusedCredentials, number| refused.insert(Fingerprint(number), Cooldown::default());
        let contains = |refused: &RefusedCredentials, number| refused.get(Fingerprint(number)).is_some();
        (0..9).chain([1]).for_each(|number| insert(&mut refused, number));
        assert!(!contains(&refused, 0));
        assert!((1..9).all(|number| contains(&refused, number)));
        insert(&mut refused, 9);
        assert!(contains(&refused, 1), "it was refused again");
        assert!(!contains(&refused, 2));
        refused.remove(Fingerprint(1));
        assert!(!contains(&refused, 1));
    }
}
