//! Sealing: only holders of a key can read or change the entries of a store.

use std::sync::Arc;

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::EntryName;
use super::keys::{Key, SealingKeys};
use crate::error::Error;
use crate::message::Request;
use crate::secret::{Secret, SecretBytes};

/// The version in front of each sealed text.
const SEALED_VERSION: &str = "2";
const NAME_BYTES: usize = 16;
const NOT_SEALED_TEXT: &str = "it is not in the format of a sealed text";

/// How a store's entries are sealed: with keys, or not at all.
#[derive(Debug, Clone)]
pub struct Sealing(Option<Arc<SealingKeys>>);

impl Sealing {
    /// Seals entries with AES-256-GCM.
    ///
    /// Without the keys, nobody can read the tokens in the store. An entry that was changed, moved to another name or
    /// written without the keys is ignored.
    ///
    /// ```
    /// use auth_core::store::{Sealing, SealingKeys};
    ///
    /// let keys = SealingKeys::parse(&"1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into())?;
    /// let sealing = Sealing::with_keys(keys);
    /// # Ok::<(), auth_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_keys(keys: SealingKeys) -> Self {
        Self(Some(Arc::new(keys)))
    }

    /// Stores entries as plain text. Use it only for files that nobody but their owner can read.
    ///
    /// Anyone who can read the store has the tokens. Anyone who sees an entry's name can test guessed passwords against
    /// it.
    ///
    /// ```
    /// let sealing = auth_core::store::Sealing::plain();
    /// ```
    #[must_use]
    pub fn plain() -> Self {
        Self(None)
    }

    /// Returns the name of the entry for one set of credentials.
    ///
    /// `provider` is [`Provider::name`](crate::Provider::name), and `identity` is
    /// [`Provider::identity`](crate::Provider::identity).
    ///
    /// ```
    /// use auth_core::Provider;
    /// use auth_core::store::{EntryName, TokenStore};
    ///
    /// fn entry_name(store: &impl TokenStore, provider: &impl Provider) -> Option<EntryName> {
    ///     let identity = provider.identity()?; // `None`: its tokens are never shared
    ///     Some(store.sealing().entry_name(provider.name(), &identity))
    /// }
    /// ```
    #[must_use]
    pub fn entry_name(&self, provider: &str, identity: &Request) -> EntryName {
        let mut hash = match &self.0 {
            Some(keys) => hmac::Context::with_key(keys.name_key()),
            None => hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, b"auth-core plain store")),
        };
        add_part(&mut hash, provider.as_bytes());
        add_part(&mut hash, identity.uri().to_string().as_bytes());
        for (name, value) in identity.headers() {
            add_part(&mut hash, name.as_str().as_bytes());
            add_part(&mut hash, value.as_bytes());
        }
        add_part(&mut hash, identity.body());
        let tag = hash.sign();
        EntryName(tag.as_ref().iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Seals one part of an entry.
    pub(crate) fn seal(&self, name: &EntryName, part: &str, plain: SecretBytes) -> Result<Secret, Error> {
        let mut bytes = plain.into_buffer();
        let Some(keys) = &self.0 else {
            let text = String::from_utf8(std::mem::take(&mut *bytes));
            return text.map(Secret::from).map_err(|_| Error::internal("a part of an entry is not UTF-8 text"));
        };
        let key = keys.first();
        let nonce = key.aead.seal_in_place_append_tag(aad(key, name, part), &mut *bytes);
        let nonce = nonce.map_err(|_| Error::internal("the cipher failed"))?;
        let sealed = [nonce.as_ref().as_slice(), &bytes].concat();
        Ok(format!("{SEALED_VERSION}:{}:{}", key.number, URL_SAFE_NO_PAD.encode(sealed)).into())
    }

    /// Opens one part of an entry, or returns the reason why it cannot be opened.
    pub(crate) fn open(&self, name: &EntryName, part: &str, text: &Secret) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        let text = text.expose();
        let Some(keys) = &self.0 else {
            let plain = text.starts_with('{').then(|| Zeroizing::new(text.as_bytes().to_vec()));
            return plain.ok_or("it is sealed, or written in another format version");
        };
        let (version, text) = text.split_once(':').ok_or(NOT_SEALED_TEXT)?;
        if version != SEALED_VERSION {
            return Err("it is not sealed, or written in another format version");
        }
        let (number, text) = text.split_once(':').ok_or(NOT_SEALED_TEXT)?;
        let key = keys.by_number(number).ok_or("it is sealed with a key number that is not configured here")?;
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| NOT_SEALED_TEXT)?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(NOT_SEALED_TEXT)?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key.aead.open_in_place(nonce, aad(key, name, part), &mut bytes);
        let length = opened.map_err(|_| "it was changed or moved, or sealed with another key of this number")?.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// Adds a part and its length. Without the length, two different lists of parts could have the same hash.
fn add_part(hash: &mut hmac::Context, part: &[u8]) {
    hash.update(&(part.len() as u64).to_be_bytes());
    hash.update(part);
}

/// Returns the additional authenticated data.
///
/// A sealed text opens only with the same version and key, and only in the same entry and part.
fn aad(key: &Key, name: &EntryName, part: &str) -> Aad<Vec<u8>> {
    Aad::from(format!("{SEALED_VERSION}:{}:{}:{part}", key.number, name.as_str()).into_bytes())
}
